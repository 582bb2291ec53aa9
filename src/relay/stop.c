/*
 * stop.c
 *		Being asked to stop.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "stop.h"

static int stop_pipe[2] = {-1, -1};
static volatile sig_atomic_t stopping;

/* Wakes the waits, and lets the next signal end the process at once. */
static void
on_stop_signal(int number)
{
	(void) number;
	stopping = 1;
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	if (write(stop_pipe[1], "", 1) < 0)
		return; /* the pipe is full: it wakes the waits already */
}

bool
stop_watch(void)
{
	struct sigaction action = {.sa_handler = on_stop_signal,
							   .sa_flags = SA_RESTART};

	if (pipe(stop_pipe) < 0 || fcntl(stop_pipe[1], F_SETFL, O_NONBLOCK) < 0 ||
		fcntl(stop_pipe[0], F_SETFD, FD_CLOEXEC) < 0 ||
		fcntl(stop_pipe[1], F_SETFD, FD_CLOEXEC) < 0)
		return false;

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	return true;
}

bool
stop_requested(void)
{
	return stopping;
}

int
stop_fd(void)
{
	return stop_pipe[0];
}

void
stop_wait(int milliseconds)
{
	struct pollfd wait = {.fd = stop_pipe[0], .events = POLLIN};

	poll(&wait, 1, milliseconds);
}
