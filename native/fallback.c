#include "fallback.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"

extern char **environ;

static int hex_digit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Whether plain text may be written with escapes, which a byte search does not see through. */
static bool hides_text(Slice text) {
  for (size_t i = 0; i + 1 < text.size; i++) {
    if (text.at[i] != '\\') continue;
    if (text.at[i + 1] == '/') return true;
    if (text.at[i + 1] != 'u' || i + 5 >= text.size || text.at[i + 2] != '0' || text.at[i + 3] != '0') continue;
    int high = hex_digit(text.at[i + 4]), low = hex_digit(text.at[i + 5]);
    int character = high * 16 + low;
    // Go's encoder writes these three so; none of them is in the names that we look for.
    bool is_usual = character == '<' || character == '>' || character == '&';
    if (high >= 2 && high <= 7 && low >= 0 && !is_usual) return true;
  }
  return false;
}

bool wants_default_network_alone(Slice stdin_bytes) {
  static const char *const names[] = {"k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network", "plexus-cni.io/"};
  if (!slice_has(stdin_bytes, "\"io.kubernetes.cri.pod-annotations\"") || hides_text(stdin_bytes)) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (slice_has(stdin_bytes, names[i])) return false;
  return true;
}

static int open_stdin(Slice bytes) {
  int fd = memfd_create("stdin", MFD_CLOEXEC);
  while (fd >= 0 && bytes.size > 0) {
    ssize_t written = write(fd, bytes.at, bytes.size);
    if (written < 0) {
      close(fd);
      return -1;
    }
    bytes.at += written;
    bytes.size -= (size_t)written;
  }
  if (fd >= 0 && (lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0)) return -1;
  return fd;
}

void try_fallback(Session *session) {
  char *path = session->config.fallback, real[PATH_MAX];
  if (path == NULL || !wants_default_network_alone(session->stdin_bytes)) return;
  char *reason = realpath(path, real) == NULL ? join(path, ": ", strerror(errno), NULL) : trust_fault(real);
  if (reason == NULL && open_stdin(session->stdin_bytes) >= 0) {
    stop_guard(&session->guard);
    unlock(&session->lock, false);
    restore_signals();
    execve(real, (char *[]){path, NULL}, environ);
    reason = join(path, ": ", strerror(errno), NULL);
  }
  char *message = join("the fallback is not run: ", reason == NULL ? "no memory for its stdin" : reason, NULL);
  warn(message);
  free(message);
  free(reason);
}
