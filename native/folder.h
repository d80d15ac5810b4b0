/*
 * Folders below the state directory, each opened as itself: whoever can write there, as a daemon can, must not
 * lead us elsewhere by a link.
 */
#ifndef FOLDER_H
#define FOLDER_H

#include <stdbool.h>

/* Opens a folder in one that is open; -1 with errno, ELOOP for a link. */
int open_folder_at(int parent, const char *name);
/* Opens `<path>/<first>`, or `<path>/<first>/<second>` when there is a second. */
int open_folder(const char *path, const char *first, const char *second);
/* The same, where what is absent is made with mode 0700. */
int make_folder(const char *path, const char *name);

#endif
