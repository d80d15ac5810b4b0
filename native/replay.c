#include "replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "folder.h"
#include "journal.h"
#include "netns.h"

enum {
  LONGEST_CALL_MS = 60000,
  LEAST_CALL_MS = 1000,
  /* Runtimes and kubelets give up after about two minutes. */
  LONGEST_UNDO_MS = 100000,
  /* After so many failed DELs the pod may go; the undo stays ours. */
  DEL_ATTEMPTS = 5,
  QUOTE_BYTES = 4096,
  /* Of a journal file; no plan comes near it. */
  LONGEST_FILE_BYTES = 256 * 1024 * 1024,
};

/* One recorded call and what has become of it. */
typedef struct {
  Exec exec;
  bool is_started, is_undone;
} Undo;

/* A journal file and what it says. */
typedef struct {
  /* For messages; it is reached by its folder, which is open, -1 when it is not. */
  char *path;
  int folder;
  Buffer bytes;
  Journal journal;
  bool has_planned;
  Slice netns, netns_id, files;
  /* Written before another start of the node, which may have lost what was appended without a sync. */
  bool is_of_other_boot;
  Undo *undos;
  size_t count;
  uint32_t failed_dels;
} File;

static Fault io_fault(const char *what, const char *path) {
  return (Fault){CODE_IO, join(what, " ", path, ": ", strerror(errno), NULL)};
}

/* False with errno; a file that is not there is ENOENT. */
static bool read_file(int folder, const char *name, Buffer *bytes) {
  enum { CHUNK = 65536 };
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  ssize_t got;
  while ((got = read(fd, buffer_reserve(bytes, CHUNK), CHUNK)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    bytes->size += (size_t)got;
    if (bytes->size > LONGEST_FILE_BYTES) {
      errno = EFBIG;
      break;
    }
  }
  int error = errno;
  close(fd);
  errno = error;
  return got == 0;
}

static Undo *undo_of(File *file, uint32_t id) {
  for (size_t i = 0; i < file->count; i++)
    if (file->undos[i].exec.id == id) return &file->undos[i];
  return NULL;
}

/* The kernel's id of this boot; empty where there is none. */
static Slice read_boot_id(void) {
  static char text[64];
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text);
  if (fd >= 0) close(fd);
  while (size > 0 && (uint8_t)text[size - 1] <= ' ') size--;
  return (Slice){(uint8_t *)text, size < 0 ? 0 : (size_t)size};
}

static void read_planned(File *file, Slice fields) {
  Slice meta, count, boot_id;
  file->has_planned = next_field(&fields, &meta) && next_field(&fields, &file->netns) && next_field(&fields, &file->netns_id);
  if (!file->has_planned || !next_field(&fields, &file->files)) file->files = (Slice){0};
  bool has_boot_id = next_field(&fields, &count) && next_field(&fields, &boot_id);
  file->is_of_other_boot = has_boot_id && !slice_equal(boot_id, read_boot_id());
}

/* The last frame of a call counts: it has the prevResult of ADD. */
static void read_records(File *file) {
  const Journal *journal = &file->journal;
  file->undos = allocate((journal->count + 1) * sizeof *file->undos);
  for (size_t i = 0; i < journal->count; i++) {
    Slice fields = journal->records[i].fields;
    Exec exec;
    if (journal->records[i].kind == KIND_PLANNED) read_planned(file, fields);
    if (journal->records[i].kind == KIND_ATTEMPTED) file->failed_dels++;
    if (journal->records[i].kind != KIND_EXEC && journal->records[i].kind != KIND_UNDO) continue;
    if (!decode_exec(fields, &exec)) continue;
    Undo *known = undo_of(file, exec.id);
    if (known != NULL) known->exec = exec;
    else file->undos[file->count++] = (Undo){.exec = exec};
  }
  bool counts_all = journal->state == JOURNAL_DAMAGED || file->is_of_other_boot;
  for (size_t i = 0; i < file->count; i++) file->undos[i].is_started = counts_all;
  for (size_t i = 0; i < journal->count; i++) {
    Slice fields = journal->records[i].fields;
    uint8_t kind = journal->records[i].kind;
    uint32_t id;
    if ((kind != KIND_STARTED && kind != KIND_UNDONE) || !next_number(&fields, &id)) continue;
    Undo *undo = undo_of(file, id);
    if (undo == NULL) continue;
    if (kind == KIND_STARTED) undo->is_started = true;
    else undo->is_undone = true;
  }
}

