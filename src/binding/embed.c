// embed.c - ic_cluster_spawn: Lua isolates for C programs.

#include <stdlib.h>
#include <string.h>

#include "binding/body.h"
#include "binding/sandbox.h"
#include "core/path.h"

static bool copy_text(const char *text, char **out) {
  if (!text) return true;
  *out = strdup(text);
  return *out != NULL;
}

static bool has_one_entry(const ic_spawn_options *options) {
  int entries = (options->module != NULL) + (options->file != NULL) +
                (options->source != NULL);
  return entries == 1;
}

static ic_status copy_entry(const ic_spawn_options *options, ic_entry *out) {
  *out = (ic_entry){0};
  bool copied = copy_text(options->package_path, &out->package_path) &&
                copy_text(options->package_cpath, &out->package_cpath);
  if (options->source) {
    out->kind = IC_ENTRY_SOURCE;
    out->size =
        options->source_size ? options->source_size : strlen(options->source);
    out->bytes = malloc(out->size + 1);
    copied = copied && out->bytes &&
             copy_text(options->source_name ? options->source_name : "=source",
                       &out->chunk_name);
    if (copied) memcpy(out->bytes, options->source, out->size);
  } else {
    out->kind = options->file ? IC_ENTRY_FILE : IC_ENTRY_MODULE;
    copied =
        copied &&
        copy_text(options->file ? options->file : options->module, &out->bytes);
  }
  return copied ? IC_OK : IC_MEMORY;
}

// The bytes of the value "none".
static bool is_none(const ic_message *option) {
  static const char none[] = "\x64none";
  return option->value_size == sizeof none - 1 &&
         memcmp(option->bytes, none, sizeof none - 1) == 0;
}

// The sandbox that the spawn says, else that of the cluster.
static ic_status copy_sandbox(const ic_cluster *cluster,
                              const ic_message *option, ic_entry *out) {
  const ic_bytes *usual = &cluster->sandbox;
  if (!option) {
    bool copied = ic_bytes_copy(usual->data, usual->size, &out->sandbox);
    return copied ? IC_OK : IC_MEMORY;
  }
  ic_message *copy;
  ic_status status = ic_message_copy(option, &copy);  // if it is complete
  if (status != IC_OK) return status;
  out->sandbox_is_option = true;
  if (!is_none(copy) && !ic_bytes_copy((const char *)copy->bytes,
                                       copy->value_size, &out->sandbox)) {
    status = IC_MEMORY;
  }
  ic_message_free(copy);
  return status;
}

// Fills in what is the isolate's own in [start]; on an error nothing is left.
static ic_status prepare(const ic_cluster *cluster,
                         const ic_spawn_options *options, ic_start *start) {
  ic_entry entry = {0};
  ic_status status = IC_OK;
  if (options->properties) {
    status = ic_message_copy(options->properties, &start->properties);
  }
  if (status == IC_OK) status = copy_entry(options, &entry);
  if (status == IC_OK) status = copy_sandbox(cluster, options->sandbox, &entry);
  if (status == IC_OK) status = ic_isolate_new("(spawn)", &start->spawner);
  if (entry.sandbox.data && start->limits.memory_bytes == 0) {
    start->limits.memory_bytes = IC_SANDBOX_MEMORY_BYTES;
  }
  ic_lua_body *body = status == IC_OK ? ic_body_new(&entry) : NULL;
  if (body) {
    start->body = &body->base;
    return IC_OK;
  }
  ic_entry_fini(&entry);  // empty if the body had no memory
  ic_isolate_release(start->spawner);
  ic_message_free(start->properties);
  return status == IC_OK ? IC_MEMORY : status;
}

// How often a waiting spawn looks whether a shutdown has given the isolate up,
// in which case nobody tells.
enum { LOOK_EVERY_MS = 50 };

// Waits for the outcome of a spawn that loads on the isolate's own thread.
static ic_status wait_for_spawned(ic_isolate *waiter, ic_isolate *isolate,
                                  char **text) {
  for (;;) {
    bool given_up = ic_mailbox_is_closed(&isolate->mailbox);
    ic_message *event =
        ic_isolate_take(waiter, given_up ? 0 : ic_deadline_ns(LOOK_EVERY_MS));
    if (event) {
      ic_status status = event->status;
      *text = event->text;
      event->text = NULL;
      ic_message_free_chain(event);
      return status;
    }
    if (given_up) return IC_DOWN;
  }
}

ic_status ic_cluster_spawn(ic_cluster *cluster, const ic_spawn_options *options,
                           ic_ref **out, char **message) {
  if (!has_one_entry(options)) return IC_INVALID;
  ic_start start = {
      .path = options->path,
      .limits = options->limits ? *options->limits : cluster->limits,
      .load_later = options->module != NULL,
      .shared = options->thread == IC_THREAD_DEFAULT
                    ? cluster->shared
                    : options->thread == IC_THREAD_SHARED};
  ic_status status = prepare(cluster, options, &start);
  if (status != IC_OK) return status;
  ic_isolate *isolate = NULL;
  char *text = NULL;
  status = ic_cluster_start(cluster, &start, &isolate, &text);
  if (status == IC_OK && start.load_later) {
    status = wait_for_spawned(start.spawner, isolate, &text);
  }
  ic_isolate_release(start.spawner);
  if (status == IC_OK && out) {
    *out = isolate;
  } else {
    ic_isolate_release(isolate);
  }
  if (message && text) {
    *message = text;
  } else {
    free(text);
  }
  return status;
}

void ic_free(void *text) {
  free(text);
}
