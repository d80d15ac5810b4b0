#include "runner.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

enum {
  BUSY_ATTEMPTS = 6,
  BUSY_PAUSE_MS = 1000,
  KILL_DELAY_MS = 500,
  DRAIN_MS = 250,
  /* After SIGKILL; a process that hangs in the kernel is then left to the guard. */
  DEATH_MS = 5000,
  READ_BYTES = 65536,
  READS_PER_TURN = 16,
};

extern char **environ;

void write_stderr(Slice bytes) {
  struct pollfd entry = {.fd = STDERR_FILENO, .events = POLLOUT};
  while (bytes.size > 0) {
    if (poll(&entry, 1, 0) != 1 || (entry.revents & POLLOUT) == 0) return;
    // A pipe that is ready takes this much without waiting.
    ssize_t written = write(STDERR_FILENO, bytes.at, bytes.size < 4096 ? bytes.size : 4096);
    if (written <= 0) return;
    bytes.at += written;
    bytes.size -= (size_t)written;
  }
}

bool is_idle(const Runner *runner) { return runner->first == NULL; }

bool has_succeeded(const Call *call) { return call->ended == ENDED_ITSELF && call->signal == 0 && call->status == 0; }

static void close_end(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void close_process(Call *call) {
  close_end(&call->process.in);
  close_end(&call->process.out);
  close_end(&call->process.err);
  close_end(&call->process.pidfd);
}

static void free_call(Call *call) {
  buffer_free(&call->output);
  buffer_free(&call->errors);
  free_plugin(&call->plugin);
  free(call->bytes);
  free(call);
}

/* The calls that are over go from the queue's front. */
static void shorten(Runner *runner) {
  while (runner->first != NULL && runner->first->state == CALL_OVER) {
    Call *call = runner->first;
    runner->before_succeeded = has_succeeded(call);
    runner->before_was_dropped = call->ended == ENDED_DROPPED;
    runner->first = call->next;
    if (runner->first == NULL) runner->last = NULL;
    runner->count--;
    free_call(call);
  }
}

static void end_call(Runner *runner, Call *call) {
  call->state = CALL_OVER;
  call->ended_us = now_us();
  if (call->started_us == 0) call->started_us = call->ended_us;
  const Call *next = call->next;
  bool goes_on = next != NULL && (next->state == CALL_WAITING || next->state == CALL_AHEAD) &&
                 (next->exec.mode & MODE_ORDER) != MODE_NOW && (next->exec.mode & MODE_TELL_AT_ONCE) == 0;
  runner->over(runner->context, call, goes_on);
  buffer_free(&call->output);
  buffer_free(&call->errors);
}

static void refuse(Runner *runner, Call *call, int code, char *reason) {
  call->ended = ENDED_NOT_STARTED;
  call->code = code;
  call->errors.size = 0;
  buffer_text(&call->errors, reason);
  free(reason);
  end_call(runner, call);
}

/* The environment of a delegate: ours with the six CNI variables replaced. The texts are in `texts`. */
static char **make_environment(const Runner *runner, const Call *call, Buffer *texts) {
  static const char *const names[] = {"CNI_COMMAND=", "CNI_CONTAINERID=", "CNI_NETNS=", "CNI_IFNAME=", "CNI_ARGS=", "CNI_PATH="};
  enum { NAMES = sizeof names / sizeof *names };
  const Slice values[NAMES] = {call->exec.command, call->exec.container_id, call->exec.netns,
                               call->exec.if_name, call->exec.args,         slice_of(runner->search->joined)};
  size_t count = 0, offsets[NAMES];
  while (environ[count] != NULL) count++;
  char **environment = allocate((count + NAMES + 1) * sizeof *environment);
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    bool is_ours = false;
    for (size_t name = 0; name < NAMES; name++) is_ours |= strncmp(environ[i], names[name], strlen(names[name])) == 0;
    if (!is_ours) environment[kept++] = environ[i];
  }
  for (size_t name = 0; name < NAMES; name++) {
    offsets[name] = texts->size;
    buffer_text(texts, names[name]);
    buffer_slice(texts, values[name]);
    buffer_add(texts, "", 1);
  }
  for (size_t name = 0; name < NAMES; name++) environment[kept++] = (char *)texts->at + offsets[name];
  environment[kept] = NULL;
  return environment;
}

