/* The lock of one container, shared with every other way to run Plexus (src/journal/lock.ts). */
#ifndef LOCK_H
#define LOCK_H

#include "cni.h"

/* flock(2) on the folder of locks and on the container's file in it; a descriptor that is absent is -1. */
typedef struct {
  int folder, file;
  /* Of the file in the folder. */
  char *name;
} Lock;

#define NO_LOCK ((Lock){-1, -1, NULL})

typedef enum { LOCK_HAD, LOCK_BUSY, LOCK_FAILED } LockState;

/* flock(2) until a deadline; when it has failed, errno says why. */
LockState wait_for_flock(int fd, int mode, int64_t deadline_ms);
/*
 * The container's lock, and a shared one on the folder. DEL goes on without the file's when a full or
 * read-only disk allows none (is_tolerant). A wait of 0 tries once.
 */
LockState lock_container(const char *state_dir, Slice id, int64_t wait_ms, bool is_tolerant, Lock *lock, Fault *fault);
/* The lock that excludes every container's, for GC. */
LockState lock_all(const char *state_dir, int64_t wait_ms, Lock *lock, Fault *fault);
/* Under the lock of all: removes the lock files of containers of which nothing is recorded. */
void forget_locks(const char *state_dir, const Lock *lock);
/* Lets it go, also where a child has inherited it; `forget` removes the file. */
void unlock(Lock *lock, bool forget);
/* Closes it without unlocking: whoever inherited it goes on holding it. */
void leave_lock(Lock *lock);

#endif
