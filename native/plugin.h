/* Plugins on this host: where one is, whether it may run, and starting it. */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <sys/types.h>

#include "guard.h"

typedef enum {
  PLUGIN_MISSING = '-',
  PLUGIN_FOUND = '+',
  /* The shim itself, or the standalone executable. */
  PLUGIN_PLEXUS = 'p',
  PLUGIN_REFUSED = '!',
} PluginState;

/* `path` as found, `resolved` with links followed; for PLUGIN_REFUSED `reason`. Freed by free_plugin. */
typedef struct {
  PluginState state;
  char *path, *resolved, *reason;
} Plugin;

/* The directories of plugins in order, without doubles; the pieces belong to the process for good. */
typedef struct {
  Slice *directories;
  size_t count;
  /* Joined by colons: the delegates' CNI_PATH. */
  char *joined;
  /* The standalone executable, NULL when none is set. */
  const char *fallback;
} SearchPath;

SearchPath make_search_path(const char *cni_path, const char *bin_dirs, const char *fallback);
Plugin find_plugin(const SearchPath *search, Slice type);
/* Whether it is a compiled program, no script. */
bool is_program(const Plugin *plugin);
void free_plugin(Plugin *plugin);
/* Why a file may not run, NULL when it may: it and every folder on its way must be root's alone. */
char *trust_fault(const char *resolved);

/*
 * Whether a plugin and its children stay on the processor on which they start; if that is `other_than`, on `instead`, or
 * on none when that is -1.
 */
typedef struct {
  bool stays;
  int other_than, instead;
} Place;

/* A started plugin. `pidfd` is -1 on kernels without, `processor` where it is free to move. */
typedef struct {
  pid_t pid;
  int pidfd, in, out, err, processor;
} Started;

/*
 * Starts an executable as the leader of a process group, with clean signals, our ends of its pipes
 * non-blocking. Returns 0 or an errno.
 */
int start_plugin(const Plugin *plugin, char *const environment[], Guard guard, Place place, Started *started);

#endif
