// embed.c - a cluster in a C program: a C module for its isolates, a value sent
// from a thread that has no Lua state, the answer, taken in C, and news of an end.
//
//   sh examples/run embed
//   cc embed.c $(pkg-config --cflags --libs isolate_cluster)

#include <isolate_cluster.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const station_source =
    "local context = ...\n"
    "local statistics = require 'statistics'\n"
    "context:onMessage(function(reading, message)\n"
    "  local mean = statistics.mean(reading.celsius)\n"
    "  message:reply(('%s: %.1f degrees'):format(reading.room, mean))\n"
    "end)\n";

// Nothing here can fail in a way that the program could go on from.
static void check(ic_status status, const char *what) {
  if (status == IC_OK) return;
  fprintf(stderr, "embed: %s: %s\n", what, ic_status_text(status));
  exit(EXIT_FAILURE);
}

// --- The module: statistics.mean(list) --------------------------------------

static int mean(lua_State *L) {
  lua_Integer count = luaL_len(L, 1);
  luaL_argcheck(L, count > 0, 1, "an empty list has no mean");
  lua_Number sum = 0;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, 1, i);
    sum += luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  lua_pushnumber(L, sum / (lua_Number)count);
  return 1;
}

static int luaopen_statistics(lua_State *L) {
  static const luaL_Reg functions[] = {{"mean", mean}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

// --- The sensor: a thread that sends ----------------------------------------

typedef struct {
  ic_ref *station;
  ic_ref *reply_to;
} sensor;

// { room = "kitchen", celsius = { 19, 20.5, 22 } }
static ic_message *new_reading(void) {
  ic_message *reading;
  check(ic_message_new(&reading), "message");
  check(ic_message_open_map(reading), "map");
  check(ic_message_add_string(reading, "room", 4), "key");
  check(ic_message_add_string(reading, "kitchen", 7), "room");
  check(ic_message_add_string(reading, "celsius", 7), "key");
  check(ic_message_open_array(reading), "array");
  check(ic_message_add_integer(reading, 19), "integer");
  check(ic_message_add_number(reading, 20.5), "number");
  check(ic_message_add_integer(reading, 22), "integer");
  check(ic_message_close(reading), "array's end");
  check(ic_message_close(reading), "map's end");
  return reading;
}

static void *measure(void *argument) {
  const sensor *sensor = argument;
  ic_send_options options = {.reply_to = sensor->reply_to};
  check(ic_ref_send(sensor->station, new_reading(), &options), "send");
  return NULL;
}

// --- The program ------------------------------------------------------------

static ic_ref *spawn_station(ic_cluster *cluster) {
  ic_spawn_options options = {
      .path = "/station", .source = station_source, .source_name = "=station"};
  ic_ref *station;
  char *text = NULL;
  ic_status status = ic_cluster_spawn(cluster, &options, &station, &text);
  if (text) fprintf(stderr, "embed: %s\n", text);
  ic_free(text);
  check(status, "spawn");
  return station;
}

static void print_answer(ic_port *port) {
  ic_message *answer;
  check(ic_port_take(port, 10000, &answer), "answer");
  ic_reader reader = ic_message_reader(answer);
  ic_item item;
  check(ic_reader_next(&reader, &item), "read");
  check(item.type == IC_STRING ? IC_OK : IC_ERROR, "answer's type");
  printf("%.*s\n", (int)item.size, item.bytes);
  ic_message_free(answer);
}

// The port has been told to monitor one isolate.
static void print_end(ic_port *port) {
  ic_message *message;
  check(ic_port_take(port, 10000, &message), "news");
  ic_news news = ic_message_news(message);
  check(news.kind == IC_NEWS_ENDED ? IC_OK : IC_ERROR, "news' kind");
  printf("%s ended: %s\n", ic_ref_path(ic_message_sender(message)),
         news.reason);
  ic_message_free(message);
}

int main(void) {
  ic_cluster *cluster;
  check(ic_cluster_new(NULL, &cluster), "cluster");
  check(ic_cluster_register_module(cluster, "statistics", luaopen_statistics),
        "module");
  ic_ref *station = spawn_station(cluster);
  printf("spawned %s\n", ic_ref_path(station));

  ic_port *port;
  check(ic_port_open(cluster, NULL, &port), "port");
  sensor kitchen = {station, ic_port_ref(port)};
  pthread_t thread;
  if (pthread_create(&thread, NULL, measure, &kitchen) != 0) {
    check(IC_MEMORY, "thread");
  }
  print_answer(port);
  pthread_join(thread, NULL);

  check(ic_port_monitor(port, station), "monitor");
  check(ic_cluster_shutdown(cluster, 5000), "shutdown");
  print_end(port);
  ic_port_close(port);
  ic_ref_release(station);
  ic_cluster_free(cluster);
  return EXIT_SUCCESS;
}

// prints:
//   spawned /station
//   kitchen: 20.5 degrees
//   /station ended: shutdown
