/* Delegates' calls: a queue of them, those that run, their pipes and time limits. */
#ifndef RUNNER_H
#define RUNNER_H

#include <poll.h>

#include "frame.h"
#include "plugin.h"

enum {
  MAX_STDERR_BYTES = 1024 * 1024,
  /* With what else an exit frame holds this is the largest frame. */
  MAX_STDOUT_BYTES = MAX_FRAME_BYTES - 64 * 1024,
  MAX_CALLS = 1024,
  MAX_RUNNING = 32,
};

/* How a call ended, in the numbers of the wire. */
typedef enum {
  ENDED_ITSELF = 0,
  ENDED_TIMEOUT = 1,
  ENDED_OUTPUT = 2,
  ENDED_CANCELLED = 3,
  ENDED_NOT_STARTED = 4,
  ENDED_DROPPED = 5,
} Ended;

/* CALL_AHEAD: its plugin has been started and waits for the input. */
typedef enum { CALL_WAITING, CALL_AHEAD, CALL_BUSY, CALL_RUNNING, CALL_OVER } CallState;

typedef struct Call Call;
struct Call {
  Call *next;
  CallState state;
  Exec exec;
  /* What exec's texts are stretches of. */
  uint8_t *bytes;

  Plugin plugin;
  Started process;
  size_t stdin_written;
  Buffer output, errors;
  size_t output_bytes, errors_bytes;
  bool has_exited, is_killed;
  int status, signal;
  Ended ended;
  /* For ENDED_NOT_STARTED: the CNI error code, and the reason is in `errors`. */
  int code;
  int attempts;
  int64_t started_us, ended_us;
  /* Milliseconds; what `next_step` means depends on how far the end is. */
  int64_t deadline, next_step;
};

typedef struct Runner Runner;
struct Runner {
  const SearchPath *search;
  Guard *guard;
  /* Which lock the guard holds; it is started at the first call. */
  const Lock *lock;
  Call *first, *last;
  /* In no queue: its plugin has been started for the call that comes next, if that is the same. */
  Call *held;
  size_t count, running;
  /* On which the plugin that was started last stays, and the last other one; -1 when there is none. */
  int processor, earlier_processor;
  /* How the call before the first one went; true when there was none. */
  bool before_succeeded;
  bool before_was_dropped;
  /* Told of every end; `goes_on` says that the next call was waiting for it. */
  void (*over)(void *context, const Call *call, bool goes_on);
  void *context;
};

/* Copies the fields of an exec frame into the queue, or holds them; false when they are none or it is full. */
bool add_call(Runner *runner, Slice fields);
bool is_idle(const Runner *runner);
/* Starts what may start, drops what may not. */
void start_calls(Runner *runner);
/* Adds what the running calls wait for; room for 4 entries each is needed. Gives the new count. */
size_t poll_entries(const Runner *runner, struct pollfd *entries, size_t count);
int64_t next_deadline(const Runner *runner);
/* Handles what poll has told of these entries, and the timers; between the two no call may be added. */
void handle_calls(Runner *runner, const struct pollfd *entries);
/* Ends what runs and forgets what waits. DELs may go on: they are bounded by their own limit. */
void cancel_calls(Runner *runner, bool spares_del);
/* Ends the plugin that is held for a call to come. */
void drop_held(Runner *runner);
/* Forgets what waits, without a word. */
void drop_waiting(Runner *runner);
/* Whether the call ended as a plugin's success does. */
bool has_succeeded(const Call *call);
/* Bytes for our own stderr, as far as its reader takes them: nobody waits for it. */
void write_stderr(Slice bytes);

#endif
