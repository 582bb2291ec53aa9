/*
 * stop.c
 *		Being asked to stop, or to begin anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "stop.h"

static int stop_pipe[2] = {-1, -1};
static volatile sig_atomic_t stopping;
static volatile sig_atomic_t reloading;

/* Wakes the waits; a full pipe does that already.  Leaves errno to whatever the
 * signal came into. */
static void
wake(void)
{
	int saved = errno;
	ssize_t written = write(stop_pipe[1], "", 1);

	(void) written;
	errno = saved;
}

/* Wakes the waits, and lets the next signal end the process at once. */
static void
on_stop_signal(int number)
{
	(void) number;
	stopping = 1;
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	wake();
}

static void
on_reload_signal(int number)
{
	(void) number;
	reloading = 1;
	wake();
}

bool
stop_watch(void)
{
	struct sigaction action = {.sa_handler = on_stop_signal,
							   .sa_flags = SA_RESTART};
	struct sigaction reload = {.sa_handler = on_reload_signal,
							   .sa_flags = SA_RESTART};

	if (pipe(stop_pipe) < 0 || fcntl(stop_pipe[1], F_SETFL, O_NONBLOCK) < 0 ||
		fcntl(stop_pipe[0], F_SETFL, O_NONBLOCK) < 0 ||
		fcntl(stop_pipe[0], F_SETFD, FD_CLOEXEC) < 0 ||
		fcntl(stop_pipe[1], F_SETFD, FD_CLOEXEC) < 0)
		return false;

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigemptyset(&reload.sa_mask);
	sigaction(SIGHUP, &reload, NULL);
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

bool
reload_requested(void)
{
	char bytes[64];

	if (!reloading)
		return false;
	reloading = 0;
	while (read(stop_pipe[0], bytes, sizeof(bytes)) > 0)
		continue;
	return true;
}
