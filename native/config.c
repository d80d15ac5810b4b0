#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_LIMIT_BYTES = 64 * 1024, SOCKET_PATH_LIMIT = 107 };

static Slice trim(Slice text) {
  while (text.size > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) text.at++, text.size--;
  while (text.size > 0 && strchr(" \t\r", text.at[text.size - 1]) != NULL) text.size--;
  return text;
}

static bool parse_seconds(Slice text, int64_t *out_ms) {
  int64_t seconds = 0;
  if (text.size == 0 || text.size > 4) return false;
  for (size_t i = 0; i < text.size; i++) {
    if (text.at[i] < '0' || text.at[i] > '9') return false;
    seconds = seconds * 10 + (text.at[i] - '0');
  }
  *out_ms = seconds * 1000;
  return true;
}

static Fault set(Config *config, Slice key, Slice value) {
  struct {
    const char *key;
    char **place;
  } paths[] = {{"socket", &config->socket}, {"stateDir", &config->state_dir}, {"devInfoDir", &config->dev_info_dir}, {"fallback", &config->fallback}};
  if (slice_is(key, "addWait") || slice_is(key, "delWait")) {
    if (parse_seconds(value, slice_is(key, "addWait") ? &config->add_wait_ms : &config->del_wait_ms)) return (Fault){0};
    return (Fault){CODE_CONFIG, join("addWait and delWait must be whole seconds, 0 to 9999", NULL)};
  }
  if (slice_is(key, "binDirs")) config->bin_dirs = slice_copy(value);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    if (!slice_is(key, paths[i].key)) continue;
    if (value.size == 0 || value.at[0] != '/' || value.size >= PATH_MAX - 512)
      return (Fault){CODE_CONFIG, join(paths[i].key, " must be an absolute path", NULL)};
    *paths[i].place = slice_copy(value);
  }
  // A key of a newer release is none of our business.
  return (Fault){0};
}

Fault parse_config(Slice text, Config *config) {
  *config = (Config){
      .socket = "/run/plexus/plexus.sock",
      .state_dir = "/var/lib/cni/plexus",
      .dev_info_dir = "/var/run/k8s.cni.cncf.io/devinfo",
      .bin_dirs = "/opt/cni/bin",
      .add_wait_ms = 10000,
      .del_wait_ms = 2000,
  };
  if (slice_has_nul(text)) return (Fault){CODE_CONFIG, join("it is no text", NULL)};
  while (text.size > 0) {
    const uint8_t *newline = memchr(text.at, '\n', text.size);
    Slice line = {text.at, newline == NULL ? text.size : (size_t)(newline - text.at)};
    size_t taken = line.size + (newline == NULL ? 0 : 1);
    text.at += taken;
    text.size -= taken;
    line = trim(line);
    if (line.size == 0 || line.at[0] == '#') continue;
    const uint8_t *equals = memchr(line.at, '=', line.size);
    if (equals == NULL) return (Fault){CODE_CONFIG, join("a line is not key=value", NULL)};
    Slice key = trim((Slice){line.at, (size_t)(equals - line.at)});
    Slice value = trim((Slice){equals + 1, line.size - (size_t)(equals - line.at) - 1});
    Fault fault = set(config, key, value);
    if (fault.message != NULL) return fault;
  }
  if (strlen(config->socket) > SOCKET_PATH_LIMIT)
    return (Fault){CODE_CONFIG, join("socket has more than 107 bytes, which no unix socket's path may have", NULL)};
  return (Fault){0};
}

static Fault read_from(int fd, Config *config, const char **reason) {
  struct stat stat;
  if (fstat(fd, &stat) != 0) return (Fault){CODE_IO, join(strerror(errno), NULL)};
  if (!S_ISREG(stat.st_mode) || stat.st_uid != 0 || (stat.st_mode & 022) != 0) {
    *reason = "is refused";
    return (Fault){CODE_IO, join("it must be a file of root's that nobody else may write; chown root and chmod 0644 it", NULL)};
  }
  Buffer text = {0};
  ssize_t got;
  while ((got = read(fd, buffer_reserve(&text, 4096), 4096)) > 0 && text.size < CONFIG_LIMIT_BYTES) text.size += (size_t)got;
  Fault fault = got < 0 ? (Fault){CODE_IO, join(strerror(errno), NULL)} : parse_config(buffer_whole(&text), config);
  buffer_free(&text);
  *reason = "cannot be used";
  return fault;
}

Fault read_config(Config *config) {
  char path[PATH_MAX + 16];
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  while (length > 0 && path[length - 1] != '/') length--;
  if (length <= 0) return parse_config((Slice){0}, config);
  memcpy(path + length, "plexus.shim", sizeof "plexus.shim");
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return parse_config((Slice){0}, config);
  const char *reason = "cannot be read";
  Fault fault = fd < 0 ? (Fault){CODE_IO, join(strerror(errno), NULL)} : read_from(fd, config, &reason);
  if (fd >= 0) close(fd);
  if (fault.message != NULL) fault.message = join(path, " ", reason, ": ", fault.message, NULL);
  return fault;
}
