/* The kernel's routing messages as far as we speak them; musl brings no kernel headers. */
#ifndef NETLINK_H
#define NETLINK_H

#include <stdint.h>

#include "bytes.h"

enum {
  MESSAGE_ERROR = 2,
  MESSAGE_DONE = 3,
  MESSAGE_NEW_LINK = 16,
  MESSAGE_GET_LINK = 18,
  MESSAGE_NEW_ROUTE = 24,
  MESSAGE_DEL_ROUTE = 25,
  MESSAGE_GET_ROUTE = 26,
};

enum {
  FLAG_REQUEST = 0x1,
  FLAG_ACK = 0x4,
  FLAG_DUMP = 0x300,
  FLAG_REPLACE = 0x100,
  FLAG_CREATE = 0x400,
  FLAG_APPEND = 0x800,
  FLAG_CAPPED = 0x100,
  FLAG_ACK_TLVS = 0x200,
};

enum {
  LINK_NAME = 3,
  ROUTE_DESTINATION = 1,
  ROUTE_INTERFACE = 4,
  ROUTE_GATEWAY = 5,
  ROUTE_PRIORITY = 6,
  ROUTE_MULTIPATH = 9,
  ROUTE_CACHE_INFO = 12,
  ROUTE_TABLE = 15,
  ROUTE_VIA = 18,
};

enum { TABLE_MAIN = 254, PROTOCOL_BOOT = 3, SCOPE_UNIVERSE = 0, TYPE_UNICAST = 1, HOP_ON_LINK = 4 };

typedef struct {
  uint32_t length;
  uint16_t type, flags;
  uint32_t sequence, port;
} MessageHeader;

typedef struct {
  uint8_t family, padding;
  uint16_t type;
  int32_t index;
  uint32_t flags, change;
} LinkHeader;

typedef struct {
  uint8_t family, destination_bits, source_bits, tos, table, protocol, scope, type;
  uint32_t flags;
} RouteHeader;

typedef struct {
  uint16_t length;
  uint8_t flags, hops;
  int32_t index;
} HopHeader;

/* Takes the next attribute off; false at the end, or when its length is wrong. */
bool next_attribute(Slice *attributes, uint16_t *type, Slice *value);
void add_attribute(Buffer *message, uint16_t type, const void *value, size_t size);

/*
 * Sends a request (type, flags and a body that begins with its family header) and hands every message of
 * the answer to `take`. Returns NULL, or why it failed, for the caller to free.
 */
typedef void TakeMessage(void *context, uint16_t type, Slice body);
char *ask_kernel(int socket, uint16_t type, uint16_t flags, Slice body, TakeMessage *take, void *context);

/* Appends the names of all interfaces as a list field holds them. */
void add_links(Buffer *list, int socket);

#endif
