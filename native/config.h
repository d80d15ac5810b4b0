/* plexus.shim, the few settings of the shim itself, beside its executable. */
#ifndef CONFIG_H
#define CONFIG_H

#include "cni.h"

typedef struct {
  char *socket, *state_dir;
  /* Folder of device-info files, as the net-conf's key of that name. */
  char *dev_info_dir;
  /* Directories of plugins, separated by colons. */
  char *bin_dirs;
  /* The standalone executable; NULL when none is set. */
  char *fallback;
  int64_t add_wait_ms, del_wait_ms;
} Config;

/* The defaults, with what the text of a plexus.shim sets. */
Fault parse_config(Slice text, Config *config);
/* Reads plexus.shim if there is one; refuses one that others than root may write. */
Fault read_config(Config *config);

#endif
