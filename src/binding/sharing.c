// sharing.c - a hash map of addresses, and the pass that inserts the tags.

#include "binding/sharing.h"

#include <string.h>

#include "binding/value_scratch.h"
#include "core/block.h"

typedef struct {
  size_t at;      // offset of its head
  size_t number;  // UNSHARED, or of its tag 28 among all
} visited_table;

typedef struct {
  size_t at;     // offset where it was met again
  size_t table;  // its place in the list of tables
} reference;

// Open addressing; a slot with another epoch than the scratch's is empty, so
// that no value pays for the slots of the one before.
typedef struct {
  const void *table;
  uint32_t index;
  uint32_t epoch;
} slot;

#define UNSHARED SIZE_MAX
enum { FIRST_SLOTS = 32 };

static visited_table *tables_of(const ic_value_scratch *scratch) {
  return scratch->tables.items;
}

static reference *references_of(const ic_value_scratch *scratch) {
  return scratch->references.items;
}

// --- The map ---------------------------------------------------------------

void ic_sharing_begin(ic_value_scratch *scratch) {
  scratch->tables.count = scratch->references.count = 0;
  if (++scratch->epoch != 0) return;
  scratch->epoch = 1;  // it went round: the slots must not look young
  ic_value_list *slots = &scratch->slots;
  if (slots->items) memset(slots->items, 0, slots->capacity * sizeof(slot));
}

void ic_sharing_end(ic_value_scratch *scratch) {
  ic_value_scratch_trim_list(&scratch->tables, sizeof(visited_table));
  ic_value_scratch_trim_list(&scratch->references, sizeof(reference));
  ic_value_scratch_trim_list(&scratch->slots, sizeof(slot));
}

// The slot of [table], or the empty one where it belongs. The capacity is a
// power of two, and at least half of the slots are empty.
static slot *find_slot(const ic_value_list *slots, uint32_t epoch,
                       const void *table) {
  slot *items = slots->items;
  uint64_t hash = (uint64_t)(uintptr_t)table * UINT64_C(0x9e3779b97f4a7c15);
  size_t i = (size_t)(hash >> 32);
  for (;; i++) {
    slot *found = &items[i & (slots->capacity - 1)];
    if (found->epoch != epoch || found->table == table) return found;
  }
}

static ic_status grow_slots(ic_value_list *slots, uint32_t epoch) {
  size_t capacity = slots->capacity ? slots->capacity * 2 : FIRST_SLOTS;
  ic_value_list grown = {.capacity = capacity,
                         .bytes = capacity * sizeof(slot)};
  grown.items = ic_block_take(grown.bytes);
  if (!grown.items) return IC_MEMORY;
  memset(grown.items, 0, grown.bytes);
  const slot *old = slots->items;
  for (size_t i = 0; i < slots->capacity; i++) {
    if (old[i].epoch != epoch) continue;
    *find_slot(&grown, epoch, old[i].table) = old[i];
  }
  ic_block_give(slots->items, slots->bytes);
  *slots = grown;
  return IC_OK;
}

static ic_status refer(ic_value_scratch *scratch, size_t table, size_t at) {
  ic_value_list *list = &scratch->references;
  size_t count = list->count + 1;
  ic_status status = ic_value_scratch_reserve(list, count, sizeof(reference));
  if (status != IC_OK) return status;
  references_of(scratch)[list->count++] = (reference){at, table};
  tables_of(scratch)[table].number = 0;  // numbered at the end
  return IC_OK;
}