static void feed(Call *call) {
  while (call->stdin_written < call->exec.stdin_bytes.size) {
    ssize_t written = write(call->process.in, call->exec.stdin_bytes.at + call->stdin_written,
                            call->exec.stdin_bytes.size - call->stdin_written);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return;
    // A delegate may end without reading its input.
    if (written < 0) break;
    call->stdin_written += (size_t)written;
  }
  close_end(&call->process.in);
}

static char *type_text(const Call *call) { return slice_copy(call->exec.type); }

static void report_missing(Runner *runner, Call *call) {
  Buffer reason = {0};
  buffer_text(&reason, "failed to find plugin \"");
  buffer_slice(&reason, call->exec.type);
  buffer_text(&reason, runner->search->count == 0 ? "\": no paths provided" : "\" in path [");
  for (size_t i = 0; i < runner->search->count; i++) {
    if (i > 0) buffer_text(&reason, " ");
    buffer_slice(&reason, runner->search->directories[i]);
  }
  if (runner->search->count > 0) buffer_text(&reason, "]");
  buffer_string(&reason);
  refuse(runner, call, CODE_PLUGIN_NOT_FOUND, (char *)reason.at);
}

/* A plugin that runs beside the one before it is to have another processor, but only one that the kernel has given us. */
static Place place_of(const Runner *runner, const Call *call) {
  Place place = {(call->exec.mode & MODE_KEEP_PROCESSOR) != 0, -1, -1};
  if ((call->exec.mode & MODE_ORDER) != MODE_WITH) return place;
  place.other_than = runner->processor;
  place.instead = sched_getcpu();
  if (place.instead == place.other_than) place.instead = runner->earlier_processor;
  return place;
}

static int start_process(Runner *runner, Call *call) {
  if (runner->guard->pipe < 0) *runner->guard = start_guard(runner->lock);
  Buffer texts = {0};
  char **environment = make_environment(runner, call, &texts);
  int error = start_plugin(&call->plugin, environment, *runner->guard, place_of(runner, call), &call->process);
  free(environment);
  buffer_free(&texts);
  if (call->process.processor != runner->processor) runner->earlier_processor = runner->processor;
  runner->processor = call->process.processor;
  return error;
}

/*
 * Starts a plugin that does nothing before it has its input, while the call before it runs. Scripts may look at
 * no more than their environment, so only programs are. What goes wrong is told when its turn has come.
 */
static void start_ahead(Runner *runner, Call *call) {
  call->exec.mode &= ~(uint32_t)MODE_START_AHEAD;
  call->plugin = find_plugin(runner->search, call->exec.type);
  bool is_started = call->plugin.state == PLUGIN_FOUND && is_program(&call->plugin) && start_process(runner, call) == 0;
  if (is_started) call->state = CALL_AHEAD;
  else free_plugin(&call->plugin);
}

/* Ends a plugin that has had no input. */
static void end_ahead(Runner *runner, Call *call) {
  kill(-call->process.pid, SIGKILL);
  struct pollfd end = {.fd = call->process.pidfd, .events = POLLIN};
  // One that hangs in the kernel is left to the guard.
  if (call->process.pidfd < 0 || poll(&end, 1, DEATH_MS) == 1) {
    guard_release(*runner->guard, call->process.pid);
    while (waitpid(call->process.pid, NULL, 0) < 0 && errno == EINTR) {}
  }
  close_process(call);
}

static void hold(Runner *runner, Call *call) {
  start_ahead(runner, call);
  if (call->state == CALL_AHEAD) runner->held = call;
  else free_call(call);
}

