/* Default routes of a pod (src/executor/routes.ts): put in place before others go, verified, restored. */
#ifndef ROUTES_H
#define ROUTES_H

#include "bytes.h"

/*
 * Does what a `routes` frame asks for; `fields` are those behind the netns. Returns NULL, or why the routes
 * are as they were, for the caller to free.
 */
char *change_routes(const char *netns, Slice fields);

#endif