static void free_file(File *file) {
  free(file->path);
  if (file->folder >= 0) close(file->folder);
  buffer_free(&file->bytes);
  free_journal(&file->journal);
  free(file->undos);
}

bool is_forgotten(const char *state_dir, const char *container_id) {
  char *path = join(state_dir, "/sandboxes/", container_id, NULL);
  DIR *directory = opendir(path);
  bool is_absent = directory == NULL && (errno == ENOENT || errno == ENOTDIR);
  free(path);
  if (directory == NULL) return is_absent;
  bool is_empty = true;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !is_temporary_name(entry->d_name)) is_empty = false;
  closedir(directory);
  return is_empty;
}

/* Removes the folder of a sandbox when nothing is left in it but what a crash left while writing. */
static void remove_directory(const Session *session) {
  int parent = open_folder(session->config.state_dir, "sandboxes", NULL);
  int fd = parent < 0 ? -1 : open_folder_at(parent, session->container_id);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  if (directory != NULL) {
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
      if (is_temporary_name(entry->d_name)) unlinkat(fd, entry->d_name, 0);
    closedir(directory);
    unlinkat(parent, session->container_id, AT_REMOVEDIR);
  } else if (fd >= 0) close(fd);
  if (parent >= 0) close(parent);
}

/* Whether a record in a container's folder has this identity (none is any) and, when one is given, this path. */
static bool folder_claims(const char *path, Slice netns_id, const Slice *netns) {
  DIR *directory = opendir(path);
  bool claims = false;
  if (directory == NULL) return false;
  for (struct dirent *entry; !claims && (entry = readdir(directory)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || is_temporary_name(entry->d_name)) continue;
    File file = {.folder = -1};
    if (read_file(dirfd(directory), entry->d_name, &file.bytes)) {
      file.journal = decode_journal(buffer_whole(&file.bytes));
      for (size_t i = 0; i < file.journal.count; i++)
        if (file.journal.records[i].kind == KIND_PLANNED) read_planned(&file, file.journal.records[i].fields);
      claims = file.has_planned && (netns_id.size == 0 || slice_equal(file.netns_id, netns_id)) && (netns == NULL || slice_equal(file.netns, *netns));
    }
    free_file(&file);
  }
  closedir(directory);
  return claims;
}

static bool is_claimed(const Session *session, Slice netns_id) {
  char *path = join(session->config.state_dir, "/sandboxes", NULL);
  DIR *directory = opendir(path);
  bool claims = false;
  for (struct dirent *entry; directory != NULL && !claims && (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] == '.' || strcmp(entry->d_name, session->container_id) == 0) continue;
    char *folder = join(path, "/", entry->d_name, NULL);
    claims = folder_claims(folder, netns_id, NULL);
    free(folder);
  }
  if (directory != NULL) closedir(directory);
  free(path);
  return claims;
}

bool is_recorded_netns(const char *state_dir, Slice container_id, Slice netns) {
  if (container_id_fault(container_id) != NULL) return false;
  Buffer now = {0};
  char *path = slice_copy(netns), *id = slice_copy(container_id);
  char *folder = join(state_dir, "/sandboxes/", id, NULL);
  add_netns_id(&now, path);
  bool is_recorded = folder_claims(folder, buffer_whole(&now), &netns);
  buffer_free(&now);
  free(folder);
  free(id);
  free(path);
  return is_recorded;
}

