/* The CNI contract as far as the shim speaks it itself: errors, VERSION, names that become file names. */
#ifndef CNI_H
#define CNI_H

#include "bytes.h"

/* Codes of the answer; below 100 the standard's, from 100 our own (src/cni/codes.ts). */
enum {
  CODE_ENVIRONMENT = 4,
  CODE_IO = 5,
  CODE_CONFIG = 7,
  CODE_TRY_AGAIN = 11,
  CODE_NOT_AVAILABLE = 50,
  CODE_PLUGIN_NOT_FOUND = 101,
  CODE_PLUGIN_NOT_ALLOWED = 102,
  CODE_UNDO_INCOMPLETE = 106,
};

/* What went wrong; no message means nothing. */
typedef struct {
  int code;
  char *message;
} Fault;

/* The text of a key on the first level of a net-conf, as it is written; false when there is none. */
bool find_text(Slice conf, const char *key, Slice *text);
/* The top-level cniVersion of a net-conf when it is one that Plexus knows, else NULL. */
const char *find_cni_version(Slice conf);
/* The error as the runtime reads it, with a newline. */
void render_error(Buffer *out, int code, const char *message, Slice conf);
/* The answer to VERSION, with a newline. */
void render_versions(Buffer *out, Slice conf);
/* Why a text cannot be a container ID, or NULL. */
const char *container_id_fault(Slice id);
/* Why a text cannot be an interface name that is a file name too, or NULL. */
const char *if_name_fault(Slice name);
/* Whether a text may be a plugin type: a file name, never a path. */
bool is_plugin_type(Slice type);

#endif