void drop_held(Runner *runner) {
  if (runner->held == NULL) return;
  end_ahead(runner, runner->held);
  free_call(runner->held);
  runner->held = NULL;
}

/* The plugin was started with the environment of the held call, so all of that must be the same. */
static void use_held(Runner *runner, Call *call) {
  Call *held = runner->held;
  if (held == NULL) return;
  const Exec *was = &held->exec, *is = &call->exec;
  bool is_same = slice_equal(was->type, is->type) && slice_equal(was->command, is->command) &&
                 slice_equal(was->container_id, is->container_id) && slice_equal(was->netns, is->netns) &&
                 slice_equal(was->if_name, is->if_name) && slice_equal(was->args, is->args);
  if (!is_same) {
    drop_held(runner);
    return;
  }
  call->plugin = held->plugin;
  call->process = held->process;
  call->state = CALL_AHEAD;
  held->plugin = (Plugin){.state = PLUGIN_MISSING};
  free_call(held);
  runner->held = NULL;
}

bool add_call(Runner *runner, Slice fields) {
  if (runner->count >= MAX_CALLS) return false;
  Call *call = allocate(sizeof *call);
  *call = (Call){.state = CALL_WAITING, .bytes = allocate(fields.size), .process = {0, -1, -1, -1, -1, -1}};
  if (fields.size > 0) memcpy(call->bytes, fields.at, fields.size);
  bool is_hold = false;
  bool is_good = decode_exec((Slice){call->bytes, fields.size}, &call->exec) && is_plugin_type(call->exec.type);
  if (is_good) is_hold = (call->exec.mode & MODE_HOLD) != 0, is_good = !is_hold || runner->held == NULL;
  if (!is_good) {
    free_call(call);
    return false;
  }
  if (is_hold) {
    hold(runner, call);
    return true;
  }
  use_held(runner, call);
  if (runner->last == NULL) runner->first = call;
  else runner->last->next = call;
  runner->last = call;
  runner->count++;
  return true;
}

static void drop(Runner *runner, Call *call) {
  if (call->state == CALL_AHEAD) end_ahead(runner, call);
  call->ended = ENDED_DROPPED;
  end_call(runner, call);
}

static void start_call(Runner *runner, Call *call) {
  if (call->attempts == 0) {
    call->started_us = now_us();
    call->deadline = call->started_us / 1000 + call->exec.timeout_ms;
  }
  if (call->attempts == 0 && call->state != CALL_AHEAD) {
    call->plugin = find_plugin(runner->search, call->exec.type);
    if (call->plugin.state == PLUGIN_MISSING) {
      report_missing(runner, call);
      return;
    }
    char *type = type_text(call);
    char *reason = NULL;
    if (call->plugin.state == PLUGIN_REFUSED)
      reason = join("plugin \"", type, "\" is not run: ", call->plugin.reason,
                    "; only root may be able to write it and the folders that lead to it", NULL);
    if (call->plugin.state == PLUGIN_PLEXUS) reason = join("plugin \"", type, "\" is Plexus itself", NULL);
    free(type);
    if (reason != NULL) {
      refuse(runner, call, CODE_PLUGIN_NOT_ALLOWED, reason);
      return;
    }
  }
  int error = call->state == CALL_AHEAD ? 0 : start_process(runner, call);
  if (error == 0) {
    call->state = CALL_RUNNING;
    call->next_step = NEVER;
    runner->running++;
    feed(call);
    return;
  }
  char *type = type_text(call);
  if (error == ETXTBSY && ++call->attempts < BUSY_ATTEMPTS && now_ms() + BUSY_PAUSE_MS <= call->deadline) {
    call->state = CALL_BUSY;
    call->next_step = now_ms() + BUSY_PAUSE_MS;
  } else if (error == ETXTBSY) {
    refuse(runner, call, CODE_TRY_AGAIN,
           join("plugin \"", type, "\" is busy: ", call->plugin.path, " is being written; retry when its installation has ended", NULL));
  } else {
    refuse(runner, call, CODE_IO,
           join("plugin \"", type, "\" cannot be started: ", call->plugin.path, ": ", strerror(error), NULL));
  }
  free(type);
}

