/* DEL without a daemon: what the journal says is undone from the journal alone (design §5). */
#ifndef REPLAY_H
#define REPLAY_H

#include "session.h"

/*
 * Undoes the request's sandbox, newest call first, all of it whatever fails; no record is success. No
 * message in the answer means success; `is_forgotten` says that nothing of the container is recorded.
 */
Fault replay_undo(Session *session, bool *is_forgotten);
/* Whether a record of the container names the netns, and it is gone or still the one that it was. */
bool is_recorded_netns(const char *state_dir, Slice container_id, Slice netns);
/* Whether nothing of the container is recorded. */
bool is_forgotten(const char *state_dir, const char *container_id);

#endif
