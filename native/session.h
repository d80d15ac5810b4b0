/* One call of the runtime: what it asked, the daemon that thinks, the delegates that run. */
#ifndef SESSION_H
#define SESSION_H

#include "config.h"
#include "connection.h"
#include "lock.h"
#include "runner.h"

typedef enum { VERB_ADD, VERB_DEL, VERB_CHECK, VERB_GC, VERB_STATUS, VERB_AGENT } Verb;

typedef enum {
  /* The daemon's answer is there. */
  SERVED,
  /* The connection has ended before it; what ran has been waited for. */
  LOST,
  /* The daemon said what no daemon may say. */
  BROKEN,
  /* The runtime asked us to end, and the time for it is over. */
  ENDED_BY_RUNTIME,
} Outcome;

typedef struct {
  Config config;
  Verb verb;
  const char *container_id, *if_name, *netns;
  Slice stdin_bytes;

  SearchPath search;
  Lock lock;
  Guard guard;
  Runner runner;
  Connection connection;

  /* Exits wait for those that follow by themselves. */
  bool holds_exits;
  bool has_heard, has_executed, is_cancelled, is_lost;
  /* What the daemon asked for and must not; NULL when it did not. */
  char *breach;
  /* It has waited for the daemon in vain: no use to ask again. */
  bool is_silent;
  /* Why the connection ended, for the error. */
  char *reason;
  int64_t last_heard, end_by;

  /* The daemon's answer. */
  bool is_done, forgets, lends_a_hand;
  int status;
  Buffer answer;

  /* After the answer: the sandbox that the daemon works on with our help. */
  bool runs_errands, is_over;
  char *errand;
} Session;

void begin_session(Session *session);
/* Milliseconds for which a daemon that is not there is waited for. */
int64_t longest_wait(const Session *session);
/* Sends the hello on an open connection. */
bool send_hello(Session *session);
/* Tells of the netns of an ADD before the daemon asks: it has to think anyway. */
void send_facts(Session *session);
/* Serves the daemon's frames until there is an outcome; without a connection, until no call is left. */
Outcome serve(Session *session);
/* Goes on after the answer, in the background, for two seconds at most. Does not return. */
_Noreturn void run_errands(Session *session);
/* The other executor: serves errands until SIGTERM. */
int run_agent(Session *session);
/* Writes all of it, however slowly the reader takes it; false, and said on stderr, when it cannot be written. */
bool write_stdout(Slice bytes);
/* A line on stderr that begins with the program's name. */
void warn(const char *message);

#endif