void start_calls(Runner *runner) {
  CallState state = CALL_OVER;
  size_t ahead = 0;
  bool succeeded = runner->before_succeeded, was_dropped = runner->before_was_dropped;
  for (Call *call = runner->first; call != NULL; call = call->next) {
    if (call->state == CALL_WAITING || call->state == CALL_AHEAD) {
      uint32_t order = call->exec.mode & MODE_ORDER;
      bool is_before_over = state == CALL_OVER, is_before_begun = is_before_over || state == CALL_RUNNING || state == CALL_BUSY;
      bool may_start = order == MODE_NOW || (order == MODE_WITH ? is_before_begun : is_before_over);
      bool is_near = state == CALL_RUNNING || (order == MODE_WITH && state == CALL_AHEAD);
      if (is_before_over && ((order == MODE_AFTER_SUCCESS && !succeeded) || (order == MODE_WITH && was_dropped))) {
        drop(runner, call);
      } else if (may_start && runner->running < MAX_RUNNING) {
        start_call(runner, call);
      } else if (!may_start && is_near && call->state == CALL_WAITING && (call->exec.mode & MODE_START_AHEAD) != 0 &&
                 runner->running + ahead < MAX_RUNNING) {
        start_ahead(runner, call);
      }
    }
    ahead += call->state == CALL_AHEAD;
    state = call->state;
    succeeded = state == CALL_OVER && has_succeeded(call);
    was_dropped = state == CALL_OVER && call->ended == ENDED_DROPPED;
  }
  shorten(runner);
}

size_t poll_entries(const Runner *runner, struct pollfd *entries, size_t count) {
  for (const Call *call = runner->first; call != NULL; call = call->next) {
    if (call->state != CALL_RUNNING) continue;
    entries[count++] = (struct pollfd){call->has_exited ? -1 : call->process.pidfd, POLLIN, 0};
    entries[count++] = (struct pollfd){call->process.out, POLLIN, 0};
    entries[count++] = (struct pollfd){call->process.err, POLLIN, 0};
    entries[count++] = (struct pollfd){call->process.in, POLLOUT, 0};
  }
  return count;
}

int64_t next_deadline(const Runner *runner) {
  int64_t next = NEVER;
  for (const Call *call = runner->first; call != NULL; call = call->next) {
    bool is_timed = call->state == CALL_RUNNING || call->state == CALL_BUSY;
    if (is_timed && call->next_step < next) next = call->next_step;
    bool is_limited = call->state == CALL_RUNNING && call->ended == ENDED_ITSELF && !call->has_exited;
    if (is_limited && call->deadline < next) next = call->deadline;
  }
  return next;
}

static void stop_call(Call *call, Ended why) {
  if (call->ended != ENDED_ITSELF) return;
  call->ended = why;
  if (call->has_exited) return;
  kill(-call->process.pid, SIGTERM);
  call->next_step = now_ms() + KILL_DELAY_MS;
}

/* Reads what is there; false when the pipe is at its end. */
static bool drain(int fd, Buffer *kept, size_t *total, size_t limit, bool is_shown) {
  static uint8_t bytes[READ_BYTES];
  for (int turn = 0; turn < READS_PER_TURN; turn++) {
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    size_t room = *total < limit ? limit - *total : 0;
    size_t taken = (size_t)got < room ? (size_t)got : room;
    buffer_add(kept, bytes, taken);
    if (is_shown) write_stderr((Slice){bytes, taken});
    *total += (size_t)got;
  }
  return true;
}

