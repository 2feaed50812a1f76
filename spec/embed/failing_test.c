// failing_test.c - C programs whose allocations fail, every one in turn: each one
// alone, and all from each one on. Nothing may crash, hang or be left; that nothing
// leaks is for AddressSanitizer to see.

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/failing.h"
#include "isolate_cluster.h"

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZED 1
#else
#define ADDRESS_SANITIZED 0
#endif

enum {
  PATIENCE_MS = 20000,  // only a failure waits so long
  FAILING_MS = 15,      // for what may not come, as an allocation failed
  // AddressSanitizer sees each block of a state as an allocation of its own: then
  // rounds are this far apart behind the first ones, for each scenario others.
  EVERY_ONE_UNTIL = 150,
  STRIDE = ADDRESS_SANITIZED ? 13 : 1
};

static const char echo_source[] =
    "local context = ...\n"
    "context:onMessage(function(value, message)\n"
    "  if value == 'end' then context:shutdownIsolate() end\n"
    "  message:reply(value)\n"
    "end)\n";

static bool is_failing;

static int64_t patience(void) {
  return is_failing ? FAILING_MS : PATIENCE_MS;
}

// What every scenario needs; NULL or false where there was no memory.
static ic_cluster *cluster;
static bool went_well;

static void expect(bool is_so) {
  went_well &= is_so;
}

static ic_ref *spawn_with(ic_spawn_options options) {
  ic_ref *ref = NULL;
  char *text = NULL;
  expect(ic_cluster_spawn(cluster, &options, &ref, &text) == IC_OK);
  ic_free(text);
  return ref;
}

static ic_ref *spawn_echo(void) {
  return spawn_with((ic_spawn_options){.path = "/echo", .source = echo_source});
}

static ic_message *text_message(const char *text) {
  ic_message *message = NULL;
  if (ic_message_new(&message) != IC_OK) return NULL;
  if (ic_message_add_string(message, text, strlen(text)) == IC_OK) {
    return message;
  }
  ic_message_free(message);
  return NULL;
}

static void send_text(ic_ref *to, const char *text, ic_send_options options) {
  ic_message *message = text_message(text);
  bool sent = message && to && ic_ref_send(to, message, &options) == IC_OK;
  if (message && !sent) ic_message_free(message);
  expect(sent);
}

static void start_and_stop(void) {
  expect(ic_cluster_is_up(cluster));
}

static void spawn_own(void) {
  ic_ref *ref = spawn_with(
      (ic_spawn_options){.source = "return 1", .thread = IC_THREAD_OWN});
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
  ic_ref_release(ref);
}

static void spawn_shared(void) {
  ic_ref *ref = spawn_with(
      (ic_spawn_options){.source = "return 1", .thread = IC_THREAD_SHARED});
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
  ic_ref_release(ref);
}

static int return_one(lua_State *L) {
  (void)L;
  return 0;
}

static int open_entry(lua_State *L) {
  lua_pushcfunction(L, return_one);
  return 1;
}

static void spawn_module(void) {
  expect(ic_cluster_register_module(cluster, "entry", open_entry) == IC_OK);
  ic_ref *ref = spawn_with((ic_spawn_options){.module = "entry"});
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
  ic_ref_release(ref);
}

static void spawn_with_properties(void) {
  ic_message *map = NULL;
  bool is_made =
      ic_message_new(&map) == IC_OK && ic_message_open_map(map) == IC_OK &&
      ic_message_add_string(map, "name", 4) == IC_OK &&
      ic_message_add_integer(map, 1) == IC_OK && ic_message_close(map) == IC_OK;
  expect(is_made);
  if (is_made) {
    ic_ref_release(spawn_with((ic_spawn_options){
        .source = "assert((...).properties.name == 1)", .properties = map}));
  }
  ic_message_free(map);
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
}

static void load_what_does_not_load(void) {
  ic_spawn_options options = {.source = "this is no Lua"};
  char *text = NULL;
  expect(ic_cluster_spawn(cluster, &options, NULL, &text) == IC_LOAD);
  ic_free(text);
}

