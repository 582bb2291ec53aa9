/*
 * wire.c
 *		libcurl's transfers, each in a thread of its own.
 *
 * libcurl's multi interface would do without threads, but its SMTP waits inside
 * for the reply to the final dot, and with it all other transfers.  Only the
 * program speaks to the database, so the thread asks it for the fence.
 *
 * libcurl says QUIT after every refusal and waits for the answer, and only a
 * socket shut for reading ends that wait.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define STACK_SIZE (512 * 1024)
#define SAY_FENCE 'F'
#define SAY_ENDED 'E'

/* Replaces one socket by another, -1 being none. */
static void
replace_socket(Wire *wire, curl_socket_t old, curl_socket_t new)
{
	for (int i = 0; i < WAIT_SOCKETS; i++)
		if (wire->sockets[i] == old)
		{
			wire->sockets[i] = new;
			return;
		}
}

static int
on_open(void *context, curl_socket_t fd, curlsocktype purpose)
{
	(void) purpose;
	replace_socket(context, -1, fd);
	return CURL_SOCKOPT_OK;
}

static int
on_close(void *context, curl_socket_t fd)
{
	replace_socket(context, fd, -1);
	return close(fd);
}

void
wire_open(Wire *wire, Wait *wait)
{
	int pair[2];

	*wire = (Wire){.curl = curl_easy_init(), .wait = wait};
	if (!wire->curl ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	wire->ours = pair[0];
	wire->theirs = pair[1];
	wait->until = -1;
	for (int i = 0; i < WAIT_SOCKETS; i++)
	{
		wire->sockets[i] = -1;
		wait->fds[i] = (struct pollfd){.fd = -1};
	}
	curl_easy_setopt(wire->curl, CURLOPT_SOCKOPTFUNCTION, on_open);
	curl_easy_setopt(wire->curl, CURLOPT_SOCKOPTDATA, wire);
	curl_easy_setopt(wire->curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(wire->curl, CURLOPT_CLOSESOCKETDATA, wire);
	curl_easy_setopt(wire->curl, CURLOPT_ERRORBUFFER, wire->error);
}

/* Sends one byte; these sockets neither fill up nor fail. */
static void
say(int end, char word)
{
	while (write(end, &word, 1) != 1)
		if (errno != EINTR)
			abort();
}

/* Waits for one byte. */
static char
hear(int end)
{
	char word;

	while (read(end, &word, 1) != 1)
		if (errno != EINTR)
			abort();
	return word;
}

static void *
run(void *context)
{
	Wire *wire = context;

	wire->result = curl_easy_perform(wire->curl);
	say(wire->theirs, SAY_ENDED);
	return NULL;
}

void
wire_start(Wire *wire, const Fence *fence)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	wire->error[0] = '\0';
	wire->fence = fence;
	wire->wait->fds[0] = (struct pollfd){.fd = wire->ours, .events = POLLIN};

	/* Signals are for the program. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	if (pthread_create(&wire->thread, &attributes, run, wire) != 0)
		abort();
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

FenceAnswer
wire_ask_fence(Wire *wire)
{
	say(wire->theirs, SAY_FENCE);
	return (FenceAnswer) hear(wire->theirs);
}

bool
wire_proceed(Wire *wire, CURLcode *result)
{
	struct pollfd heard = {.fd = wire->ours, .events = POLLIN};

	if (poll(&heard, 1, 0) <= 0)
		return false;
	if (hear(wire->ours) == SAY_FENCE)
	{
		say(wire->ours, (char) wire->fence->ask(wire->fence->context));
		return false;
	}
	pthread_join(wire->thread, NULL);
	wire->wait->fds[0].fd = -1;
	wire->letters++;
	*result = wire->result;
	return true;
}

void
wire_stop_reading(Wire *wire)
{
	for (int i = 0; i < WAIT_SOCKETS; i++)
		if (wire->sockets[i] != -1)
			shutdown(wire->sockets[i], SHUT_RD);
}

bool
wire_was_reused(const Wire *wire)
{
	long connects = 1;

	curl_easy_getinfo(wire->curl, CURLINFO_NUM_CONNECTS, &connects);
	return wire->letters > 1 && connects == 0;
}

void
wire_close(Wire *wire)
{
	if (!wire->curl)
		return;
	wire_stop_reading(wire);
	curl_easy_cleanup(wire->curl);
	close(wire->ours);
	close(wire->theirs);
	wire->curl = NULL;
}