static void read_pipes(Call *call) {
  if (call->process.out >= 0) {
    if (!drain(call->process.out, &call->output, &call->output_bytes, MAX_STDOUT_BYTES, false)) close_end(&call->process.out);
    if (call->output_bytes > MAX_STDOUT_BYTES) stop_call(call, ENDED_OUTPUT);
  }
  if (call->process.err >= 0 && !drain(call->process.err, &call->errors, &call->errors_bytes, MAX_STDERR_BYTES, true))
    close_end(&call->process.err);
}

/* Sees whether it has ended, without reaping it: until then its group's number stays its own. */
static void look_for_exit(Call *call) {
  siginfo_t info = {0};
  if (waitid(P_PID, (id_t)call->process.pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
  call->has_exited = true;
  if (info.si_code == CLD_EXITED) call->status = info.si_status;
  else call->signal = info.si_status;
}

static void finish(Runner *runner, Call *call, bool is_dead) {
  bool has_rest = call->process.out >= 0 || call->process.err >= 0;
  // What we had to end may have left children behind, and so has one whose pipes are still open.
  if (call->ended != ENDED_ITSELF || has_rest) kill(-call->process.pid, SIGKILL);
  if (is_dead) {
    guard_release(*runner->guard, call->process.pid);
    while (waitpid(call->process.pid, NULL, 0) < 0 && errno == EINTR) {}
  }
  close_process(call);
  runner->running--;
  end_call(runner, call);
}

static void advance(Runner *runner, Call *call, const struct pollfd *entries) {
  if (entries[3].revents != 0 && call->process.in >= 0) feed(call);
  if (entries[1].revents != 0 || entries[2].revents != 0) read_pipes(call);
  if (!call->has_exited && (entries[0].revents != 0 || call->process.pidfd < 0)) {
    look_for_exit(call);
    if (call->has_exited) {
      call->next_step = now_ms() + DRAIN_MS;
      close_end(&call->process.in);
      read_pipes(call);
    }
  }
  int64_t now = now_ms();
  if (call->has_exited) {
    // A child that keeps the pipes open is not waited for.
    if ((call->process.out < 0 && call->process.err < 0) || now >= call->next_step) finish(runner, call, true);
    return;
  }
  if (call->ended == ENDED_ITSELF) {
    if (now >= call->deadline) stop_call(call, ENDED_TIMEOUT);
    return;
  }
  if (now < call->next_step) return;
  if (!call->is_killed) {
    kill(-call->process.pid, SIGKILL);
    call->is_killed = true;
    call->next_step = now + DEATH_MS;
    return;
  }
  call->signal = SIGKILL;
  finish(runner, call, false);
}

void handle_calls(Runner *runner, const struct pollfd *entries) {
  for (Call *call = runner->first; call != NULL; call = call->next) {
    if (call->state == CALL_RUNNING) {
      advance(runner, call, entries);
      entries += 4;
    } else if (call->state == CALL_BUSY && now_ms() >= call->next_step) {
      if (runner->running < MAX_RUNNING) start_call(runner, call);
      else call->next_step = now_ms() + BUSY_PAUSE_MS;
    }
  }
  start_calls(runner);
}

void drop_waiting(Runner *runner) {
  drop_held(runner);
  Call **place = &runner->first;
  runner->last = NULL;
  while (*place != NULL) {
    Call *call = *place;
    if (call->state == CALL_AHEAD) end_ahead(runner, call);
    if (call->state == CALL_WAITING || call->state == CALL_BUSY || call->state == CALL_AHEAD) {
      *place = call->next;
      runner->count--;
      free_call(call);
    } else {
      runner->last = call;
      place = &call->next;
    }
  }
  shorten(runner);
}

void cancel_calls(Runner *runner, bool spares_del) {
  drop_held(runner);
  for (Call *call = runner->first; call != NULL; call = call->next) {
    if (spares_del && slice_is(call->exec.command, "DEL")) continue;
    if (call->state == CALL_RUNNING) {
      if (!call->has_exited) stop_call(call, ENDED_CANCELLED);
    } else if (call->state != CALL_OVER) {
      drop(runner, call);
    }
  }
  shorten(runner);
}