static void ask_from_a_port(void) {
  ic_ref *echo = spawn_echo();
  ic_port *port = NULL;
  expect(ic_port_open(cluster, NULL, &port) == IC_OK);
  if (port && echo) {
    send_text(echo, "hello",
              (ic_send_options){.type = "greeting",
                                .reply_to = ic_port_ref(port),
                                .correlation_id = "1"});
    ic_message *answer = NULL;
    expect(ic_port_take(port, patience(), &answer) == IC_OK);
    ic_message_free(answer);
  }
  ic_port_close(port);
  ic_ref_release(echo);
}

// What comes to [port]: all news up to that of the end of [kind], or to a failure.
static void take_news(ic_port *port, ic_news_kind kind, const char *reason) {
  ic_news news;
  do {
    ic_message *message = NULL;
    expect(ic_port_take(port, patience(), &message) == IC_OK);
    if (!message) return;
    news = ic_message_news(message);
    if (news.kind == kind) {
      expect(strcmp(news.reason, reason) == 0);
      expect(news.error && strstr(news.error, "on purpose"));
    }
    ic_message_free(message);
  } while (news.kind != kind);
}

static void hear_of_an_end(void) {
  ic_port *port = NULL;
  expect(ic_port_open(cluster, &(ic_port_options){.ups = true, .downs = true},
                      &port) == IC_OK);
  ic_ref *ref = spawn_with((ic_spawn_options){
      .path = "/supervisor",
      .source = "(...).onMessage:next() error 'on purpose'"});
  if (port && ref) {
    expect(ic_port_monitor(port, ref) == IC_OK);
    send_text(ref, "go", (ic_send_options){0});
    take_news(port, IC_NEWS_ENDED, "error");
  }
  ic_port_close(port);
  ic_ref_release(ref);
}

static void look_up(void) {
  ic_ref *echo = spawn_echo();
  ic_ref *found = NULL;
  ic_ref **all = NULL;
  size_t count = 0;
  expect(ic_cluster_lookup(cluster, "/echo", &found) == IC_OK);
  expect(ic_cluster_lookup_all(cluster, "/", &all, &count) == IC_OK);
  for (size_t i = 0; i < count; i++)
    ic_ref_release(all[i]);
  ic_free(all);
  ic_ref_release(found);
  ic_ref_release(echo);
}

static void request_between_isolates(void) {
  ic_ref *echo = spawn_echo();
  ic_ref *asker = spawn_with((ic_spawn_options){
      .source = "local context = ...\n"
                "local echo = assert(context:lookupIsolate '/echo')\n"
                "for i = 1, 3 do echo:request({ i, echo }) end\n"
                "context:monitor(echo, function() end)\n"
                "echo:send 'end'"});
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
  ic_ref_release(asker);
  ic_ref_release(echo);
}

static void kill_one(void) {
  ic_ref *ref = spawn_with((ic_spawn_options){
      .source = "while true do end",
      .limits = &(ic_limits){.memory_bytes = (size_t)8 << 20}});
  if (ref) expect(ic_ref_kill(ref) == IC_OK);
  if (went_well) expect(ic_cluster_wait(cluster, patience()) == IC_OK);
  ic_ref_release(ref);
}

// Each way to be full, with senders that wait and one that gives up.
static void fill_mailboxes(void) {
  static const ic_when_full ways[] = {IC_WHEN_FULL_FAIL, IC_WHEN_FULL_WAIT,
                                      IC_WHEN_FULL_DROP_OLDEST,
                                      IC_WHEN_FULL_DROP_NEWEST};
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    ic_ref_release(spawn_with((ic_spawn_options){
        .path = "/full/",
        .source = "local context = ...\n"
                  "for _ = 1, 4 do context.onMessage:next() end\n",
        .limits = &(ic_limits){.memory_bytes = (size_t)8 << 20,
                               .mailbox_messages = 2,
                               .mailbox_bytes = 200,
                               .when_full = ways[i]}}));
  }
  ic_ref_release(spawn_with((ic_spawn_options){
      .source = "local context = ...\n"
                "for _, ref in ipairs(context:lookupIsolates '/full/') do\n"
                "  ref:request('x', { timeout = 0.001 })\n"
                "  for i = 1, 4 do ref:send(i) end\n"
                "  while ref.alive do\n"
                "    ref:send 'last'\n"
                "    context:sleep(0.001)\n"
                "  end\n"
                "end\n"}));
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
}

