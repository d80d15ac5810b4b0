/* The frames of protocol and journal: u32 length, u8 kind, then fields, each u32 length and bytes. */
#ifndef FRAME_H
#define FRAME_H

#include "bytes.h"

enum {
  MAX_FRAME_BYTES = 16 * 1024 * 1024,
  LOWEST_PROTOCOL = 1,
  HIGHEST_PROTOCOL = 1,
};

/* Kinds below 32 are the protocol's, the others the journal's; `exec` stands in both. */
enum {
  KIND_HELLO = 1,
  KIND_PROBE = 2,
  KIND_FACTS = 3,
  KIND_EXEC = 4,
  KIND_EXIT = 5,
  KIND_ROUTES = 6,
  KIND_ROUTED = 7,
  KIND_DONE = 8,
  KIND_ERRAND = 9,
  KIND_LOG = 10,
  KIND_CANCEL = 11,
  KIND_PLANNED = 32,
  KIND_STARTED = 33,
  KIND_UNDO = 34,
  KIND_COMPLETE = 35,
  KIND_PUBLISHED = 36,
  KIND_UNDONE = 37,
  KIND_ATTEMPTED = 38,
};

/* When a call of a burst starts: at once, after the one before it succeeded or ended, or with it, unless that one is dropped. */
enum { MODE_NOW = 0, MODE_AFTER_SUCCESS = 1, MODE_AFTER_END = 2, MODE_WITH = 3, MODE_ORDER = 3 };
/*
 * Added to it: exits are told when they come; the plugin does nothing without its input and may start up before its
 * turn; it stays on one processor, with MODE_WITH on another than the one before it; this is no call yet but lets the
 * plugin of the next one start up.
 */
enum { MODE_TELL_AT_ONCE = 4, MODE_START_AHEAD = 8, MODE_KEEP_PROCESSOR = 16, MODE_HOLD = 32, MODE_ALL = 63 };

/* A delegate's call; its texts are stretches of the frame. */
typedef struct {
  uint32_t id, mode, timeout_ms;
  Slice type, command, container_id, netns, if_name, args, stdin_bytes;
} Exec;

/* Whether fields fill what follows the kind exactly. */
bool fields_fill(Slice fields);
/* Takes the next field off; false at the end. Only for what fields_fill holds of. */
bool next_field(Slice *fields, Slice *field);
bool next_number(Slice *fields, uint32_t *number);
/* Takes the next item of a list field (each ended by NUL) off. */
bool next_item(Slice *list, Slice *item);
/* False when a field is missing, has the wrong size, or a text has a NUL in it. */
bool decode_exec(Slice fields, Exec *exec);

/* Begins a frame and gives its place for end_frame. */
size_t begin_frame(Buffer *buffer, uint8_t kind);
void add_field(Buffer *buffer, Slice field);
void add_text(Buffer *buffer, const char *text);
void add_number(Buffer *buffer, uint32_t number);
/* A field whose size is not known yet, for end_field. */
size_t begin_field(Buffer *buffer);
void end_field(Buffer *buffer, size_t begin);
void end_frame(Buffer *buffer, size_t begin);

#endif
