// Starts programs as a container runtime starts CNI plugins, and measures how long they take.
//
// Reads orders on stdin, answers on stdout. Both are sequences of fields: a length in decimal digits, a
// newline, then that many bytes; numbers are fields of digits.
//
//   make N PATH*N                     makes network namespaces, mounted on these paths -> ok
//   drop N PATH*N                     unmounts them and removes the paths              -> ok
//   run P (S (A ARG*A E ENV*E STDIN)*S)*P
//       P pods at once, each its S programs one after the other until one fails
//       -> WALL (ELAPSED FAILED STATUS S STDOUT*S)*P, in microseconds since all pods were let go;
//          FAILED is the number of the program that failed, or -1; STATUS its exit status or -signal
//
// The benchmark starts it in network and mount namespaces of its own, which go when it ends.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct bytes {
	char *data;
	size_t size;
};

struct program {
	char **argv;
	char **env;
	struct bytes in;
	struct bytes out;
};

struct pod {
	pthread_t thread;
	long count;
	struct program *programs;
	long elapsed;
	long failed;
	int status;
};

static pthread_barrier_t ready;
static struct timespec begin;

static void die(const char *what)
{
	fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size ? size : 1);
	if (!memory)
		die("memory");
	return memory;
}

// The orders' end is the runner's end, wherever it comes.
static struct bytes read_field(void)
{
	size_t size;
	if (scanf("%zu", &size) != 1 || getchar() != '\n')
		exit(0);
	struct bytes field = { allocate(size + 1), size };
	if (fread(field.data, 1, size, stdin) != size)
		exit(0);
	return field;
}

static long read_number(void)
{
	struct bytes field = read_field();
	long number = atol(field.data);
	free(field.data);
	return number;
}

static char **read_strings(void)
{
	long count = read_number();
	char **strings = allocate((count + 1) * sizeof *strings);
	for (long i = 0; i < count; i++)
		strings[i] = read_field().data;
	return strings;
}

static void free_strings(char **strings)
{
	for (char **string = strings; *string; string++)
		free(*string);
	free(strings);
}

static void write_field(const char *data, size_t size)
{
	printf("%zu\n", size);
	fwrite(data, 1, size, stdout);
}

static void write_number(long number)
{
	char digits[24];
	write_field(digits, snprintf(digits, sizeof digits, "%ld", number));
}

static long elapsed_since_begin(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - begin.tv_sec) * 1000000L + (now.tv_nsec - begin.tv_nsec) / 1000;
}

static void make_namespaces(void)
{
	char **paths = read_strings();
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0)
		die("own network namespace");
	for (char **path = paths; *path; path++) {
		int fd = open(*path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			die(*path);
		close(fd);
		if (unshare(CLONE_NEWNET))
			die("new network namespace");
		if (mount("/proc/thread-self/ns/net", *path, NULL, MS_BIND, NULL))
			die(*path);
		if (setns(own, CLONE_NEWNET))
			die("back to the own network namespace");
	}
	close(own);
	free_strings(paths);
	write_field("ok", 2);
}

static void drop_namespaces(void)
{
	char **paths = read_strings();
	for (char **path = paths; *path; path++) {
		if (umount2(*path, MNT_DETACH) || unlink(*path))
			die(*path);
	}
	free_strings(paths);
	write_field("ok", 2);
}

static void write_input(int fd, struct bytes input)
{
	for (size_t done = 0; done < input.size;) {
		ssize_t n = write(fd, input.data + done, input.size - done);
		if (n < 0 && errno != EINTR)
			return; // it ended without reading: its status says what that means
		if (n > 0)
			done += n;
	}
}

static struct bytes read_output(int fd)
{
	size_t room = 4096;
	struct bytes output = { allocate(room), 0 };
	for (;;) {
		ssize_t n = read(fd, output.data + output.size, room - output.size);
		if (n == 0 || (n < 0 && errno != EINTR))
			return output;
		if (n > 0)
			output.size += n;
		if (output.size == room) {
			room *= 2;
			output.data = realloc(output.data, room);
			if (!output.data)
				die("memory");
		}
	}
}

// Exit status, or the negative number of the signal or error that ended it.
static int run_program(struct program *program)
{
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	// The runner ignores SIGPIPE; what it starts must not inherit that.
	posix_spawnattr_t attributes;
	posix_spawnattr_init(&attributes);
	sigset_t defaults;
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	pid_t pid;
	int error = posix_spawn(&pid, program->argv[0], &actions, &attributes, program->argv, program->env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	close(in[0]);
	close(out[1]);
	int status = 0;
	if (error == 0) {
		write_input(in[1], program->in);
		close(in[1]);
		program->out = read_output(out[0]);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	} else {
		close(in[1]);
		status = -error;
	}
	close(out[0]);
	return status;
}

static void *run_pod(void *argument)
{
	struct pod *pod = argument;
	// The one that everybody waits for sets the clock, then lets all go.
	if (pthread_barrier_wait(&ready) == PTHREAD_BARRIER_SERIAL_THREAD)
		clock_gettime(CLOCK_MONOTONIC, &begin);
	pthread_barrier_wait(&ready);
	pod->failed = -1;
	for (long i = 0; i < pod->count && pod->failed < 0; i++) {
		pod->status = run_program(&pod->programs[i]);
		if (pod->status != 0)
			pod->failed = i;
	}
	pod->elapsed = elapsed_since_begin();
	return NULL;
}

static void run_pods(void)
{
	long count = read_number();
	struct pod *pods = allocate(count * sizeof *pods);
	for (struct pod *pod = pods; pod < pods + count; pod++) {
		pod->count = read_number();
		pod->programs = allocate(pod->count * sizeof *pod->programs);
		for (long i = 0; i < pod->count; i++) {
			pod->programs[i].argv = read_strings();
			pod->programs[i].env = read_strings();
			pod->programs[i].in = read_field();
		}
	}
	pthread_barrier_init(&ready, NULL, count);
	for (struct pod *pod = pods; pod < pods + count; pod++)
		if (pthread_create(&pod->thread, NULL, run_pod, pod))
			die("thread");
	long wall = 0;
	for (struct pod *pod = pods; pod < pods + count; pod++) {
		pthread_join(pod->thread, NULL);
		if (pod->elapsed > wall)
			wall = pod->elapsed;
	}
	pthread_barrier_destroy(&ready);
	write_number(wall);
	for (struct pod *pod = pods; pod < pods + count; pod++) {
		write_number(pod->elapsed);
		write_number(pod->failed);
		write_number(pod->status);
		write_number(pod->count);
		for (long i = 0; i < pod->count; i++) {
			struct program *program = &pod->programs[i];
			write_field(program->out.data, program->out.size);
			free_strings(program->argv);
			free_strings(program->env);
			free(program->in.data);
			free(program->out.data);
		}
		free(pod->programs);
	}
	free(pods);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct bytes order = read_field();
		if (strcmp(order.data, "make") == 0)
			make_namespaces();
		else if (strcmp(order.data, "drop") == 0)
			drop_namespaces();
		else if (strcmp(order.data, "run") == 0)
			run_pods();
		else
			return 2;
		free(order.data);
		fflush(stdout);
	}
}
