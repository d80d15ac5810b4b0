#include "plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

static void add_directories(SearchPath *search, Buffer *joined, const char *list) {
  for (const char *begin = list; *begin != 0;) {
    size_t size = strcspn(begin, ":");
    Slice directory = {(const uint8_t *)begin, size};
    bool is_known = size == 0;
    for (size_t i = 0; i < search->count && !is_known; i++) is_known = slice_equal(search->directories[i], directory);
    if (!is_known) {
      search->directories[search->count++] = directory;
      if (joined->size > 0) buffer_text(joined, ":");
      buffer_slice(joined, directory);
    }
    begin += size + (begin[size] == ':' ? 1 : 0);
  }
}

static size_t count_colons(const char *text) {
  size_t count = 0;
  for (; *text != 0; text++) count += *text == ':';
  return count;
}

SearchPath make_search_path(const char *cni_path, const char *bin_dirs, const char *fallback) {
  Buffer joined = {0};
  SearchPath search = {.fallback = fallback};
  search.directories = allocate((count_colons(cni_path) + count_colons(bin_dirs) + 2) * sizeof(Slice));
  add_directories(&search, &joined, cni_path);
  add_directories(&search, &joined, bin_dirs);
  buffer_string(&joined);
  search.joined = (char *)joined.at;
  return search;
}

typedef enum { PLUGIN_FILE, PLUGIN_FOLDER, FOLDER_ABOVE } EntryKind;

static char *entry_fault(const char *path, EntryKind kind) {
  struct stat there;
  bool is_file = kind == PLUGIN_FILE;
  if (lstat(path, &there) != 0) return join(path, ": ", strerror(errno), NULL);
  if (is_file ? !S_ISREG(there.st_mode) : !S_ISDIR(there.st_mode)) return join(path, " is no ", is_file ? "regular file" : "directory", NULL);
  if (there.st_uid != 0) return join(path, " does not belong to root", NULL);
  // In a sticky directory nobody can put anything in the place of root's folder, but links of their own beside it.
  bool is_sticky = kind == FOLDER_ABOVE && (there.st_mode & S_ISVTX) != 0;
  if ((there.st_mode & 022) != 0 && !is_sticky) return join(path, " can be written by others than root", NULL);
  return NULL;
}

char *trust_fault(const char *resolved) {
  char path[PATH_MAX];
  size_t size = strlen(resolved);
  if (size >= sizeof path) return join(resolved, " is too long", NULL);
  memcpy(path, resolved, size + 1);
  char *fault = entry_fault(path, PLUGIN_FILE);
  for (EntryKind kind = PLUGIN_FOLDER; fault == NULL && size > 1; kind = FOLDER_ABOVE) {
    while (size > 1 && path[size - 1] != '/') size--;
    if (size > 1) size--;
    path[size] = 0;
    fault = entry_fault(path, kind);
  }
  return fault;
}

/* A link must not lie where others can point it elsewhere. */
static char *link_fault(const char *path, const char *resolved) {
  char directory[PATH_MAX], real[PATH_MAX];
  size_t size = strlen(path);
  if (strcmp(path, resolved) == 0) return NULL;
  while (size > 1 && path[size - 1] != '/') size--;
  if (size >= sizeof directory) return join(path, " is too long", NULL);
  memcpy(directory, path, size);
  directory[size] = 0;
  if (realpath(directory, real) == NULL) return join(directory, ": ", strerror(errno), NULL);
  size = strlen(real);
  for (EntryKind kind = PLUGIN_FOLDER;; kind = FOLDER_ABOVE) {
    char *fault = entry_fault(real, kind);
    if (fault != NULL || size <= 1) return fault;
    while (size > 1 && real[size - 1] != '/') size--;
    if (size > 1) size--;
    real[size] = 0;
  }
}

static bool is_same_file(const struct stat *left, const char *path) {
  struct stat right;
  return path != NULL && stat(path, &right) == 0 && left->st_ino == right.st_ino && left->st_dev == right.st_dev;
}

