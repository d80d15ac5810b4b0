/* Time that no clock jump moves, waiting, and the signals that end a wait. */
#ifndef CLOCK_H
#define CLOCK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

int64_t now_us(void);
int64_t now_ms(void);
/* A deadline that never comes. */
#define NEVER INT64_MAX

/* Blocks the signals that the loop cares for, so that they come only while it waits. */
void prepare_signals(void);
/* Whether SIGTERM or SIGINT has come. */
bool is_asked_to_end(void);
/* poll(2) until a deadline (milliseconds), with the signals let through; as poll, EINTR counts as 0. */
int wait_for(struct pollfd *fds, nfds_t count, int64_t deadline_ms);
/* Sleeps about so long (between half and all of it), or shorter when a signal comes. */
void nap(int64_t at_most_ms);
/* Gives a program that replaces us the signals as a new process has them. */
void restore_signals(void);

#endif
