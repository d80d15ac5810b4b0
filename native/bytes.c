#include "bytes.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Slice slice_of(const char *text) { return (Slice){(const uint8_t *)text, strlen(text)}; }

bool slice_is(Slice slice, const char *text) { return slice_equal(slice, slice_of(text)); }

bool slice_equal(Slice left, Slice right) {
  return left.size == right.size && (left.size == 0 || memcmp(left.at, right.at, left.size) == 0);
}

bool slice_has(Slice slice, const char *needle) {
  size_t length = strlen(needle);
  const uint8_t *at = slice.at, *end = slice.at + slice.size;
  while ((size_t)(end - at) >= length) {
    at = memchr(at, needle[0], (size_t)(end - at) - length + 1);
    if (at == NULL) return false;
    if (memcmp(at, needle, length) == 0) return true;
    at++;
  }
  return false;
}

char *slice_copy(Slice slice) {
  char *copy = allocate(slice.size + 1);
  if (slice.size > 0) memcpy(copy, slice.at, slice.size);
  copy[slice.size] = 0;
  return copy;
}

bool slice_has_nul(Slice slice) { return slice.size > 0 && memchr(slice.at, 0, slice.size) != NULL; }

static _Noreturn void end_without_memory(void) {
  static const char answer[] = "{\"code\":11,\"msg\":\"plexus: no memory left; retry when the node has some\"}\n";
  if (write(STDOUT_FILENO, answer, sizeof answer - 1) < 0) _exit(2);
  _exit(1);
}

void *allocate(size_t size) {
  void *memory = malloc(size == 0 ? 1 : size);
  if (memory == NULL) end_without_memory();
  return memory;
}

uint8_t *buffer_reserve(Buffer *buffer, size_t size) {
  if (buffer->room - buffer->size < size) {
    size_t room = buffer->room < 512 ? 512 : buffer->room;
    while (room - buffer->size < size) room *= 2;
    uint8_t *grown = realloc(buffer->at, room);
    if (grown == NULL) end_without_memory();
    buffer->at = grown;
    buffer->room = room;
  }
  return buffer->at + buffer->size;
}

void buffer_add(Buffer *buffer, const void *bytes, size_t size) {
  if (size == 0) return;
  memcpy(buffer_reserve(buffer, size), bytes, size);
  buffer->size += size;
}

void buffer_slice(Buffer *buffer, Slice slice) { buffer_add(buffer, slice.at, slice.size); }

void buffer_text(Buffer *buffer, const char *text) { buffer_add(buffer, text, strlen(text)); }

void buffer_number(Buffer *buffer, uint64_t number) { buffer_text(buffer, decimal(number)); }

void buffer_drop(Buffer *buffer, size_t size) {
  buffer->size -= size;
  if (buffer->size > 0) memmove(buffer->at, buffer->at + size, buffer->size);
}

void buffer_free(Buffer *buffer) {
  free(buffer->at);
  *buffer = (Buffer){0};
}

Slice buffer_whole(const Buffer *buffer) { return (Slice){buffer->at, buffer->size}; }

const char *buffer_string(Buffer *buffer) {
  *buffer_reserve(buffer, 1) = 0;
  return (const char *)buffer->at;
}

char *join(const char *first, ...) {
  va_list list;
  size_t size = 1;
  va_start(list, first);
  for (const char *part = first; part != NULL; part = va_arg(list, const char *)) size += strlen(part);
  va_end(list);
  char *text = allocate(size), *end = text;
  va_start(list, first);
  for (const char *part = first; part != NULL; part = va_arg(list, const char *)) {
    size_t length = strlen(part);
    memcpy(end, part, length);
    end += length;
  }
  va_end(list);
  *end = 0;
  return text;
}

const char *decimal(uint64_t number) {
  static char places[4][24];
  static unsigned turn;
  char *digit = places[turn++ % 4] + 23;
  *digit = 0;
  do *--digit = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  return digit;
}

void put_u32(uint8_t *at, uint32_t number) {
  at[0] = (uint8_t)(number >> 24);
  at[1] = (uint8_t)(number >> 16);
  at[2] = (uint8_t)(number >> 8);
  at[3] = (uint8_t)number;
}

uint32_t get_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
