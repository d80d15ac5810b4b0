#include "inherited_lock.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>

#include "clock.h"
#include "lock.h"

enum { FIRST_FD = 3, LONGEST_WAIT_DIGITS = 9 };

static bool parse_wait(const char *text, int64_t *out) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > LONGEST_WAIT_DIGITS || text[digits] != 0) return false;
  for (*out = 0; *text != 0; text++) *out = *out * 10 + (*text - '0');
  return true;
}

static int parse_mode(const char *text) {
  if (strcmp(text, "exclusive") == 0) return LOCK_EX;
  return strcmp(text, "shared") == 0 ? LOCK_SH : 0;
}

int lock_inherited(const char *milliseconds, char **modes, Fault *fault) {
  int64_t wait_ms;
  bool is_good = parse_wait(milliseconds, &wait_ms) && *modes != NULL;
  for (char **mode = modes; is_good && *mode != NULL; mode++) is_good = parse_mode(*mode) != 0;
  if (!is_good) return 2;
  int64_t deadline = now_ms() + wait_ms;
  for (int fd = FIRST_FD; *modes != NULL; fd++, modes++) {
    LockState state = wait_for_flock(fd, parse_mode(*modes), deadline);
    if (state == LOCK_BUSY) return 1;
    if (state == LOCK_HAD) continue;
    *fault = (Fault){CODE_IO, join("descriptor ", decimal((uint64_t)fd), " cannot be locked: ", strerror(errno), NULL)};
    return 2;
  }
  return 0;
}
