#include "lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "folder.h"

/* Short naps at first: the one before us is most often about to end. */
LockState wait_for_flock(int fd, int mode, int64_t deadline_ms) {
  for (int64_t pause = 2;; pause = pause < 40 ? pause * 2 : 50) {
    if (flock(fd, mode | LOCK_NB) == 0) return LOCK_HAD;
    if (errno != EWOULDBLOCK && errno != EINTR) return LOCK_FAILED;
    int64_t left = deadline_ms - now_ms();
    if (left <= 0 || is_asked_to_end()) return LOCK_BUSY;
    nap(left < pause ? left : pause);
  }
}

void leave_lock(Lock *lock) {
  if (lock->file >= 0) close(lock->file);
  if (lock->folder >= 0) close(lock->folder);
  free(lock->name);
  *lock = NO_LOCK;
}

void unlock(Lock *lock, bool forget) {
  // A read-only disk keeps an empty file, which locks as well as a new one.
  if (forget && lock->file >= 0) unlinkat(lock->folder, lock->name, 0);
  if (lock->file >= 0) flock(lock->file, LOCK_UN);
  if (lock->folder >= 0) flock(lock->folder, LOCK_UN);
  leave_lock(lock);
}

static bool is_same_file(const Lock *lock) {
  struct stat held, there;
  return fstat(lock->file, &held) == 0 && fstatat(lock->folder, lock->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

static Fault busy(const char *what, const char *which, int64_t wait_ms) {
  if (is_asked_to_end())
    return (Fault){CODE_TRY_AGAIN, join("ended by the runtime while another call on ", what, which, " was at work", NULL)};
  return (Fault){CODE_TRY_AGAIN, join("lock of ", what, which, " not had in ", decimal((uint64_t)wait_ms / 1000),
                                      " s: another call is at work; retry when it has ended", NULL)};
}

static Fault unwritable(const char *state_dir) {
  return (Fault){CODE_IO, join("state directory ", state_dir, " cannot be written: ", strerror(errno),
                               "; check that the file system is writable and has space and inodes left", NULL)};
}

LockState lock_container(const char *state_dir, Slice id, int64_t wait_ms, bool is_tolerant, Lock *lock, Fault *fault) {
  int64_t deadline = now_ms() + wait_ms;
  char *name = slice_copy(id);
  LockState state;
  for (;;) {
    *lock = (Lock){make_folder(state_dir, "locks"), -1, join(name, NULL)};
    if (lock->folder >= 0) lock->file = openat(lock->folder, lock->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock->file < 0 && !is_tolerant) {
      *fault = unwritable(state_dir);
      state = LOCK_FAILED;
      break;
    }
    state = lock->folder < 0 ? LOCK_HAD : wait_for_flock(lock->folder, LOCK_SH, deadline);
    if (state == LOCK_HAD && lock->file >= 0) state = wait_for_flock(lock->file, LOCK_EX, deadline);
    if (state == LOCK_BUSY) *fault = busy("container ", name, wait_ms);
    if (state == LOCK_FAILED) *fault = unwritable(state_dir);
    // The one before us may have removed the file while we waited: then our lock is on nothing.
    if (state != LOCK_HAD || lock->file < 0 || is_same_file(lock)) break;
    leave_lock(lock);
  }
  free(name);
  if (state != LOCK_HAD) leave_lock(lock);
  return state;
}

LockState lock_all(const char *state_dir, int64_t wait_ms, Lock *lock, Fault *fault) {
  *lock = (Lock){make_folder(state_dir, "locks"), -1, NULL};
  LockState state = lock->folder < 0 ? LOCK_FAILED : wait_for_flock(lock->folder, LOCK_EX, now_ms() + wait_ms);
  if (state == LOCK_FAILED) *fault = unwritable(state_dir);
  if (state == LOCK_BUSY) *fault = busy("all containers", "", wait_ms);
  if (state != LOCK_HAD) leave_lock(lock);
  return state;
}

// Whoever waits with such a file open sees that it is gone, and opens another one.
void forget_locks(const char *state_dir, const Lock *lock) {
  int fd = lock->folder < 0 ? -1 : dup(lock->folder);
  DIR *folder = fd < 0 ? NULL : fdopendir(fd);
  if (folder == NULL) {
    if (fd >= 0) close(fd);
    return;
  }
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    char *record = join(state_dir, "/sandboxes/", entry->d_name, NULL);
    if (access(record, F_OK) != 0 && errno == ENOENT) unlinkat(dirfd(folder), entry->d_name, 0);
    free(record);
  }
  closedir(folder);
}
