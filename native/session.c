#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "netlink.h"
#include "netns.h"
#include "replay.h"
#include "routes.h"

enum {
  NO_STATUS = -1,
  /* A daemon answers a hello at once; verbs with a wait of their own give it that long. */
  HELLO_ANSWER_MS = 5000,
  LEAST_HELLO_ANSWER_MS = 1000,
  /* An ADD may wait for its turn; everything else is only thought. */
  SILENCE_ADD_MS = 105000,
  SILENCE_MS = 30000,
  END_MS = 25000,
  ERRANDS_MS = 2000,
  LAST_BREATH_MS = 1500,
  /* Between two connections of an agent, and when one has lasted. */
  LEAST_PAUSE_MS = 100,
  MOST_PAUSE_MS = 10000,
  LASTING_MS = 10000,
  SHOWN_OUTPUT_BYTES = 64 * 1024,
  ENTRY_COUNT = 1 + 4 * MAX_RUNNING,
};

/* Bits of the flags of hello, facts and done. */
enum { FLAG_HOST_NETNS = 1, FLAG_AGENT = 2, FLAG_FACTS_FOLLOW = 4, FLAG_NOT_ENTERED = 2, FLAG_FORGET = 1, FLAG_ERRANDS = 2 };

extern char **environ;

void warn(const char *message) {
  char *line = join("plexus: ", message, "\n", NULL);
  write_stderr(slice_of(line));
  free(line);
}

bool write_stdout(Slice bytes) {
  while (bytes.size > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes.at, bytes.size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      struct pollfd entry = {.fd = STDOUT_FILENO, .events = POLLOUT};
      poll(&entry, 1, 1000);
      continue;
    }
    // Nobody reads it any more.
    if (written < 0 && errno == EPIPE) return true;
    if (written < 0) {
      char *message = join("the answer cannot be written: ", strerror(errno), NULL);
      warn(message);
      free(message);
      return false;
    }
    bytes.at += written;
    bytes.size -= (size_t)written;
  }
  return true;
}

/* The connection is of no use any more; what waits is forgotten, what runs is waited for. */
static void lose(Session *session, char *reason) {
  if (session->is_lost) {
    free(reason);
    return;
  }
  session->is_lost = true;
  free(session->reason);
  session->reason = reason;
  close_connection(&session->connection);
  drop_waiting(&session->runner);
}

static void flush(Session *session) {
  session->holds_exits = false;
  if (!session->is_lost && !flush_connection(&session->connection)) lose(session, join("the daemon has closed the connection", NULL));
}

static void report_exit(void *context, const Call *call, bool goes_on) {
  Session *session = context;
  if (session->is_lost) return;
  Buffer *out = &session->connection.out;
  size_t frame = begin_frame(out, KIND_EXIT);
  bool has_status = call->has_exited && call->signal == 0;
  add_number(out, call->exec.id);
  add_number(out, has_status ? (uint32_t)call->status : (uint32_t)NO_STATUS);
  add_number(out, (uint32_t)call->signal);
  add_number(out, call->ended);
  add_number(out, (uint32_t)call->code);
  int64_t took = call->ended_us - call->started_us;
  add_number(out, took > UINT32_MAX ? UINT32_MAX : (uint32_t)took);
  Slice output = buffer_whole(&call->output), errors = buffer_whole(&call->errors);
  if (call->ended == ENDED_OUTPUT && output.size > SHOWN_OUTPUT_BYTES) output.size = SHOWN_OUTPUT_BYTES;
  size_t room = MAX_FRAME_BYTES - 256 - output.size;
  if (errors.size > room) errors.size = room;
  add_field(out, output);
  add_field(out, errors);
  end_frame(out, frame);
  session->holds_exits = goes_on;
  session->last_heard = call->ended_us / 1000;
}

void begin_session(Session *session) {
  session->guard = NO_GUARD;
  session->connection.fd = -1;
  session->end_by = NEVER;
  session->runner = (Runner){
      .search = &session->search,
      .guard = &session->guard,
      .lock = &session->lock,
      .processor = -1,
      .earlier_processor = -1,
      .before_succeeded = true,
      .over = report_exit,
      .context = session,
  };
}

static void add_environment(Buffer *frame) {
  size_t field = begin_field(frame);
  for (char **entry = environ; *entry != NULL; entry++)
    if (strncmp(*entry, "CNI_", 4) == 0) buffer_add(frame, *entry, strlen(*entry) + 1);
  end_field(frame, field);
}

