/* Stretches of bytes, growing buffers and text; no printf, so that the program stays small and quick. */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that belong to somebody else. */
typedef struct {
  const uint8_t *at;
  size_t size;
} Slice;

/* Bytes that grow; all zero is an empty one. */
typedef struct {
  uint8_t *at;
  size_t size, room;
} Buffer;

Slice slice_of(const char *text);
bool slice_is(Slice slice, const char *text);
bool slice_equal(Slice left, Slice right);
/* Whether the needle occurs in it. */
bool slice_has(Slice slice, const char *needle);
/* A copy that ends with NUL, for the caller to free. */
char *slice_copy(Slice slice);
bool slice_has_nul(Slice slice);

/* Makes room for so many more bytes and gives where they begin. Ends the process when there is no memory. */
uint8_t *buffer_reserve(Buffer *buffer, size_t size);
void buffer_add(Buffer *buffer, const void *bytes, size_t size);
void buffer_slice(Buffer *buffer, Slice slice);
void buffer_text(Buffer *buffer, const char *text);
void buffer_number(Buffer *buffer, uint64_t number);
/* Removes bytes from its beginning. */
void buffer_drop(Buffer *buffer, size_t size);
void buffer_free(Buffer *buffer);
Slice buffer_whole(const Buffer *buffer);
/* Its bytes as a string; NUL is put behind them, not counted. */
const char *buffer_string(Buffer *buffer);

/* A new text of all arguments up to NULL, for the caller to free. */
char *join(const char *first, ...) __attribute__((sentinel, malloc));
/* A decimal number as text in a static place of four that take turns. */
const char *decimal(uint64_t number);

void put_u32(uint8_t *at, uint32_t number);
uint32_t get_u32(const uint8_t *at);

void *allocate(size_t size);

#endif
