// outsiders_test.c - who has no path is found by its id, as long as it is there.

#include "core/outsiders.h"

#include "check.h"

static ic_isolate *new_outsider(void) {
  ic_isolate *isolate = NULL;
  return ic_isolate_new("(outsider)", &isolate) == IC_OK ? isolate : NULL;
}

static bool is_found(const ic_isolate *isolate) {
  ic_isolate *found = ic_outsiders_find(isolate->id);
  ic_isolate_release(found);
  return found == isolate;
}

static void are_found_while_they_are_there(void) {
  ic_isolate *all[3];
  for (int i = 0; i < 3; i++) {
    all[i] = new_outsider();
    CHECK(!is_found(all[i]));
    ic_outsiders_enter(all[i]);
  }
  for (int i = 0; i < 3; i++)
    CHECK(is_found(all[i]));
  ic_outsiders_leave(all[1]);
  CHECK(is_found(all[0]) && !is_found(all[1]) && is_found(all[2]));
  ic_outsiders_leave(all[1]);
  ic_outsiders_leave(all[0]);
  ic_outsiders_leave(all[2]);
  for (int i = 0; i < 3; i++) {
    CHECK(!is_found(all[i]) && atomic_load(&all[i]->mailbox.users) == 1);
    ic_isolate_release(all[i]);
  }
}

int main(void) {
  RUN(are_found_while_they_are_there);
  return check_report("outsiders");
}
