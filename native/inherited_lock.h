/* `--lock`: flock(2) for a parent that has no call for it, such as Node.js. */
#ifndef INHERITED_LOCK_H
#define INHERITED_LOCK_H

#include "cni.h"

/*
 * Locks descriptors that were inherited, 3 with the first mode ("shared" or "exclusive") and so on, within so many
 * milliseconds in all. A lock belongs to the open file: it stays with the parent. Gives the status to end with, as
 * flock(1): 0 all are had, 1 not in time; else 2 and a fault, without a message when the arguments are wrong.
 */
int lock_inherited(const char *milliseconds, char **modes, Fault *fault);

#endif