/* The netns that delegates may touch: none when its path leads to another one by now, maybe another pod's. */
static const char *usable_netns(const Session *session, const File *file) {
  Buffer now = {0};
  add_netns_id(&now, session->netns);
  bool is_usable = now.size > 0;
  if (is_usable && file->has_planned) is_usable = slice_equal(buffer_whole(&now), file->netns_id);
  else if (is_usable) is_usable = !is_claimed(session, buffer_whole(&now));
  buffer_free(&now);
  return is_usable ? session->netns : "";
}

/* How a call went, in a plugin's own words. */
typedef struct {
  char *fault;
} Result;

static Slice trimmed(const Buffer *buffer) {
  Slice text = buffer_whole(buffer);
  while (text.size > 0 && text.at[text.size - 1] <= ' ') text.size--;
  while (text.size > 0 && text.at[0] <= ' ') text.at++, text.size--;
  if (text.size > QUOTE_BYTES) text.size = QUOTE_BYTES;
  return text;
}

static void take_result(void *context, const Call *call, bool goes_on) {
  Result *result = context;
  (void)goes_on;
  if (has_succeeded(call)) return;
  Buffer fault = {0};
  Slice network;
  if (find_text(call->exec.stdin_bytes, "name", &network)) {
    buffer_text(&fault, "network \"");
    buffer_slice(&fault, network);
    buffer_text(&fault, "\": ");
  }
  buffer_text(&fault, "plugin \"");
  buffer_slice(&fault, call->exec.type);
  buffer_text(&fault, "\" failed (del): ");
  Slice words = trimmed(call->ended == ENDED_NOT_STARTED || call->output.size == 0 ? &call->errors : &call->output);
  buffer_slice(&fault, words);
  if (words.size > 0 && call->ended != ENDED_NOT_STARTED) buffer_text(&fault, ": ");
  if (call->ended == ENDED_TIMEOUT) buffer_text(&fault, "it did not end in time and was killed");
  else if (call->ended == ENDED_OUTPUT) buffer_text(&fault, "it printed without end and was killed");
  else if (call->ended == ENDED_CANCELLED) buffer_text(&fault, "the runtime ended the call while it ran");
  else if (call->ended == ENDED_ITSELF) {
    buffer_text(&fault, call->signal != 0 ? "signal " : "exit status ");
    buffer_number(&fault, (uint64_t)(call->signal != 0 ? call->signal : call->status));
  }
  buffer_string(&fault);
  result->fault = (char *)fault.at;
}

/* Runs one recorded DEL; NULL when it succeeded. */
static char *undo_one(Session *session, const Exec *exec, const char *netns, int64_t deadline) {
  Buffer call = {0};
  Result result = {0};
  int64_t limit = exec->timeout_ms == 0 || exec->timeout_ms > LONGEST_CALL_MS ? LONGEST_CALL_MS : exec->timeout_ms;
  int64_t left = deadline - now_ms();
  // A record is for the container in whose folder it lies, whatever it says.
  if (!slice_is(exec->container_id, session->container_id)) return join("a recorded call is another container's", NULL);
  if (limit > left) limit = left;
  // Even past the deadline each delegate gets a chance to free what it holds.
  if (limit < LEAST_CALL_MS) limit = LEAST_CALL_MS;
  add_number(&call, exec->id);
  add_number(&call, MODE_NOW);
  add_number(&call, (uint32_t)limit);
  add_field(&call, exec->type);
  add_text(&call, "DEL");
  add_field(&call, exec->container_id);
  add_text(&call, netns);
  add_field(&call, exec->if_name);
  add_field(&call, exec->args);
  add_field(&call, exec->stdin_bytes);
  session->runner.over = take_result;
  session->runner.context = &result;
  if (add_call(&session->runner, buffer_whole(&call))) serve(session);
  else result.fault = join("a recorded call is malformed", NULL);
  buffer_free(&call);
  return result.fault;
}

