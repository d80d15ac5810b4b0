#include "netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { ANSWER_BYTES = 65536, SOL_NETLINK_LEVEL = 270, EXTENDED_ACK = 11, ACK_TEXT = 1 };

static size_t align(size_t size) { return (size + 3) & ~(size_t)3; }

bool next_attribute(Slice *attributes, uint16_t *type, Slice *value) {
  uint16_t head[2];
  if (attributes->size < sizeof head) return false;
  memcpy(head, attributes->at, sizeof head);
  if (head[0] < sizeof head || head[0] > attributes->size) return false;
  *type = head[1] & 0x3fff;
  *value = (Slice){attributes->at + sizeof head, head[0] - sizeof head};
  size_t taken = align(head[0]) < attributes->size ? align(head[0]) : attributes->size;
  attributes->at += taken;
  attributes->size -= taken;
  return true;
}

void add_attribute(Buffer *message, uint16_t type, const void *value, size_t size) {
  uint16_t head[2] = {(uint16_t)(sizeof head + size), type};
  buffer_add(message, head, sizeof head);
  buffer_add(message, value, size);
  buffer_add(message, (uint8_t[4]){0}, align(size) - size);
}

/* The text of an error message: the kernel's own words when it has some. */
static char *error_text(Slice body, uint16_t flags) {
  int32_t error;
  MessageHeader request;
  if (body.size < sizeof error + sizeof request) return join("the kernel's answer is cut off", NULL);
  memcpy(&error, body.at, sizeof error);
  if (error == 0) return NULL;
  memcpy(&request, body.at + sizeof error, sizeof request);
  size_t skipped = sizeof error + ((flags & FLAG_CAPPED) != 0 ? sizeof request : align(request.length));
  if ((flags & FLAG_ACK_TLVS) != 0 && skipped < body.size) {
    Slice attributes = {body.at + skipped, body.size - skipped}, value;
    uint16_t type;
    while (next_attribute(&attributes, &type, &value))
      if (type == ACK_TEXT && value.size > 1) return join(strerror(-error), ": ", (const char *)value.at, NULL);
  }
  return join(strerror(-error), NULL);
}

char *ask_kernel(int socket, uint16_t type, uint16_t flags, Slice body, TakeMessage *take, void *context) {
  static uint8_t answer[ANSWER_BYTES] __attribute__((aligned(8)));
  static uint32_t sequence;
  int on = 1;
  setsockopt(socket, SOL_NETLINK_LEVEL, EXTENDED_ACK, &on, sizeof on);
  struct timeval limit = {.tv_sec = 10};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  bool is_dump = (flags & FLAG_DUMP) == FLAG_DUMP && (type == MESSAGE_GET_LINK || type == MESSAGE_GET_ROUTE);
  MessageHeader header = {(uint32_t)(sizeof header + body.size), type,
                          (uint16_t)(flags | FLAG_REQUEST | (is_dump ? 0 : FLAG_ACK)), ++sequence, 0};
  struct iovec parts[] = {{&header, sizeof header}, {(void *)body.at, body.size}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (sendmsg(socket, &message, 0) < 0) return join("netlink: ", strerror(errno), NULL);
  for (;;) {
    ssize_t got = recv(socket, answer, sizeof answer, MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return join("netlink: ", strerror(errno), NULL);
    if (got > (ssize_t)sizeof answer) return join("netlink: an answer is too long", NULL);
    for (size_t at = 0; at + sizeof header <= (size_t)got;) {
      memcpy(&header, answer + at, sizeof header);
      if (header.length < sizeof header || header.length > (size_t)got - at) return join("netlink: a message is cut off", NULL);
      Slice content = {answer + at + sizeof header, header.length - sizeof header};
      at += align(header.length);
      if (header.sequence != sequence) continue;
      if (header.type == MESSAGE_DONE) return NULL;
      if (header.type == MESSAGE_ERROR) return error_text(content, header.flags);
      if (take != NULL) take(context, header.type, content);
    }
  }
}

static void take_link(void *context, uint16_t type, Slice body) {
  Slice attributes = {body.at + sizeof(LinkHeader), body.size - sizeof(LinkHeader)}, value;
  if (type != MESSAGE_NEW_LINK || body.size < sizeof(LinkHeader)) return;
  // The name ends with NUL, and so does an item of a list.
  for (uint16_t attribute; next_attribute(&attributes, &attribute, &value);)
    if (attribute == LINK_NAME && value.size > 1 && value.at[value.size - 1] == 0) buffer_slice(context, value);
}

void add_links(Buffer *list, int socket) {
  LinkHeader request = {0};
  free(ask_kernel(socket, MESSAGE_GET_LINK, FLAG_DUMP, (Slice){(uint8_t *)&request, sizeof request}, take_link, list));
}