static void supervise(void) {
  ic_ref_release(spawn_with((ic_spawn_options){
      .source = "local context = ...\n"
                "local IsolateCluster = require 'isolate_cluster'\n"
                "local ref = assert(context:spawnIsolate('/supervisor',\n"
                "  IsolateCluster.supervisor {\n"
                "    maxRestarts = 1, backoff = { first = 0.001 },\n"
                "    children = { { id = 'a', restart = 'transient',\n"
                "      entry = function() error 'a' end } } }))\n"
                "context:monitor(ref, function() end)\n"}));
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
}

static void talk_to_a_group(void) {
  ic_ref *echo = spawn_echo();
  ic_ref_release(spawn_with((ic_spawn_options){
      .source = "local context = ...\n"
                "context.onIsolateUp:listen(function() end)\n"
                "local group = context:group('/', { select = 'all' })\n"
                "group:send { 'hello', context.isolateRef }\n"
                "context.onMessage:next(1)\n"
                "context:lookupIsolate '/echo':send 'end'\n"
                "context:shutdownIsolate()\n"}));
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
  ic_ref_release(echo);
}

static void confine(void) {
  ic_ref_release(spawn_with((ic_spawn_options){
      .source =
          "local context = ...\n"
          "local ref = assert(context:spawnIsolate('/api/x', function(c)\n"
          "  assert(not io and not c:lookupIsolate '/other')\n"
          "  assert(load 'return 1')()\n"
          "end, nil, { sandbox = { base = 'safe', reach = { '/api/' } } }))"
          "context:monitor(ref, function() end)\n"}));
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
}

// { reach = { "/api/" } }
static ic_message *new_sandbox(void) {
  ic_message *map = NULL;
  bool is_made =
      ic_message_new(&map) == IC_OK && ic_message_open_map(map) == IC_OK &&
      ic_message_add_string(map, "reach", 5) == IC_OK &&
      ic_message_open_array(map) == IC_OK &&
      ic_message_add_string(map, "/api/", 5) == IC_OK &&
      ic_message_close(map) == IC_OK && ic_message_close(map) == IC_OK;
  expect(is_made);
  if (is_made) return map;
  ic_message_free(map);
  return NULL;
}

static void spawn_confined(void) {
  ic_ref *echo = spawn_echo();
  ic_message *sandbox = new_sandbox();
  ic_message *none = text_message("none");
  if (sandbox) {
    ic_ref_release(spawn_with((ic_spawn_options){
        .source = "local _, _, code = (...):lookupIsolate '/echo'\n"
                  "assert(not io and code == 'denied')\n",
        .sandbox = sandbox}));
  }
  if (none) {
    ic_ref_release(spawn_with((ic_spawn_options){
        .source = "local context = ...\n"
                  "assert(io and context:lookupIsolate '/echo')\n"
                  "context:lookupIsolate '/echo':send 'end'",
        .sandbox = none}));
  }
  if (echo && none) expect(ic_cluster_wait(cluster, patience()) == IC_OK);
  ic_message_free(none);
  ic_message_free(sandbox);
  ic_ref_release(echo);
}

static void spawn_with_a_wrong_sandbox(void) {
  ic_message *wrong = text_message("wide");
  char *text = NULL;
  expect(wrong && ic_cluster_spawn(cluster,
                                   &(ic_spawn_options){.source = "return 1",
                                                       .sandbox = wrong},
                                   NULL, &text) == IC_LOAD);
  const char *complaint = "option 'sandbox' must be 'safe', 'none' or a table";
  expect(text && strncmp(text, complaint, strlen(complaint)) == 0);
  ic_free(text);
  ic_message_free(wrong);
}

static void decode_bytes(void) {
  ic_ref_release(spawn_with((ic_spawn_options){
      .source = "local context = ...\n"
                "local core = require 'isolate_cluster'\n"
                "local value = { 1, 'text', { x = context.isolateRef }, 1.5 }\n"
                "value[5] = value\n"
                "local bytes = core.encode(value)\n"
                "local copy = assert(core.decode(bytes))\n"
                "assert(copy[5] == copy)\n"
                "for i = 1, #bytes do core.decode(bytes:sub(1, i)) end\n"}));
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
}

