#include "frame.h"

#include <string.h>

bool fields_fill(Slice fields) {
  while (fields.size > 0) {
    if (fields.size < 4) return false;
    size_t length = get_u32(fields.at);
    if (length > fields.size - 4) return false;
    fields.at += 4 + length;
    fields.size -= 4 + length;
  }
  return true;
}

bool next_field(Slice *fields, Slice *field) {
  if (fields->size < 4) return false;
  size_t length = get_u32(fields->at);
  if (length > fields->size - 4) return false;
  *field = (Slice){fields->at + 4, length};
  fields->at += 4 + length;
  fields->size -= 4 + length;
  return true;
}

bool next_number(Slice *fields, uint32_t *number) {
  Slice field;
  if (!next_field(fields, &field) || field.size != 4) return false;
  *number = get_u32(field.at);
  return true;
}

bool next_item(Slice *list, Slice *item) {
  const uint8_t *end = list->size == 0 ? NULL : memchr(list->at, 0, list->size);
  if (end == NULL) return false;
  *item = (Slice){list->at, (size_t)(end - list->at)};
  list->size -= item->size + 1;
  list->at = end + 1;
  return true;
}

bool decode_exec(Slice fields, Exec *exec) {
  if (!next_number(&fields, &exec->id) || !next_number(&fields, &exec->mode)) return false;
  if (!next_number(&fields, &exec->timeout_ms)) return false;
  Slice *texts[] = {&exec->type, &exec->command, &exec->container_id, &exec->netns, &exec->if_name, &exec->args};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (!next_field(&fields, texts[i]) || slice_has_nul(*texts[i])) return false;
  return next_field(&fields, &exec->stdin_bytes);
}

size_t begin_frame(Buffer *buffer, uint8_t kind) {
  size_t begin = buffer->size;
  buffer_reserve(buffer, 5);
  buffer->at[begin + 4] = kind;
  buffer->size += 5;
  return begin;
}

void add_field(Buffer *buffer, Slice field) {
  put_u32(buffer_reserve(buffer, 4), (uint32_t)field.size);
  buffer->size += 4;
  buffer_slice(buffer, field);
}

void add_text(Buffer *buffer, const char *text) { add_field(buffer, slice_of(text)); }

void add_number(Buffer *buffer, uint32_t number) {
  uint8_t bytes[4];
  put_u32(bytes, number);
  add_field(buffer, (Slice){bytes, 4});
}

size_t begin_field(Buffer *buffer) {
  buffer_reserve(buffer, 4);
  buffer->size += 4;
  return buffer->size - 4;
}

void end_field(Buffer *buffer, size_t begin) { put_u32(buffer->at + begin, (uint32_t)(buffer->size - begin - 4)); }

void end_frame(Buffer *buffer, size_t begin) { put_u32(buffer->at + begin, (uint32_t)(buffer->size - begin - 4)); }
