// What the shim costs. It is started in the shim's place; its environment and stdin go to the shim.
//
//   shim-cost hello COUNT SOCKET ANSWER PLEXUS
//       Listens on SOCKET and starts PLEXUS so often, each time with another container ID. Prints, a line for
//       each start, the nanoseconds from posix_spawn until the first frame has been received whole; then sends
//       what is in the file ANSWER, and waits for the end.
//   shim-cost peak PLEXUS
//       Runs PLEXUS once. Prints its largest resident memory in KiB in place of what it prints.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_INPUT = 32 * 1024, WAIT_MS = 5000, PAUSE_US = 2000 };

extern char **environ;

static void die(const char *what)
{
	fprintf(stderr, "shim-cost: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t read_file(int fd, char *bytes, size_t room)
{
	size_t size = 0;
	for (ssize_t n; (n = read(fd, bytes + size, room - size)) > 0;)
		size += n;
	return size;
}

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8))
		die(path);
	return fd;
}

static void wait_for(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	if (poll(&entry, 1, WAIT_MS) != 1) {
		errno = ETIMEDOUT;
		die("the shim says nothing");
	}
}

static void read_frame(int fd)
{
	static unsigned char bytes[1024 * 1024];
	size_t size = 0, wanted = 4;
	while (size < wanted) {
		wait_for(fd);
		ssize_t n = read(fd, bytes + size, sizeof bytes - size);
		if (n <= 0)
			die("frame");
		size += n;
		if (size >= 4)
			wanted = 4 + ((size_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
	}
}

static int64_t start_to_hello(int listener, char *plexus, const char *input, size_t input_size, const char *answer,
			      size_t answer_size)
{
	int in[2];
	// It fits into the pipe, so nothing of this process stands between start and hello.
	if (pipe2(in, O_CLOEXEC) || write(in[1], input, input_size) != (ssize_t)input_size)
		die("pipe");
	close(in[1]);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	char *arguments[] = { plexus, NULL };
	pid_t pid;
	int64_t begin = now();
	errno = posix_spawn(&pid, plexus, &actions, NULL, arguments, environ);
	if (errno)
		die(plexus);
	wait_for(listener);
	int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer < 0)
		die("accept");
	read_frame(peer);
	int64_t elapsed = now() - begin;
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	if (write(peer, answer, answer_size) != (ssize_t)answer_size)
		die("answer");
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		errno = EPROTO;
		die("the shim failed");
	}
	close(peer);
	return elapsed;
}

static int measure_hello(int count, const char *socket_path, const char *answer_path, char *plexus)
{
	static char input[MAX_INPUT], answer[MAX_INPUT];
	size_t input_size = read_file(0, input, sizeof input);
	int file = open(answer_path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		die(answer_path);
	size_t answer_size = read_file(file, answer, sizeof answer);
	int listener = listen_on(socket_path);
	for (int i = 0; i < count; i++) {
		char id[32];
		snprintf(id, sizeof id, "hello%d", i);
		setenv("CNI_CONTAINERID", id, 1);
		int64_t elapsed = start_to_hello(listener, plexus, input, input_size, answer, answer_size);
		printf("%lld\n", (long long)elapsed);
		usleep(PAUSE_US); // its guard ends
	}
	return 0;
}

static long read_kib(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	FILE *stream = fopen(path, "re");
	long kib = 0;
	while (stream && fgets(line, sizeof line, stream))
		if (strncmp(line, key, strlen(key)) == 0)
			kib = atol(line + strlen(key));
	if (stream)
		fclose(stream);
	return kib;
}

// The rusage of a child begins with the memory of the process that started it, so it is held at its end.
static int measure_peak(char *plexus)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		char *arguments[] = { plexus, NULL };
		int nowhere = open("/dev/null", O_WRONLY);
		if (nowhere < 0 || dup2(nowhere, 1) < 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(126);
		close(nowhere);
		execv(plexus, arguments);
		_exit(127);
	}
	int status;
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		die(plexus);
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL))
		die("ptrace");
	long peak = 0;
	for (int signal = 0;;) {
		if (ptrace(PTRACE_CONT, pid, NULL, signal) && errno != ESRCH)
			die("ptrace");
		if (waitpid(pid, &status, 0) != pid)
			die("wait");
		if (!WIFSTOPPED(status))
			break;
		signal = WSTOPSIG(status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			// The first counts pages in batches, the second knows only what is mapped now.
			long highest = read_kib(pid, "status", "VmHWM:"), last = read_kib(pid, "smaps_rollup", "Rss:");
			peak = highest > last ? highest : last;
			signal = 0;
		}
	}
	printf("%ld\n", peak);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int count, char **arguments)
{
	if (count == 6 && strcmp(arguments[1], "hello") == 0)
		return measure_hello(atoi(arguments[2]), arguments[3], arguments[4], arguments[5]);
	if (count == 3 && strcmp(arguments[1], "peak") == 0)
		return measure_peak(arguments[2]);
	return 2;
}