static void append(int fd, uint8_t kind, const uint32_t *number) {
  Buffer record = {0};
  add_record(&record, kind, number);
  // A mark that cannot be written only means that an idempotent DEL is repeated.
  if (fd >= 0 && write(fd, record.at, record.size) != (ssize_t)record.size) warn("an undo is done but not recorded");
  buffer_free(&record);
}

/* Opens it to append; a torn record is cut off, so that what is appended can be read. */
static int open_file(const Session *session, const File *file) {
  int fd = openat(file->folder, session->if_name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 && file->journal.state == JOURNAL_TORN && ftruncate(fd, (off_t)file->journal.length) != 0) {
    close(fd);
    fd = -1;
  }
  if (fd < 0) warn("the journal cannot be written; the undo goes on without marking its progress");
  return fd;
}

/* Whether a file of this name in the folder of device-info is this container's (src/network/device-info.ts). */
static bool is_device_info_name(Slice name, const char *container_id) {
  size_t length = strlen(container_id);
  for (size_t at = 0; at + length + 1 < name.size; at++) {
    if (at > 0 && name.at[at - 1] != '-') continue;
    if (memcmp(name.at + at, container_id, length) == 0 && name.at[at + length] == '_')
      return memchr(name.at, '/', name.size) == NULL;
  }
  return false;
}

/* The name of a recorded file in that folder; false when it lies elsewhere or is not this container's. */
static bool find_device_info(Slice path, Slice folder, const char *container_id, Slice *name) {
  static const char below[] = "/cni/";
  size_t length = sizeof below - 1;
  if (path.size <= folder.size + length || folder.size == 0 || folder.at[0] != '/') return false;
  if (memcmp(path.at, folder.at, folder.size) != 0 || memcmp(path.at + folder.size, below, length) != 0) return false;
  *name = (Slice){path.at + folder.size + length, path.size - folder.size - length};
  return is_device_info_name(*name, container_id);
}

/* NULL when it is gone. Nothing but a plain file goes, and no link is followed. */
static char *remove_plain_file(Slice folder, Slice name) {
  char *directory = slice_copy(folder), *path = join(directory, "/cni", NULL), *file = slice_copy(name), *fault = NULL;
  struct stat there;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstatat(fd, file, &there, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) fault = join(strerror(errno), NULL);
  } else if (!S_ISREG(there.st_mode)) fault = join("it is no plain file", NULL);
  else if (unlinkat(fd, file, 0) != 0 && errno != ENOENT) fault = join(strerror(errno), NULL);
  if (fd >= 0) close(fd);
  free(directory);
  free(path);
  free(file);
  return fault;
}

/* Removes the device-info files that a record names: it must not make us remove anything else. */
static void remove_files(const Session *session, Slice files) {
  Slice folders[2] = {slice_of(session->config.dev_info_dir), {0}};
  if (!find_text(session->stdin_bytes, "devInfoDir", &folders[1])) folders[1] = (Slice){0};
  while (files.size > 0) {
    const uint8_t *end = memchr(files.at, 0, files.size);
    size_t size = end == NULL ? files.size : (size_t)(end - files.at);
    Slice path = {files.at, size}, name;
    char *fault = join("it is no device-info file of this container", NULL);
    for (size_t i = 0; i < 2 && fault != NULL; i++) {
      if (!find_device_info(path, folders[i], session->container_id, &name)) continue;
      free(fault);
      fault = remove_plain_file(folders[i], name);
      break;
    }
    if (fault != NULL && size > 0) {
      char *text = slice_copy(path), *message = join("device-info ", text, " is not removed: ", fault, NULL);
      warn(message);
      free(message);
      free(text);
    }
    free(fault);
    size_t taken = end == NULL ? size : size + 1;
    files.at += taken;
    files.size -= taken;
  }
}

