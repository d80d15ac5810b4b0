/* The journal's files (src/journal/format.ts): magic, version, then frames, each with its CRC-32. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "frame.h"

enum { JOURNAL_VERSION = 1 };

typedef enum { JOURNAL_INTACT, JOURNAL_TORN, JOURNAL_DAMAGED, JOURNAL_NEWER } JournalState;

typedef struct {
  uint8_t kind;
  Slice fields;
} Record;

/* Stretches of the file's bytes. */
typedef struct {
  JournalState state;
  uint32_t version;
  Record *records;
  size_t count;
  /* Bytes up to the end of the last whole record. */
  size_t length;
} Journal;

Journal decode_journal(Slice bytes);
void free_journal(Journal *journal);
/* Appends a record. */
void add_record(Buffer *out, uint8_t kind, const uint32_t *number);
/* Whether a file name in a sandbox's folder is one that a crash left while it was written. */
bool is_temporary_name(const char *name);

#endif
