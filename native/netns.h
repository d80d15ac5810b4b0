/* Network namespaces: their identity, whether it is our own, and a netlink socket inside one. */
#ifndef NETNS_H
#define NETNS_H

#include "bytes.h"

/* Appends `dev:ino:ctimeNs` (without the time below /proc/); nothing when the path names nothing. */
void add_netns_id(Buffer *out, const char *path);
/* Whether the path is the namespace that we run in. */
bool is_own_netns(const char *path);
/* A routing netlink socket in the namespace, -1 with errno. */
int open_netlink(const char *netns);

#endif