Plugin find_plugin(const SearchPath *search, Slice type) {
  char path[PATH_MAX], real[PATH_MAX];
  struct stat there;
  if (!is_plugin_type(type)) return (Plugin){.state = PLUGIN_MISSING};
  for (size_t i = 0; i < search->count; i++) {
    Slice directory = search->directories[i];
    if (directory.size + type.size + 2 > sizeof path) continue;
    memcpy(path, directory.at, directory.size);
    size_t size = directory.size;
    while (size > 1 && path[size - 1] == '/') size--;
    path[size++] = '/';
    memcpy(path + size, type.at, type.size);
    path[size + type.size] = 0;
    if (stat(path, &there) != 0 || !S_ISREG(there.st_mode)) continue;
    Plugin plugin = {.state = PLUGIN_FOUND, .path = join(path, NULL)};
    if (realpath(path, real) == NULL) plugin.reason = join(path, ": ", strerror(errno), NULL);
    else if ((plugin.reason = trust_fault(real)) == NULL) plugin.reason = link_fault(path, real);
    if (plugin.reason != NULL) {
      plugin.state = PLUGIN_REFUSED;
      return plugin;
    }
    plugin.resolved = join(real, NULL);
    bool is_plexus = is_same_file(&there, "/proc/self/exe") || is_same_file(&there, search->fallback) ||
                     strcmp(strrchr(real, '/'), "/plexus-standalone") == 0;
    if (is_plexus) plugin.state = PLUGIN_PLEXUS;
    return plugin;
  }
  return (Plugin){.state = PLUGIN_MISSING};
}

bool is_program(const Plugin *plugin) {
  static const char magic[4] = {0x7f, 'E', 'L', 'F'};
  char begin[sizeof magic];
  int fd = open(plugin->resolved, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return false;
  bool is = read(fd, begin, sizeof begin) == sizeof begin && memcmp(begin, magic, sizeof magic) == 0;
  close(fd);
  return is;
}

void free_plugin(Plugin *plugin) {
  free(plugin->path);
  free(plugin->resolved);
  free(plugin->reason);
  *plugin = (Plugin){.state = PLUGIN_MISSING};
}

typedef struct {
  const Plugin *plugin;
  char *const *environment;
  Guard guard;
  int ends[3];
  Place place;
  volatile int processor, error;
} Launch;

/* A failure only leaves it free to move: -1. */
static int stay_on_processor(Place place) {
  int processor = sched_getcpu();
  if (processor == place.other_than) processor = place.instead;
  if (processor < 0 || processor >= CPU_SETSIZE) return -1;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)processor, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? processor : -1;
}

/* Runs in the child, on its own stack but in our memory: only system calls. */
static int launch(void *argument) {
  Launch *launch = argument;
  setpgid(0, 0);
  guard_watch(launch->guard, getpid());
  if (launch->place.stays) launch->processor = stay_on_processor(launch->place);
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(launch->ends[fd], fd) < 0) {
      launch->error = errno;
      _exit(127);
    }
  }
  restore_signals();
  execve(launch->plugin->resolved, (char *[]){launch->plugin->path, NULL}, launch->environment);
  launch->error = errno;
  _exit(127);
}

static void close_pair(int pair[2]) {
  for (int i = 0; i < 2; i++)
    if (pair[i] >= 0) close(pair[i]);
}

int start_plugin(const Plugin *plugin, char *const environment[], Guard guard, Place place, Started *started) {
  static uint8_t stack[65536] __attribute__((aligned(16)));
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  Launch call = {.plugin = plugin, .environment = environment, .guard = guard, .place = place, .processor = -1};
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    int error = errno;
    close_pair(in), close_pair(out), close_pair(err);
    return error;
  }
  call.ends[0] = in[0], call.ends[1] = out[1], call.ends[2] = err[1];
  int pidfd = -1;
  // No copy of our memory is made: it waits here until the child has become the plugin.
  pid_t pid = clone(launch, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &call, &pidfd);
  int error = pid < 0 ? errno : call.error;
  close(in[0]), close(out[1]), close(err[1]);
  if (error != 0) {
    if (pid > 0) {
      guard_release(guard, pid);
      while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    }
    if (pidfd >= 0) close(pidfd);
    close(in[1]), close(out[0]), close(err[0]);
    return error;
  }
  int ours[] = {in[1], out[0], err[0]};
  for (int i = 0; i < 3; i++) fcntl(ours[i], F_SETFL, fcntl(ours[i], F_GETFL) | O_NONBLOCK);
  if (pidfd >= 0) fcntl(pidfd, F_SETFD, FD_CLOEXEC);
  *started = (Started){pid, pidfd, in[1], out[0], err[0], call.processor};
  return 0;
}