static void set_aside(const Session *session, const File *file) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  char *target = join(session->container_id, "-", session->if_name, "-",
                      decimal((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000), NULL);
  char *message;
  const char *state_dir = session->config.state_dir;
  int folder = make_folder(state_dir, "damaged");
  if (folder >= 0 && renameat(file->folder, session->if_name, folder, target) == 0)
    message = join("journal of container ", session->container_id, " (", session->if_name,
                   ") is damaged: what it still says was undone, the file is now ", state_dir, "/damaged/", target, NULL);
  else message = join("damaged journal ", file->path, " cannot be moved to ", state_dir, "/damaged: ", strerror(errno), NULL);
  warn(message);
  if (folder >= 0) close(folder);
  free(message);
  free(target);
}

/* Everything is undone; a record that cannot be removed only repeats that. */
static void settle(const Session *session, const File *file) {
  remove_files(session, file->files);
  if (file->journal.state == JOURNAL_DAMAGED) set_aside(session, file);
  else if (unlinkat(file->folder, session->if_name, 0) != 0 && errno != ENOENT) warn("the journal cannot be removed");
  remove_directory(session);
}

static Fault undo_all(Session *session, File *file) {
  const char *netns = usable_netns(session, file);
  int64_t deadline = now_ms() + LONGEST_UNDO_MS;
  int fd = open_file(session, file);
  Buffer faults = {0};
  size_t failed = 0;
  for (;;) {
    // The highest id is the newest call.
    Undo *next = NULL;
    for (size_t i = 0; i < file->count; i++) {
      Undo *undo = &file->undos[i];
      if (undo->is_started && !undo->is_undone && (next == NULL || undo->exec.id > next->exec.id)) next = undo;
    }
    if (next == NULL) break;
    next->is_undone = true;
    char *fault = undo_one(session, &next->exec, netns, deadline);
    if (fault == NULL) append(fd, KIND_UNDONE, &next->exec.id);
    else {
      if (failed++ > 0) buffer_text(&faults, "; ");
      buffer_text(&faults, fault);
    }
    free(fault);
  }
  if (failed > 0) append(fd, KIND_ATTEMPTED, NULL);
  if (fd >= 0) close(fd);
  Fault fault = {0};
  if (failed == 0) settle(session, file);
  else {
    fault = (Fault){CODE_UNDO_INCOMPLETE, join("container ", session->container_id, ": ", buffer_string(&faults),
                                               "; what is left is recorded and undone at the next DEL", NULL)};
  }
  buffer_free(&faults);
  if (failed > 0 && file->failed_dels + 1 >= DEL_ATTEMPTS) {
    char *message = join("DEL failed ", decimal(file->failed_dels + 1), " times and stays recorded: ", fault.message, NULL);
    warn(message);
    free(message);
    free(fault.message);
    fault = (Fault){0};
  }
  return fault;
}

Fault replay_undo(Session *session, bool *forgotten) {
  close_connection(&session->connection);
  File file = {
      .path = join(session->config.state_dir, "/sandboxes/", session->container_id, "/", session->if_name, NULL),
      .folder = open_folder(session->config.state_dir, "sandboxes", session->container_id),
  };
  Fault fault = {0};
  if (file.folder < 0 || !read_file(file.folder, session->if_name, &file.bytes)) {
    if (errno == ENOENT || errno == ENOTDIR) remove_directory(session);
    else fault = io_fault("journal cannot be read:", file.path);
  } else {
    file.journal = decode_journal(buffer_whole(&file.bytes));
    if (file.journal.state == JOURNAL_NEWER) {
      fault = (Fault){CODE_TRY_AGAIN, join("journal ", file.path, " has format ", decimal(file.journal.version),
                                           ", this Plexus reads up to format ", decimal(JOURNAL_VERSION),
                                           "; install the newer Plexus that wrote it", NULL)};
    } else {
      read_records(&file);
      fault = undo_all(session, &file);
    }
  }
  free_file(&file);
  *forgotten = fault.message == NULL && is_forgotten(session->config.state_dir, session->container_id);
  return fault;
}
