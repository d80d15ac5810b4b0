/* The stream to the daemon: whole frames in, whole frames out, in whatever pieces the socket takes them. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "frame.h"

/* `fd` is -1 when there is none. */
typedef struct {
  int fd;
  Buffer in, out;
  /* Bytes of `in` that are taken, of `out` that are sent. */
  size_t taken, sent;
} Connection;

typedef enum {
  CONNECTED,
  /* Nobody listens now. */
  CONNECT_LATER,
  /* What is there must not be trusted. */
  CONNECT_REFUSED,
} ConnectState;

/* `reason` is given when it does not connect, for the caller to free. */
ConnectState open_connection(Connection *connection, const char *path, char **reason);
void close_connection(Connection *connection);
/* Sends what waits and then the bytes, or keeps what the socket does not take now; false when it is lost. */
bool send_bytes(Connection *connection, Slice head, Slice tail);
bool flush_connection(Connection *connection);
/* Reads what is there; false when it is lost. */
bool receive_bytes(Connection *connection);

typedef enum { FRAME_NONE, FRAME_WHOLE, FRAME_WRONG } FrameState;

/* The next frame; its fields stay valid until bytes are received again. */
FrameState take_frame(Connection *connection, uint8_t *kind, Slice *fields);

#endif
