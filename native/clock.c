#include "clock.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t end_asked;
static sigset_t while_waiting;

int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t now_ms(void) { return now_us() / 1000; }

static void on_end(int number) {
  (void)number;
  end_asked = 1;
}

// It only ends the wait: kernels without pidfds tell of a child's end in no other way.
static void on_child(int number) { (void)number; }

void prepare_signals(void) {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGCHLD);
  sigprocmask(SIG_SETMASK, &blocked, NULL);
  sigemptyset(&while_waiting);
  struct sigaction action = {.sa_handler = on_end};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  action.sa_handler = on_child;
  sigaction(SIGCHLD, &action, NULL);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
}

void restore_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int number = 1; number < 65; number++)
    if (number != SIGKILL && number != SIGSTOP) sigaction(number, &action, NULL);
  sigprocmask(SIG_SETMASK, &while_waiting, NULL);
}

bool is_asked_to_end(void) { return end_asked != 0; }

int wait_for(struct pollfd *fds, nfds_t count, int64_t deadline_ms) {
  struct timespec limit, *until = NULL;
  if (deadline_ms != NEVER) {
    int64_t left = deadline_ms - now_ms();
    if (left < 0) left = 0;
    limit = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
    until = &limit;
  }
  int ready = ppoll(fds, count, until, &while_waiting);
  if (ready >= 0) return ready;
  for (nfds_t i = 0; i < count; i++) fds[i].revents = 0;
  return 0;
}

void nap(int64_t at_most_ms) {
  static uint64_t state;
  if (state == 0) state = (uint64_t)now_us() * 2654435761u + (uint64_t)getpid() + 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  int64_t half = at_most_ms / 2;
  wait_for(NULL, 0, now_ms() + half + (int64_t)(state % (uint64_t)(at_most_ms - half + 1)));
}