/* What changes when a plugin is put into one of the folders or taken away. */
static void add_folder_marks(Buffer *frame, const SearchPath *search) {
  size_t field = begin_field(frame);
  for (size_t i = 0; i < search->count; i++) {
    struct stat there;
    char *path = slice_copy(search->directories[i]);
    if (stat(path, &there) == 0) {
      buffer_number(frame, (uint64_t)there.st_ino);
      buffer_text(frame, ":");
      buffer_number(frame, (uint64_t)there.st_mtim.tv_sec * 1000000000u + (uint64_t)there.st_mtim.tv_nsec);
    }
    buffer_add(frame, "", 1);
    free(path);
  }
  end_field(frame, field);
}

bool send_hello(Session *session) {
  Buffer hello = {0};
  size_t frame = begin_frame(&hello, KIND_HELLO), field;
  bool is_agent = session->verb == VERB_AGENT;
  add_number(&hello, LOWEST_PROTOCOL);
  add_number(&hello, HIGHEST_PROTOCOL);
  if (is_agent) add_text(&hello, "");
  else add_environment(&hello);
  field = begin_field(&hello);
  add_netns_id(&hello, session->netns);
  end_field(&hello, field);
  int flags = (is_own_netns(session->netns) ? FLAG_HOST_NETNS : 0) | (is_agent ? FLAG_AGENT : 0);
  add_number(&hello, (uint32_t)(flags | (session->verb == VERB_ADD ? FLAG_FACTS_FOLLOW : 0)));
  field = begin_field(&hello);
  for (size_t i = 0; i < session->search.count; i++) {
    buffer_slice(&hello, session->search.directories[i]);
    buffer_add(&hello, "", 1);
  }
  end_field(&hello, field);
  add_folder_marks(&hello, &session->search);
  // stdin is the last field and is not copied.
  put_u32(buffer_reserve(&hello, 4), (uint32_t)session->stdin_bytes.size);
  hello.size += 4;
  put_u32(hello.at + frame, (uint32_t)(hello.size - frame - 4 + session->stdin_bytes.size));
  bool sent = send_bytes(&session->connection, buffer_whole(&hello), session->stdin_bytes);
  buffer_free(&hello);
  session->is_lost = session->is_silent = session->has_heard = session->has_executed = session->is_done = false;
  session->holds_exits = false;
  session->last_heard = now_ms();
  return sent;
}

/* Begins a facts frame with what is known of a netns. */
static size_t begin_facts(Session *session, const char *path) {
  Buffer *out = &session->connection.out;
  size_t frame = begin_frame(out, KIND_FACTS);
  size_t identity = begin_field(out);
  add_netns_id(out, path);
  end_field(out, identity);
  bool is_there = out->size > identity + 4, is_host = is_there && is_own_netns(path);
  int socket = is_there && !is_host ? open_netlink(path) : -1;
  bool is_closed = is_there && !is_host && socket < 0;
  if (is_closed) {
    char *message = join("netns ", path, " cannot be entered: ", strerror(errno), NULL);
    warn(message);
    free(message);
  }
  add_number(out, (is_host ? FLAG_HOST_NETNS : 0) | (is_closed ? FLAG_NOT_ENTERED : 0));
  size_t links = begin_field(out);
  if (socket >= 0) {
    add_links(out, socket);
    close(socket);
  }
  end_field(out, links);
  return frame;
}

void send_facts(Session *session) {
  end_frame(&session->connection.out, begin_facts(session, session->netns));
  flush(session);
}

static bool answer_probe(Session *session, Slice fields) {
  Slice netns, type;
  if (!next_field(&fields, &netns) || slice_has_nul(netns)) return false;
  char *path = slice_copy(netns);
  Buffer *out = &session->connection.out;
  size_t frame = begin_facts(session, path);
  while (next_field(&fields, &type)) {
    Plugin plugin = find_plugin(&session->search, type);
    size_t field = begin_field(out);
    buffer_add(out, (char[]){(char)plugin.state}, 1);
    if (plugin.state == PLUGIN_REFUSED) buffer_text(out, plugin.reason);
    else if (plugin.state != PLUGIN_MISSING) buffer_text(out, plugin.path);
    end_field(out, field);
    free_plugin(&plugin);
  }
  end_frame(out, frame);
  free(path);
  flush(session);
  return true;
}