static void end_at_limits(void) {
  ic_ref_release(spawn_with((ic_spawn_options){
      .source = "local t = {} while true do pcall(function()\n"
                "  while true do t[#t + 1] = {} end end) end",
      .limits = &(ic_limits){.memory_bytes = (size_t)2 << 20}}));
  ic_ref_release(spawn_with((ic_spawn_options){
      .source = "while true do pcall(error) end",
      .thread = IC_THREAD_SHARED,
      .limits = &(ic_limits){.cpu_ns = 2000000, .cpu_total_ns = 5000000}}));
  expect(ic_cluster_wait(cluster, patience()) == IC_OK);
}

static void shut_down_in_the_middle(void) {
  ic_ref *ref = spawn_with((ic_spawn_options){
      .source =
          "local context = ...\n"
          "context:every(0.001, function() context.isolateRef:send(1) end)"
          "context:onMessage(function() end)",
      .thread = IC_THREAD_SHARED});
  expect(ic_cluster_shutdown(cluster, patience()) == IC_OK);
  ic_ref_release(ref);
}

// What isolates have to say of their lack of memory is of no interest; else only
// supervisors have errors, and their children, and some end at a limit.
static void hear(void *context, const char *path, const char *text) {
  (void)context;
  if (is_failing || strstr(path, "/supervisor")) return;
  if (strstr(text, "over its limit of")) return;
  printf("%s: %s\n", path, text);
  went_well = false;
}

// One round; what fails in it is ended without failing any more.
static void run_once(void (*scenario)(void)) {
  went_well = true;
  cluster = NULL;
  expect(ic_cluster_new(&(ic_cluster_options){.report = hear}, &cluster) ==
         IC_OK);
  if (cluster) scenario();
}

static void end_round(void) {
  if (cluster) ic_cluster_shutdown(cluster, 0);
  ic_cluster_free(cluster);
}

// What follows the round [n] of the run [run].
static int next_round(int n, int run) {
  if (n < EVERY_ONE_UNTIL) return n + 1;
  return n == EVERY_ONE_UNTIL ? n + 1 + run % STRIDE : n + STRIDE;
}

static void run_failing(void (*scenario)(void), bool from_there_on) {
  static int runs;
  int run = runs++;
  is_failing = true;
  bool failed = true;
  for (int n = 0; failed; n = next_round(n, run)) {
    failing_everywhere(n, from_there_on);
    run_once(scenario);
    failed = failing_everywhere_stop();
    end_round();
  }
  is_failing = false;
}

static void check_scenario(void (*scenario)(void)) {
  run_once(scenario);
  bool went = went_well;
  end_round();
  CHECK(went);
  run_failing(scenario, false);
  run_failing(scenario, true);
}

#define SCENARIO(name)                \
  static void survives_##name(void) { \
    CALL(check_scenario(name));       \
  }

SCENARIO(start_and_stop)
SCENARIO(spawn_own)
SCENARIO(spawn_shared)
SCENARIO(spawn_module)
SCENARIO(spawn_with_properties)
SCENARIO(load_what_does_not_load)
SCENARIO(ask_from_a_port)
SCENARIO(hear_of_an_end)
SCENARIO(look_up)
SCENARIO(request_between_isolates)
SCENARIO(kill_one)
SCENARIO(fill_mailboxes)
SCENARIO(supervise)
SCENARIO(talk_to_a_group)
SCENARIO(confine)
SCENARIO(spawn_confined)
SCENARIO(spawn_with_a_wrong_sandbox)
SCENARIO(decode_bytes)
SCENARIO(end_at_limits)
SCENARIO(shut_down_in_the_middle)

int main(void) {
  RUN(survives_start_and_stop);
  RUN(survives_spawn_own);
  RUN(survives_spawn_shared);
  RUN(survives_spawn_module);
  RUN(survives_spawn_with_properties);
  RUN(survives_load_what_does_not_load);
  RUN(survives_ask_from_a_port);
  RUN(survives_hear_of_an_end);
  RUN(survives_look_up);
  RUN(survives_request_between_isolates);
  RUN(survives_kill_one);
  RUN(survives_fill_mailboxes);
  RUN(survives_supervise);
  RUN(survives_talk_to_a_group);
  RUN(survives_confine);
  RUN(survives_spawn_confined);
  RUN(survives_spawn_with_a_wrong_sandbox);
  RUN(survives_decode_bytes);
  RUN(survives_end_at_limits);
  RUN(survives_shut_down_in_the_middle);
  return check_report("failing");
}
