/*
 * A process that outlives us when we are killed: it ends the process groups of our delegates and holds the
 * lock until they are gone, so that no plugin allocates after the DEL that follows.
 */
#ifndef GUARD_H
#define GUARD_H

#include <sys/types.h>

#include "lock.h"

/* `pipe` is our end; -1 when there is no guard, which only takes this protection away. */
typedef struct {
  int pipe;
  pid_t pid;
} Guard;

#define NO_GUARD ((Guard){-1, 0})

Guard start_guard(const Lock *lock);
/* Called in the new delegate before it becomes the plugin: async-signal-safe. */
void guard_watch(Guard guard, pid_t group);
void guard_release(Guard guard, pid_t group);
/* Lets it go; what it still watches is ended. */
void stop_guard(Guard *guard);

#endif