/* As the engine reads it (src/engine/plan-request.ts). */
static bool may_use_own_netns(void) {
  const char *value = getenv("CNI_NETNS_OVERRIDE");
  return value != NULL && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

static bool is_own(Slice netns) {
  char *path = slice_copy(netns);
  bool is_ours = is_own_netns(path);
  free(path);
  return is_ours;
}

/* What a request may have run for it: itself, and what undoes or asks. */
static bool is_command_allowed(const Session *session, Slice command) {
  static const char *const commands[][2] = {
      [VERB_ADD] = {"ADD", "DEL"}, [VERB_DEL] = {"DEL", "DEL"},          [VERB_CHECK] = {"CHECK", "CHECK"},
      [VERB_GC] = {"GC", "DEL"},   [VERB_STATUS] = {"STATUS", "STATUS"}, [VERB_AGENT] = {"DEL", "DEL"},
  };
  const char *const *allowed = commands[session->runs_errands ? VERB_AGENT : session->verb];
  return slice_is(command, "VERSION") || slice_is(command, allowed[0]) || slice_is(command, allowed[1]);
}

/* Which sandbox a call may be for: the one whose lock we hold. GC holds the lock of all. */
static bool is_container_allowed(const Session *session, const Exec *exec) {
  bool is_for_sandbox = slice_is(exec->command, "ADD") || slice_is(exec->command, "DEL") || slice_is(exec->command, "CHECK");
  if (!is_for_sandbox && exec->container_id.size == 0) return true;
  if (session->runs_errands) return session->errand != NULL && slice_is(exec->container_id, session->errand);
  return session->verb == VERB_GC || slice_is(exec->container_id, session->container_id);
}

/*
 * Which namespace a call gets: the request's, of a DEL also none, since its path may be another pod's by now.
 * In an errand and for GC it is the one of a record that still is what it was. Whoever works on no sandbox
 * gets none; plugins are asked for their versions with `dummy`.
 */
static bool is_netns_allowed(const Session *session, const Exec *exec) {
  bool is_del = slice_is(exec->command, "DEL"), is_add = slice_is(exec->command, "ADD");
  bool is_for_sandbox = is_del || is_add || slice_is(exec->command, "CHECK");
  bool is_none = exec->netns.size == 0;
  if (!is_for_sandbox) return is_none || slice_is(exec->netns, "dummy");
  if (is_del && is_none) return true;
  bool is_recorded = session->runs_errands || session->verb == VERB_GC;
  if (is_recorded ? !is_recorded_netns(session->config.state_dir, exec->container_id, exec->netns)
                  : !slice_is(exec->netns, session->netns))
    return false;
  return (!is_recorded && !is_add) || may_use_own_netns() || !is_own(exec->netns);
}

static bool note_breach(Session *session, const char *what, Slice netns) {
  char *path = slice_copy(netns);
  free(session->breach);
  session->breach = join(what, " in netns \"", path, "\"", NULL);
  free(path);
  return false;
}

static bool is_allowed(Session *session, const Exec *exec) {
  if (exec->mode > MODE_ALL || !is_command_allowed(session, exec->command) || !is_container_allowed(session, exec)) return false;
  if (is_netns_allowed(session, exec)) return true;
  char *command = slice_copy(exec->command), *what = join(command, " of a plugin", NULL);
  note_breach(session, what, exec->netns);
  free(what);
  free(command);
  return false;
}

static bool answer_routes(Session *session, Slice fields) {
  Slice netns;
  if (session->verb != VERB_ADD || session->runs_errands) return false;
  if (!next_field(&fields, &netns) || slice_has_nul(netns)) return false;
  if (!slice_is(netns, session->netns) || (is_own(netns) && !may_use_own_netns()))
    return note_breach(session, "a change of routes", netns);
  char *fault = change_routes(session->netns, fields);
  Buffer *out = &session->connection.out;
  size_t frame = begin_frame(out, KIND_ROUTED);
  add_number(out, fault == NULL ? 0 : 1);
  add_text(out, fault == NULL ? "" : fault);
  end_frame(out, frame);
  free(fault);
  session->last_heard = now_ms();
  flush(session);
  return true;
}

static void leave_errand(Session *session) {
  drop_held(&session->runner);
  stop_guard(&session->guard);
  unlock(&session->lock, false);
  free(session->errand);
  session->errand = NULL;
}

static bool take_errand(Session *session, Slice fields) {
  Slice id;
  if (!session->runs_errands || !next_field(&fields, &id) || !is_idle(&session->runner)) return false;
  leave_errand(session);
  if (id.size == 0) {
    session->is_over = session->verb != VERB_AGENT;
    return true;
  }
  if (container_id_fault(id) != NULL) return false;
  Fault fault = {0};
  bool is_locked = lock_container(session->config.state_dir, id, 0, false, &session->lock, &fault) == LOCK_HAD;
  free(fault.message);
  if (is_locked) session->errand = slice_copy(id);
  Buffer *out = &session->connection.out;
  size_t frame = begin_frame(out, KIND_ERRAND);
  add_field(out, id);
  add_number(out, is_locked ? 1 : 0);
  end_frame(out, frame);
  flush(session);
  return true;
}

static bool take_done(Session *session, Slice fields) {
  uint32_t status, flags;
  Slice answer;
  if (!next_number(&fields, &status) || !next_number(&fields, &flags) || !next_field(&fields, &answer)) return false;
  // There is one answer to a request; an agent that gets one is refused.
  if (session->runs_errands && session->verb != VERB_AGENT) return false;
  session->is_done = true;
  session->status = status > 255 ? 255 : (int)status;
  session->forgets = (flags & FLAG_FORGET) != 0;
  session->lends_a_hand = (flags & FLAG_ERRANDS) != 0;
  session->answer.size = 0;
  buffer_slice(&session->answer, answer);
  cancel_calls(&session->runner, false);
  return true;
}

static bool take_hello(Session *session, Slice fields) {
  uint32_t version;
  if (!next_number(&fields, &version)) return false;
  if (version == 0 || (version >= LOWEST_PROTOCOL && version <= HIGHEST_PROTOCOL)) return true;
  lose(session, join("the plexus daemon speaks protocol ", decimal(version), ", the shim ", decimal(LOWEST_PROTOCOL), " to ",
                     decimal(HIGHEST_PROTOCOL), "; bring shim and daemon of this node to the same release", NULL));
  return false;
}

/* False for a frame that no daemon sends here. */
static bool take(Session *session, uint8_t kind, Slice fields) {
  switch (kind) {
    case KIND_HELLO: return take_hello(session, fields);
    case KIND_PROBE: return answer_probe(session, fields);
    case KIND_ROUTES: return answer_routes(session, fields);
    case KIND_DONE: return take_done(session, fields);
    case KIND_ERRAND: return take_errand(session, fields);
    case KIND_CANCEL: cancel_calls(&session->runner, false); return true;
    case KIND_EXEC: {
      Exec exec;
      if (!decode_exec(fields, &exec) || !is_allowed(session, &exec)) return false;
      if ((exec.mode & MODE_HOLD) == 0) session->has_executed = true;
      return add_call(&session->runner, fields);
    }
    case KIND_LOG: {
      Slice text;
      if (!next_field(&fields, &text)) return false;
      write_stderr(text);
      write_stderr(slice_of("\n"));
      return true;
    }
    default: return false;
  }
}

/* Takes the frames that are there, up to the answer; false when one is wrong. */
static bool take_frames(Session *session) {
  uint8_t kind;
  Slice fields;
  while (!session->is_lost && !session->is_done && !session->is_over) {
    switch (take_frame(&session->connection, &kind, &fields)) {
      case FRAME_NONE: return true;
      case FRAME_WRONG: return false;
      case FRAME_WHOLE: break;
    }
    session->has_heard = true;
    session->last_heard = now_ms();
    if (!take(session, kind, fields)) return false;
  }
  return true;
}

static void receive(Session *session, bool *is_broken) {
  bool is_open = receive_bytes(&session->connection);
  if (!take_frames(session)) {
    *is_broken = true;
    lose(session, session->breach == NULL
                      ? join("the plexus daemon sent a frame that the protocol does not allow", NULL)
                      : join("the plexus daemon asked for what it may not: ", session->breach, NULL));
  } else if (!is_open && !session->is_done && !session->is_over) {
    lose(session, join("the daemon has closed the connection", NULL));
  }
}

int64_t longest_wait(const Session *session) {
  switch (session->verb) {
    case VERB_ADD: return session->config.add_wait_ms;
    case VERB_DEL:
    case VERB_CHECK: return session->config.del_wait_ms;
    default: return 0;
  }
}

static int64_t hello_answer_limit(const Session *session) {
  int64_t wait = longest_wait(session);
  if (session->verb >= VERB_GC) return HELLO_ANSWER_MS;
  return wait < LEAST_HELLO_ANSWER_MS ? LEAST_HELLO_ANSWER_MS : wait;
}

static int64_t silent_until(const Session *session) {
  if (session->is_lost || session->runs_errands || !is_idle(&session->runner)) return NEVER;
  if (!session->has_heard) return session->last_heard + hello_answer_limit(session);
  return session->last_heard + (session->verb == VERB_ADD ? SILENCE_ADD_MS : SILENCE_MS);
}

/* The runtime wants us gone: what runs is ended, and the daemon gets its chance to undo. */
static void cancel(Session *session) {
  session->is_cancelled = true;
  session->end_by = now_ms() + (session->runs_errands ? LAST_BREATH_MS : END_MS);
  cancel_calls(&session->runner, true);
  if (session->is_lost) return;
  if (session->runs_errands && is_idle(&session->runner)) {
    lose(session, join("asked to end", NULL));
    return;
  }
  size_t frame = begin_frame(&session->connection.out, KIND_CANCEL);
  end_frame(&session->connection.out, frame);
  flush(session);
}

static int64_t earlier(int64_t left, int64_t right) { return left < right ? left : right; }

Outcome serve(Session *session) {
  bool is_broken = false, is_late = false;
  if (session->connection.fd < 0) session->is_lost = true;
  for (;;) {
    start_calls(&session->runner);
    bool is_idle_now = is_idle(&session->runner);
    if (session->is_done && is_idle_now) return SERVED;
    if (session->is_over && is_idle_now) return SERVED;
    if (session->is_lost && is_idle_now) return is_late ? ENDED_BY_RUNTIME : is_broken ? BROKEN : LOST;
    if (!session->holds_exits) flush(session);

    struct pollfd entries[ENTRY_COUNT];
    bool has_output = !session->holds_exits && session->connection.sent < session->connection.out.size;
    entries[0] = (struct pollfd){session->is_done ? -1 : session->connection.fd, (short)(POLLIN | (has_output ? POLLOUT : 0)), 0};
    size_t count = poll_entries(&session->runner, entries, 1);
    int64_t deadline = earlier(earlier(next_deadline(&session->runner), silent_until(session)), session->end_by);
    wait_for(entries, count, deadline);

    handle_calls(&session->runner, entries + 1);
    if (is_asked_to_end() && !session->is_cancelled) cancel(session);
    if (!session->is_lost && entries[0].revents != 0) receive(session, &is_broken);
    int64_t now = now_ms();
    if (now >= silent_until(session)) {
      session->is_silent = true;
      lose(session, join("the daemon is silent", NULL));
    }
    if (now >= session->end_by) {
      is_late = true;
      session->end_by = NEVER;
      cancel_calls(&session->runner, false);
      lose(session, join("the runtime asked to end", NULL));
    }
  }
}

void run_errands(Session *session) {
  stop_guard(&session->guard);
  session->runs_errands = true;
  session->is_done = false;
  // Most often the daemon has nothing to ask, and has said so by now.
  if (!receive_bytes(&session->connection) || !take_frames(session) || session->is_over) _exit(session->status);
  pid_t child = fork();
  if (child != 0) _exit(session->status);
  // The runtime waits for whoever holds its pipes.
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  setsid();
  session->end_by = now_ms() + ERRANDS_MS;
  serve(session);
  leave_errand(session);
  _exit(0);
}

/* Why the daemon is of no use to an agent, NULL when it was. */
static char *serve_agent(Session *session) {
  char *reason = NULL;
  if (open_connection(&session->connection, session->config.socket, &reason) != CONNECTED || !send_hello(session)) {
    char *message = join("no daemon on ", session->config.socket, reason == NULL ? "" : ": ", reason == NULL ? "" : reason, NULL);
    free(reason);
    return message;
  }
  switch (serve(session)) {
    case SERVED: return join("the daemon refuses it: ", buffer_string(&session->answer), NULL);
    case BROKEN: return join(session->reason, NULL);
    default: return NULL;
  }
}

int run_agent(Session *session) {
  int64_t pause = LEAST_PAUSE_MS;
  bool was_told = false;
  while (!is_asked_to_end()) {
    int64_t begun = now_ms();
    session->runs_errands = true;
    char *fault = serve_agent(session);
    if (fault != NULL && !was_told) warn(fault);
    was_told = fault != NULL;
    free(fault);
    // Who is sent away at once comes back ever later.
    if (now_ms() - begun >= LASTING_MS) pause = LEAST_PAUSE_MS;
    leave_errand(session);
    close_connection(&session->connection);
    session->end_by = NEVER;
    if (!is_asked_to_end()) nap(pause);
    pause = pause * 2 < MOST_PAUSE_MS ? pause * 2 : MOST_PAUSE_MS;
  }
  return 0;
}
