#include "guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum { MAX_WATCHED = 512, PAUSE_MS = 20, LONGEST_WAIT_MS = 600000 };

/* What goes through the pipe; shorter than PIPE_BUF, so it comes whole. */
typedef struct {
  int32_t is_running;
  int32_t group;
} Notice;

static void tell(Guard guard, pid_t group, int32_t is_running) {
  Notice notice = {is_running, (int32_t)group};
  if (guard.pipe < 0) return;
  // The pipe is empty but for moments; a guard that is gone is no reason to fail.
  while (write(guard.pipe, &notice, sizeof notice) < 0 && errno == EINTR) {}
}

void guard_watch(Guard guard, pid_t group) { tell(guard, group, 1); }

void guard_release(Guard guard, pid_t group) { tell(guard, group, 0); }

/* State and process group of a process, from its stat file; false when it is gone. */
static bool read_stat(const char *pid, char *state, long *group) {
  char text[1024];
  char *path = join("/proc/", pid, "/stat", NULL);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  free(path);
  if (fd < 0) return false;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return false;
  text[size] = 0;
  // The name before it may hold blanks and brackets.
  char *rest = strrchr(text, ')');
  if (rest == NULL || strlen(rest) < 4) return false;
  *state = rest[2];
  char *parent = strchr(rest + 4, ' ');
  if (parent == NULL) return false;
  *group = strtol(parent, NULL, 10);
  return true;
}

/* A killed process counts as gone when it is a zombie: whose child it then is may take its time to reap. */
static bool is_group_alive(pid_t group) {
  if (kill(-group, 0) != 0 && errno == ESRCH) return false;
  DIR *proc = opendir("/proc");
  if (proc == NULL) return true;
  bool alive = false;
  for (struct dirent *entry; !alive && (entry = readdir(proc)) != NULL;) {
    char state;
    long its_group;
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    alive = read_stat(entry->d_name, &state, &its_group) && its_group == group && state != 'Z' && state != 'X';
  }
  closedir(proc);
  return alive;
}

static void end_groups(const int32_t *groups, size_t count) {
  for (size_t i = 0; i < count; i++) kill(-groups[i], SIGKILL);
  int64_t deadline = now_ms() + LONGEST_WAIT_MS;
  for (size_t i = 0; i < count; i++) {
    while (is_group_alive(groups[i]) && now_ms() < deadline) {
      // A member may have been made by one that was about to die.
      kill(-groups[i], SIGKILL);
      nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
  }
}

static void close_from(unsigned first) {
  if (syscall(SYS_close_range, first, ~0u, 0) == 0) return;
  for (int fd = (int)first; fd < 4096; fd++) close(fd);
}

static _Noreturn void guard(int pipe, const Lock *lock) {
  int32_t groups[MAX_WATCHED];
  size_t count = 0;
  setsid();
  prctl(PR_SET_NAME, "plexus-guard");
  if (chdir("/") != 0) _exit(0);
  struct sigaction action = {.sa_handler = SIG_IGN};
  const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sigaction(ignored[i], &action, NULL);
  // Nothing of ours may stay open in here but the pipe and the lock, least of all the runtime's pipes.
  int keep[] = {pipe, lock->folder, lock->file};
  for (int i = 0; i < 3; i++)
    if (keep[i] >= 0) keep[i] = fcntl(keep[i], F_DUPFD_CLOEXEC, 64);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  for (int i = 0; i < 3; i++)
    if (keep[i] >= 0) dup2(keep[i], 3 + i);
    else close(3 + i);
  close_from(6);
  for (;;) {
    Notice notice;
    ssize_t got = read(3, &notice, sizeof notice);
    if (got < 0 && errno == EINTR) continue;
    if (got != sizeof notice) break;
    if (notice.is_running != 0 && count < MAX_WATCHED) {
      groups[count++] = notice.group;
      continue;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
      if (groups[i] != notice.group) groups[kept++] = groups[i];
    count = kept;
  }
  end_groups(groups, count);
  _exit(0);
}

Guard start_guard(const Lock *lock) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return NO_GUARD;
  pid_t pid = fork();
  if (pid == 0) guard(ends[0], lock);
  close(ends[0]);
  if (pid > 0) return (Guard){ends[1], pid};
  close(ends[1]);
  return NO_GUARD;
}

void stop_guard(Guard *guard) {
  if (guard->pipe < 0) return;
  close(guard->pipe);
  // At the end of the process it is nobody's business; an agent goes on and must not gather zombies.
  waitpid(guard->pid, NULL, WNOHANG);
  *guard = NO_GUARD;
}
