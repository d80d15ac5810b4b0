#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void add_netns_id(Buffer *out, const char *path) {
  struct stat there;
  if (path[0] == 0 || stat(path, &there) != 0) return;
  buffer_number(out, (uint64_t)there.st_dev);
  buffer_text(out, ":");
  buffer_number(out, (uint64_t)there.st_ino);
  // The kernel hands a freed inode number to the next namespace at once; below /proc/ the time says nothing.
  if (strncmp(path, "/proc/", 6) == 0) return;
  buffer_text(out, ":");
  buffer_number(out, (uint64_t)there.st_ctim.tv_sec * 1000000000u + (uint64_t)there.st_ctim.tv_nsec);
}

bool is_own_netns(const char *path) {
  struct stat theirs, ours;
  if (path[0] == 0 || stat(path, &theirs) != 0 || stat("/proc/self/ns/net", &ours) != 0) return false;
  return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

typedef struct {
  int netns, socket, error;
} Entry;

static int enter(void *argument) {
  Entry *entry = argument;
  if (setns(entry->netns, CLONE_NEWNET) != 0) entry->error = errno;
  else if ((entry->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)) < 0) entry->error = errno;
  return 0;
}

// A socket stays in the namespace where it was made. The child that makes it shares memory and
// descriptors with us, and nothing else: we ourselves never leave our namespace.
int open_netlink(const char *netns) {
  static uint8_t stack[16384] __attribute__((aligned(16)));
  Entry entry = {open(netns, O_RDONLY | O_CLOEXEC | O_NONBLOCK), -1, 0};
  if (entry.netns < 0) return -1;
  pid_t child = clone(enter, stack + sizeof stack, CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD, &entry);
  int error = child < 0 ? errno : 0;
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
  close(entry.netns);
  errno = error != 0 ? error : entry.error;
  return entry.socket;
}
