/*
 * The plexus shim: what a container runtime executes. It takes the container's lock, hands the request to
 * the daemon, runs the delegates that the daemon names, and prints its answer; without a daemon it does
 * what can be done alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "fallback.h"
#include "inherited_lock.h"
#include "replay.h"
#include "session.h"

#ifndef PLEXUS_VERSION
#define PLEXUS_VERSION "0.0.0"
#endif

enum {
  MAX_ENVIRONMENT_BYTES = 64 * 1024,
  /* What else a hello holds is well below the rest. */
  MAX_STDIN_BYTES = MAX_FRAME_BYTES - 1024 * 1024,
  LOCK_WAIT_MS = 30000,
  KNOCK_MS = 500,
  /* Whoever asks for versions alone may never close stdin. */
  STDIN_PATIENCE_MS = 1000,
  STDIN_CHUNK = 16384,
};

extern char **environ;

static Session session;

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? "" : value;
}

/* stdin, stdout and stderr are there, and nothing else is inherited by what we start. */
static void prepare_descriptors(void) {
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0) _exit(1);
  enum { CLOEXEC_ONLY = 4 };
  if (syscall(SYS_close_range, 3u, ~0u, CLOEXEC_ONLY) == 0) return;
  for (int fd = 3; fd < 1024; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static int print_error(int code, const char *message) {
  Buffer answer = {0};
  render_error(&answer, code, message, session.stdin_bytes);
  write_stdout(buffer_whole(&answer));
  return 1;
}

/* Past the deadline what has come counts. */
static Fault read_stdin(int64_t deadline) {
  static Buffer bytes;
  struct pollfd entry = {.fd = STDIN_FILENO, .events = POLLIN};
  for (;;) {
    if (is_asked_to_end()) return (Fault){CODE_TRY_AGAIN, join("ended by the runtime before stdin was read", NULL)};
    if (wait_for(&entry, 1, deadline) == 0) {
      if (now_ms() >= deadline) return (Fault){0};
      continue;
    }
    ssize_t got = read(STDIN_FILENO, buffer_reserve(&bytes, STDIN_CHUNK), STDIN_CHUNK);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return (Fault){CODE_IO, join("stdin cannot be read: ", strerror(errno), NULL)};
    bytes.size += (size_t)got;
    session.stdin_bytes = buffer_whole(&bytes);
    if (got == 0) return (Fault){0};
    if (bytes.size > MAX_STDIN_BYTES) return (Fault){CODE_CONFIG, join("the net-conf on stdin exceeds 15 MiB", NULL)};
  }
}

static void add_name(Buffer *missing, const char *name) {
  if (*variable(name) != 0) return;
  if (missing->size > 0) buffer_text(missing, ",");
  buffer_text(missing, name);
}

/* What must be safe before it becomes a path; everything else the daemon judges, all faults at once. */
static Fault check_environment(void) {
  bool has_sandbox = session.verb == VERB_ADD || session.verb == VERB_DEL || session.verb == VERB_CHECK;
  size_t size = 0;
  for (char **entry = environ; *entry != NULL; entry++)
    if (strncmp(*entry, "CNI_", 4) == 0) size += strlen(*entry) + 1;
  if (size > MAX_ENVIRONMENT_BYTES) return (Fault){CODE_ENVIRONMENT, join("the CNI_* variables exceed 64 KiB", NULL)};
  if (!has_sandbox) return (Fault){0};
  Buffer missing = {0};
  add_name(&missing, "CNI_CONTAINERID");
  if (session.verb != VERB_DEL) add_name(&missing, "CNI_NETNS");
  add_name(&missing, "CNI_IFNAME");
  if (missing.size > 0)
    return (Fault){CODE_ENVIRONMENT, join("required env variables [", buffer_string(&missing), "] missing", NULL)};
  if (container_id_fault(slice_of(session.container_id)) != NULL) {
    const char *fault = strlen(session.container_id) > 200 ? "CNI_CONTAINERID has more than 200 bytes, at most 200 are allowed"
                                                           : "invalid characters in CNI_CONTAINERID";
    return (Fault){CODE_ENVIRONMENT, join(fault, NULL)};
  }
  const char *fault = if_name_fault(slice_of(session.if_name));
  if (fault == NULL) return (Fault){0};
  return (Fault){CODE_ENVIRONMENT, join("CNI_IFNAME \"", session.if_name, "\" ", fault, NULL)};
}

static bool parse_verb(const char *command, Verb *verb) {
  static const char *const names[] = {"ADD", "DEL", "CHECK", "GC", "STATUS"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    *verb = (Verb)i;
    if (strcmp(command, names[i]) == 0) return true;
  }
  return false;
}

static LockState take_lock(int64_t wait_ms, Fault *fault) {
  session.lock = NO_LOCK;
  if (session.verb == VERB_STATUS) return LOCK_HAD;
  if (session.verb == VERB_GC) return lock_all(session.config.state_dir, wait_ms, &session.lock, fault);
  bool is_tolerant = session.verb == VERB_DEL;
  return lock_container(session.config.state_dir, slice_of(session.container_id), wait_ms, is_tolerant, &session.lock, fault);
}

/*
 * Connects before anything else, so that the daemon is awake when the hello comes. Nothing is said before the lock
 * is had; a daemon that is not there is no matter yet.
 */
static int64_t knocked_at = NEVER;

static void knock(void) {
  char *reason = NULL;
  knocked_at = open_connection(&session.connection, session.config.socket, &reason) == CONNECTED ? now_ms() : NEVER;
  free(reason);
}

/* A daemon waits some seconds for a hello: after a wait for the lock it may have gone, or be another one. */
static bool knock_is_fresh(void) {
  bool is_fresh = knocked_at != NEVER && session.connection.fd >= 0 && now_ms() - knocked_at < KNOCK_MS;
  knocked_at = NEVER;
  if (!is_fresh) close_connection(&session.connection);
  return is_fresh;
}

/*
 * Has the daemon serve the request, and asks again while it does not answer and nothing has run. When the
 * outcome is not SERVED, `why` says why and `is_refused` that asking again is of no use.
 */
static Outcome ask_daemon(char **why, bool *is_refused) {
  int64_t deadline = NEVER, pause = 5;
  for (;;) {
    Outcome outcome = LOST;
    free(session.reason);
    session.reason = NULL;
    ConnectState state = knock_is_fresh() ? CONNECTED : open_connection(&session.connection, session.config.socket, &session.reason);
    if (state == CONNECTED) {
      if (send_hello(&session)) {
        // Made while the daemon thinks.
        if (session.verb == VERB_ADD) send_facts(&session);
        if (session.verb <= VERB_DEL && session.guard.pipe < 0) session.guard = start_guard(&session.lock);
        outcome = serve(&session);
      } else session.reason = join("the daemon has closed the connection", NULL);
      if (outcome == SERVED) return outcome;
    }
    close_connection(&session.connection);
    *why = session.reason;
    *is_refused = state == CONNECT_REFUSED || outcome == BROKEN;
    // A DEL may be begun anew at any time; of an ADD only what has run nothing.
    bool may_repeat = outcome == LOST && !*is_refused && !session.is_silent && (session.verb != VERB_ADD || !session.has_executed);
    if (deadline == NEVER) deadline = now_ms() + longest_wait(&session);
    if (!may_repeat || now_ms() >= deadline || is_asked_to_end()) return outcome;
    int64_t left = deadline - now_ms();
    nap(pause < left ? pause : left);
    pause = pause < 200 ? pause * 2 : 250;
  }
}

static char *daemon_fault(const char *why, int64_t waited_ms) {
  if (is_asked_to_end()) return join("ended by the runtime while the plexus daemon had not answered: ", why, NULL);
  return join("the plexus daemon does not answer on ", session.config.socket, ": ", why, "; waited ",
              decimal((uint64_t)(waited_ms + 500) / 1000), " s; see whether the plexus pod of this node runs", NULL);
}

static int finish(int status, bool forgets) {
  stop_guard(&session.guard);
  unlock(&session.lock, forgets);
  return status;
}

static int answer_without_daemon(Outcome outcome, const char *why, bool is_refused, int64_t waited_ms) {
  char *fault;
  if (outcome == BROKEN) fault = join(why, "; shim and daemon of this node must be of releases that fit", NULL);
  else fault = is_refused ? join(why, "; the plexus daemon is not asked", NULL) : daemon_fault(why, waited_ms);
  switch (session.verb) {
    case VERB_ADD: {
      if (session.has_executed)
        fault = join("the plexus daemon was lost while plugins ran: ", why, "; what they did is recorded and undone at DEL", NULL);
      else if (outcome == LOST && !is_refused && !is_asked_to_end()) try_fallback(&session);
      bool forgets = !session.has_executed && is_forgotten(session.config.state_dir, session.container_id);
      return finish(print_error(is_refused ? CODE_IO : CODE_TRY_AGAIN, fault), forgets);
    }
    case VERB_DEL: {
      bool forgets = false;
      if (is_refused) warn(fault);
      Fault undone = replay_undo(&session, &forgets);
      return finish(undone.message == NULL ? 0 : print_error(undone.code, undone.message), forgets);
    }
    case VERB_CHECK: {
      char *message = join("CHECK is left out: ", fault, NULL);
      warn(message);
      return finish(0, false);
    }
    case VERB_STATUS: return print_error(CODE_NOT_AVAILABLE, fault);
    default: return finish(print_error(is_refused ? CODE_IO : CODE_TRY_AGAIN, fault), false);
  }
}

static int run_request(void) {
  Fault fault = read_config(&session.config);
  begin_session(&session);
  if (fault.message == NULL) knock();
  if (fault.message == NULL) fault = read_stdin(NEVER);
  if (fault.message == NULL) fault = check_environment();
  if (fault.message != NULL) return print_error(fault.code, fault.message);
  session.search = make_search_path(variable("CNI_PATH"), session.config.bin_dirs, session.config.fallback);
  LockState lock = take_lock(0, &fault);
  if (lock == LOCK_BUSY) {
    // While we wait the daemon would take us for a peer that has nothing to say.
    knocked_at = NEVER;
    close_connection(&session.connection);
    free(fault.message);
    fault = (Fault){0};
    lock = take_lock(LOCK_WAIT_MS, &fault);
  }
  if (lock != LOCK_HAD) return print_error(fault.code, fault.message);

  int64_t begun = now_ms();
  char *why = NULL;
  bool is_refused = false;
  Outcome outcome = ask_daemon(&why, &is_refused);
  if (outcome != SERVED) return answer_without_daemon(outcome, why, is_refused, now_ms() - begun);
  // What a runtime has not been told it cannot use.
  if (!write_stdout(buffer_whole(&session.answer)) && session.status == 0) session.status = 1;
  if (session.verb == VERB_GC) forget_locks(session.config.state_dir, &session.lock);
  if (!session.lends_a_hand) return finish(session.status, session.forgets);
  unlock(&session.lock, session.forgets);
  run_errands(&session);
}

/* In a container the node's file system is not the process's own: it becomes so. */
static int start_agent(const char *root) {
  if (root != NULL && (chroot(root) != 0 || chdir("/") != 0)) {
    warn(join("the node's root ", root, " cannot be entered: ", strerror(errno), NULL));
    return 1;
  }
  Fault fault = read_config(&session.config);
  if (fault.message != NULL) {
    warn(fault.message);
    return 1;
  }
  session.verb = VERB_AGENT;
  session.lock = NO_LOCK;
  session.netns = "";
  begin_session(&session);
  session.search = make_search_path(variable("CNI_PATH"), session.config.bin_dirs, session.config.fallback);
  return run_agent(&session);
}

static int print_usage(void) {
  static const char text[] = "plexus " PLEXUS_VERSION " is a CNI plugin: a container runtime starts it with CNI_COMMAND set.\n"
                             "usage: plexus --version | --agent [ROOT] | --lock MILLISECONDS shared|exclusive...\n";
  write_stderr((Slice){(const uint8_t *)text, sizeof text - 1});
  return 2;
}

static int run_lock(const char *milliseconds, char **modes) {
  Fault fault = {0};
  int status = lock_inherited(milliseconds, modes, &fault);
  if (fault.message != NULL) warn(fault.message);
  return status < 2 || fault.message != NULL ? status : print_usage();
}

int main(int count, char **arguments) {
  prepare_descriptors();
  prepare_signals();
  // What tells Node.js how to run is not meant for the fallback, nor for delegates, as with bin/plexus.
  unsetenv("NODE_OPTIONS");
  const char *command = variable("CNI_COMMAND");
  if (count == 2 && strcmp(arguments[1], "--version") == 0) {
    return write_stdout(slice_of("plexus " PLEXUS_VERSION "\n")) ? 0 : 1;
  }
  if ((count == 2 || count == 3) && strcmp(arguments[1], "--agent") == 0) return start_agent(arguments[2]);
  if (count > 3 && strcmp(arguments[1], "--lock") == 0) return run_lock(arguments[2], arguments + 3);
  if (count > 1) return print_usage();
  session.container_id = variable("CNI_CONTAINERID");
  session.if_name = variable("CNI_IFNAME");
  session.netns = variable("CNI_NETNS");
  if (strcmp(command, "VERSION") == 0) {
    Buffer answer = {0};
    free(read_stdin(now_ms() + STDIN_PATIENCE_MS).message);
    render_versions(&answer, session.stdin_bytes);
    return write_stdout(buffer_whole(&answer)) ? 0 : 1;
  }
  if (parse_verb(command, &session.verb)) return run_request();
  free(read_stdin(now_ms() + STDIN_PATIENCE_MS).message);
  if (*command == 0) return print_error(CODE_ENVIRONMENT, "required env variables [CNI_COMMAND] missing");
  return print_error(CODE_ENVIRONMENT, join("unknown CNI_COMMAND: ", command, NULL));
}
