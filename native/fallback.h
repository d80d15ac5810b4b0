/* The standalone executable, for an ADD of a pod with the default network alone while no daemon is there. */
#ifndef FALLBACK_H
#define FALLBACK_H

#include "session.h"

/*
 * Becomes the fallback, with the same environment and stdin and without the lock, which it takes itself.
 * Returns when it must not or cannot.
 */
void try_fallback(Session *session);
/* Whether the runtime passed the pod's annotations and none of them names a network. */
bool wants_default_network_alone(Slice stdin_bytes);

#endif