ic_status ic_sharing_meet(ic_value_scratch *scratch, const void *table,
                          size_t at, bool *again) {
  ic_value_list *list = &scratch->tables, *slots = &scratch->slots;
  if (list->count == UINT32_MAX) return IC_MEMORY;
  if (list->count >= slots->capacity / 2) {
    if (grow_slots(slots, scratch->epoch) != IC_OK) return IC_MEMORY;
  }
  slot *found = find_slot(slots, scratch->epoch, table);
  *again = found->epoch == scratch->epoch;
  if (*again) return refer(scratch, found->index, at);
  size_t count = list->count + 1;
  ic_status status =
      ic_value_scratch_reserve(list, count, sizeof(visited_table));
  if (status != IC_OK) return status;
  *found = (slot){table, (uint32_t)list->count, scratch->epoch};
  tables_of(scratch)[list->count++] = (visited_table){at, UNSHARED};
  return IC_OK;
}

// --- The tags --------------------------------------------------------------

// Numbers the shared tables in the order of their bytes; answers how many bytes
// their tags and those of the references take.
static size_t number_tables(ic_value_scratch *scratch) {
  static const size_t tag_size = 2;
  size_t numbered = 0, extra = 0;
  for (size_t i = 0; i < scratch->tables.count; i++) {
    visited_table *table = &tables_of(scratch)[i];
    if (table->number != UNSHARED) table->number = numbered++;
  }
  for (size_t i = 0; i < scratch->references.count; i++) {
    size_t table = references_of(scratch)[i].table;
    extra += tag_size + ic_codec_head_size(tables_of(scratch)[table].number);
  }
  return extra + numbered * tag_size;
}

// Tags are inserted from the last to the first: what lies between two of them
// is moved once, to its last place.
typedef struct {
  ic_buffer *out;
  size_t moved;  // what lies behind this offset is moved
  size_t free;   // up to here there is room
} inserter;

static void insert(inserter *to, size_t at, const uint8_t *bytes, size_t size) {
  size_t between = to->moved - at;
  to->free -= between;
  memmove(to->out->bytes + to->free, to->out->bytes + at, between);
  to->moved = at;
  to->free -= size;
  memcpy(to->out->bytes + to->free, bytes, size);
}

static void insert_mark(inserter *to, const visited_table *table) {
  uint8_t bytes[IC_CODEC_HEAD_MAX];
  uint8_t *behind =
      ic_codec_put_head(bytes, IC_CODEC_TAG, IC_CODEC_TAG_SHAREABLE);
  insert(to, table->at, bytes, (size_t)(behind - bytes));
}

static void insert_reference(inserter *to, size_t at, size_t number) {
  uint8_t bytes[2 * IC_CODEC_HEAD_MAX];
  uint8_t *behind = ic_codec_put_head(bytes, IC_CODEC_TAG, IC_CODEC_TAG_SHARED);
  behind = ic_codec_put_head(behind, IC_CODEC_UNSIGNED, number);
  insert(to, at, bytes, (size_t)(behind - bytes));
}

static bool is_for_none(const ic_buffer *out) {
  return out->killed && atomic_load_explicit(out->killed, memory_order_relaxed);
}

ic_status ic_sharing_insert_tags(ic_value_scratch *scratch, ic_buffer *out) {
  size_t references = scratch->references.count;
  if (references == 0) return IC_OK;
  size_t extra = number_tables(scratch);
  ic_status status = ic_buffer_reserve(out, extra);
  if (status != IC_OK) return status;
  inserter to = {out, out->size, out->size + extra};
  for (size_t i = scratch->tables.count; i > 0; i--) {
    const visited_table *table = &tables_of(scratch)[i - 1];
    if (i % IC_VALUE_ROUND == 0 && is_for_none(out)) return IC_GONE;
    if (table->number == UNSHARED) continue;
    // A reference at the same offset was met before the table: it comes first.
    for (; references > 0; references--) {
      const reference *last = &references_of(scratch)[references - 1];
      if (last->at <= table->at) break;
      if (references % IC_VALUE_ROUND == 0 && is_for_none(out)) return IC_GONE;
      insert_reference(&to, last->at, tables_of(scratch)[last->table].number);
    }
    insert_mark(&to, table);
  }
  out->size += extra;
  return IC_OK;
}
