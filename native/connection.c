#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 65536 };

/* The folder is what keeps others from listening there in the daemon's stead. */
static ConnectState check_directory(const char *path, char **reason) {
  struct stat there;
  const char *slash = strrchr(path, '/');
  char *directory = slash == path ? join("/", NULL) : slice_copy((Slice){(const uint8_t *)path, (size_t)(slash - path)});
  ConnectState state = CONNECTED;
  if (lstat(directory, &there) != 0) {
    state = CONNECT_LATER;
    *reason = join(directory, ": ", strerror(errno), NULL);
  } else if (!S_ISDIR(there.st_mode) || there.st_uid != 0 || (there.st_mode & 077) != 0) {
    state = CONNECT_REFUSED;
    *reason = join("socket directory ", directory, " must be a directory of root's with mode 0700", NULL);
  }
  free(directory);
  return state;
}

ConnectState open_connection(Connection *connection, const char *path, char **reason) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct {
    int32_t pid;
    uint32_t uid, gid;
  } peer;
  socklen_t size = sizeof peer;
  *connection = (Connection){.fd = -1};
  ConnectState state = check_directory(path, reason);
  if (state != CONNECTED) return state;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    *reason = join(strerror(errno), NULL);
    state = CONNECT_LATER;
  } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != 0) {
    *reason = join("who listens on ", path, " is not root", NULL);
    state = CONNECT_REFUSED;
  }
  if (state == CONNECTED) connection->fd = fd;
  else if (fd >= 0) close(fd);
  return state;
}

void close_connection(Connection *connection) {
  if (connection->fd >= 0) close(connection->fd);
  buffer_free(&connection->in);
  buffer_free(&connection->out);
  *connection = (Connection){.fd = -1};
}

/* Bytes sent, 0 when the socket takes none now, -1 when it is lost. */
static ssize_t send_parts(int fd, struct iovec *parts, size_t count) {
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (int)count};
  for (;;) {
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0 || errno == EAGAIN) return sent < 0 ? 0 : sent;
    if (errno != EINTR) return -1;
  }
}

bool flush_connection(Connection *connection) {
  while (connection->sent < connection->out.size) {
    struct iovec part = {connection->out.at + connection->sent, connection->out.size - connection->sent};
    ssize_t sent = send_parts(connection->fd, &part, 1);
    if (sent < 0) return false;
    if (sent == 0) return true;
    connection->sent += (size_t)sent;
  }
  connection->out.size = connection->sent = 0;
  return true;
}

bool send_bytes(Connection *connection, Slice head, Slice tail) {
  if (!flush_connection(connection)) return false;
  size_t sent = 0;
  while (connection->out.size == 0 && sent < head.size + tail.size) {
    size_t of_head = sent < head.size ? sent : head.size, of_tail = sent - of_head;
    struct iovec parts[] = {{(void *)(head.at + of_head), head.size - of_head}, {(void *)(tail.at + of_tail), tail.size - of_tail}};
    ssize_t got = send_parts(connection->fd, parts, 2);
    if (got < 0) return false;
    if (got == 0) break;
    sent += (size_t)got;
  }
  size_t of_head = sent < head.size ? sent : head.size, of_tail = sent - of_head;
  buffer_add(&connection->out, head.at + of_head, head.size - of_head);
  buffer_add(&connection->out, tail.at + of_tail, tail.size - of_tail);
  return true;
}

bool receive_bytes(Connection *connection) {
  buffer_drop(&connection->in, connection->taken);
  connection->taken = 0;
  // A large frame gets its room at once; before, only what is really there is kept.
  static uint8_t bytes[READ_BYTES];
  for (int turn = 0; turn < 16; turn++) {
    ssize_t got = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    buffer_add(&connection->in, bytes, (size_t)got);
    if ((size_t)got < sizeof bytes) return true;
  }
  return true;
}

FrameState take_frame(Connection *connection, uint8_t *kind, Slice *fields) {
  const uint8_t *at = connection->in.at + connection->taken;
  size_t left = connection->in.size - connection->taken;
  if (left < 4) return FRAME_NONE;
  size_t length = get_u32(at);
  if (length < 1 || length > MAX_FRAME_BYTES) return FRAME_WRONG;
  if (left - 4 < length) return FRAME_NONE;
  *kind = at[4];
  *fields = (Slice){at + 5, length - 1};
  connection->taken += 4 + length;
  return fields_fill(*fields) ? FRAME_WHOLE : FRAME_WRONG;
}
