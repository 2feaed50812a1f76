// descendants.c - /proc/ID/task/ID/children and /proc/ID/stat.

#include "core/descendants.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/sync.h"

enum {
  PATH_BYTES = 64,
  STAT_BYTES = 1024,
  STOP_LOOK_US = 500,
  STOP_LOOKS = 400  // 200 ms and more
};

static bool is_over(char state) {
  return state == 'Z' || state == 'X';
}

// When it began, in ticks since the system did; 0: it has ended.
static uint64_t begin_of(pid_t id) {
  char path[PATH_BYTES], text[STAT_BYTES];
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)id);
  const char *at = ic_system_read_stat(path, text, sizeof text);
  if (!at || is_over(*at)) return 0;
  for (int field = 0; at && field < 19; field++)
    at = strchr(at + 1, ' ');
  return at ? strtoull(at, NULL, 10) : 0;
}

// A thread that is to stop may be in the middle of starting a program, which is seen
// only when it has. One that waits for a device does not stop for long.
static void wait_until_stopped(const char *thread_folder) {
  char path[PATH_BYTES + 8], text[STAT_BYTES];
  snprintf(path, sizeof path, "%s/stat", thread_folder);
  for (int looks = 0; looks < STOP_LOOKS; looks++) {
    const char *state = ic_system_read_stat(path, text, sizeof text);
    if (!state || is_over(*state) || *state == 'T' || *state == 't') return;
    usleep(STOP_LOOK_US);
  }
}

static bool has(const ic_descendants *all, ic_descendant one) {
  for (size_t i = 0; i < all->count; i++) {
    if (all->items[i].id == one.id && all->items[i].begin == one.begin) {
      return true;
    }
  }
  return false;
}

static void add(ic_descendants *all, pid_t id) {
  ic_descendant one = {id, begin_of(id)};
  if (one.begin == 0 || has(all, one)) return;
  if (all->count == all->capacity) {
    size_t capacity = all->capacity * 2 + 8;
    ic_descendant *items = realloc(all->items, capacity * sizeof *items);
    if (!items) return;
    all->items = items;
    all->capacity = capacity;
  }
  kill(id, SIGSTOP);
  all->items[all->count++] = one;
}

// Those that one thread of it has started.
static void add_children_of_thread(ic_descendants *all, pid_t id,
                                   const char *thread) {
  char folder[PATH_BYTES], path[PATH_BYTES + 16];
  snprintf(folder, sizeof folder, "/proc/%ld/task/%.20s", (long)id, thread);
  wait_until_stopped(folder);
  snprintf(path, sizeof path, "%s/children", folder);
  FILE *file = fopen(path, "re");
  if (!file) return;
  long child;
  while (fscanf(file, "%ld", &child) == 1)
    add(all, (pid_t)child);
  fclose(file);
}

static void add_children(ic_descendants *all, pid_t id) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "/proc/%ld/task", (long)id);
  DIR *threads = opendir(path);
  if (!threads) return;
  const struct dirent *thread;
  while ((thread = readdir(threads)) != NULL) {
    if (thread->d_name[0] != '.') {
      add_children_of_thread(all, id, thread->d_name);
    }
  }
  closedir(threads);
}

static bool is_left(const ic_descendant *one) {
  return begin_of(one->id) == one->begin;
}

// One may have started another before it stopped.
static void add_all_children(ic_descendants *all) {
  size_t before;
  do {
    before = all->count;
    for (size_t i = 0; i < all->count; i++) {
      if (is_left(&all->items[i])) add_children(all, all->items[i].id);
    }
  } while (all->count > before);
}

void ic_descendants_find_more(ic_descendants *all) {
  ic_descendants_signal(all, SIGSTOP);
  add_all_children(all);
}

void ic_descendants_find(ic_descendants *all, pid_t root) {
  ic_descendants_signal(all, SIGSTOP);
  add(all, root);
  add_all_children(all);
}

size_t ic_descendants_signal(const ic_descendants *all, int signal) {
  size_t count = 0;
  for (size_t i = 0; i < all->count; i++) {
    const ic_descendant *one = &all->items[i];
    if (!is_left(one)) continue;
    count++;
    if (signal != 0) kill(one->id, signal);
  }
  return count;
}

void ic_descendants_fini(ic_descendants *all) {
  free(all->items);
}
