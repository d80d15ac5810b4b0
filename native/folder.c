#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

/* Closes it and keeps errno. */
static void close_quietly(int fd) {
  int error = errno;
  close(fd);
  errno = error;
}

int open_folder_at(int parent, const char *name) {
  struct stat there;
  int fd = openat(parent, name, FOLDER_FLAGS | O_NOFOLLOW);
  if (fd >= 0 || errno != ENOTDIR) return fd;
  bool is_link = fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(there.st_mode);
  errno = is_link ? ELOOP : ENOTDIR;
  return -1;
}

int open_folder(const char *path, const char *first, const char *second) {
  int parent = open(path, FOLDER_FLAGS);
  if (parent < 0) return -1;
  int fd = open_folder_at(parent, first);
  close_quietly(parent);
  if (fd < 0 || second == NULL) return fd;
  int inner = open_folder_at(fd, second);
  close_quietly(fd);
  return inner;
}

static bool make_directories(char *path) {
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return true;
  if (errno != ENOENT) return false;
  char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path) return false;
  *slash = 0;
  bool made = make_directories(path);
  *slash = '/';
  return made && (mkdir(path, 0700) == 0 || errno == EEXIST);
}

int make_folder(const char *path, const char *name) {
  int fd = open_folder(path, name, NULL);
  if (fd >= 0 || errno != ENOENT) return fd;
  char *parents = slice_copy(slice_of(path));
  bool made = make_directories(parents);
  free(parents);
  int parent = made ? open(path, FOLDER_FLAGS) : -1;
  if (parent < 0) return -1;
  if (mkdirat(parent, name, 0700) == 0 || errno == EEXIST) fd = open_folder_at(parent, name);
  close_quietly(parent);
  return fd;
}
