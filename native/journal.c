#include "journal.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 8, LEAST_RECORD_BYTES = 9 };

static uint32_t crc32(Slice bytes) {
  static uint32_t table[256];
  if (table[1] == 0) {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
      table[i] = value;
    }
  }
  uint32_t crc = ~0u;
  for (size_t i = 0; i < bytes.size; i++) crc = crc >> 8 ^ table[(crc ^ bytes.at[i]) & 255];
  return ~crc;
}

static bool is_known_kind(uint8_t kind) { return kind == KIND_EXEC || (kind >= KIND_PLANNED && kind <= KIND_ATTEMPTED); }

/* The record at an offset, when its checksum holds; `end` is where the next one begins. */
static bool read_record(Slice bytes, size_t offset, Record *record, size_t *end) {
  if (bytes.size < LEAST_RECORD_BYTES || offset > bytes.size - LEAST_RECORD_BYTES) return false;
  size_t length = get_u32(bytes.at + offset);
  if (length < 1 || length > MAX_FRAME_BYTES || length > bytes.size - offset - 8) return false;
  Slice body = {bytes.at + offset + 4, length};
  if (crc32(body) != get_u32(body.at + length)) return false;
  *record = (Record){body.at[0], {body.at + 1, length - 1}};
  *end = offset + 4 + length + 4;
  return fields_fill(record->fields);
}

static size_t find_record(Slice bytes, size_t from) {
  Record record;
  size_t end;
  for (size_t offset = from; offset + LEAST_RECORD_BYTES <= bytes.size; offset++)
    if (is_known_kind(bytes.at[offset + 4]) && read_record(bytes, offset, &record, &end)) return offset;
  return 0;
}

static void keep(Journal *journal, size_t *room, Record record) {
  if (journal->count == *room) {
    *room = *room == 0 ? 32 : *room * 2;
    Record *grown = allocate(*room * sizeof *grown);
    if (journal->count > 0) memcpy(grown, journal->records, journal->count * sizeof *grown);
    free(journal->records);
    journal->records = grown;
  }
  journal->records[journal->count++] = record;
}

/*
 * Whether `planned` and every `exec` that it announces are there: they came into being at once, by a
 * rename, so that no crash of ours tears them.
 */
static bool has_whole_plan(const Journal *journal) {
  if (journal->count == 0 || journal->records[0].kind != KIND_PLANNED) return false;
  Slice fields = journal->records[0].fields, field;
  for (int i = 0; i < 4; i++)
    if (!next_field(&fields, &field)) return true;
  uint32_t announced, execs = 0;
  if (!next_number(&fields, &announced)) return true;
  for (size_t i = 0; i < journal->count; i++) execs += journal->records[i].kind == KIND_EXEC;
  return execs == announced;
}

Journal decode_journal(Slice bytes) {
  Journal journal = {.state = JOURNAL_INTACT};
  size_t room = 0, offset = 0;
  bool is_damaged = true;
  if (bytes.size >= HEADER_BYTES && memcmp(bytes.at, "PLXJ", 4) == 0) {
    journal.version = get_u32(bytes.at + 4);
    if (journal.version > JOURNAL_VERSION) {
      journal.state = JOURNAL_NEWER;
      return journal;
    }
    is_damaged = journal.version == 0;
    offset = HEADER_BYTES;
  }
  journal.length = offset;
  while (offset < bytes.size) {
    Record record;
    size_t end;
    if (read_record(bytes, offset, &record, &end)) {
      keep(&journal, &room, record);
      journal.length = offset = end;
      continue;
    }
    size_t next = find_record(bytes, offset + 1);
    if (next == 0) {
      journal.state = is_damaged || !has_whole_plan(&journal) ? JOURNAL_DAMAGED : JOURNAL_TORN;
      return journal;
    }
    is_damaged = true;
    offset = next;
  }
  if (is_damaged || !has_whole_plan(&journal)) journal.state = JOURNAL_DAMAGED;
  return journal;
}

void free_journal(Journal *journal) {
  free(journal->records);
  journal->records = NULL;
  journal->count = 0;
}

void add_record(Buffer *out, uint8_t kind, const uint32_t *number) {
  uint8_t checksum[4];
  size_t frame = begin_frame(out, kind);
  if (number != NULL) add_number(out, *number);
  end_frame(out, frame);
  put_u32(checksum, crc32((Slice){out->at + frame + 4, out->size - frame - 4}));
  buffer_add(out, checksum, sizeof checksum);
}

bool is_temporary_name(const char *name) { return strncmp(name, ".planned-", 9) == 0 && strlen(name) > 15; }
