/*
 * wire.c
 *		libcurl's transfers, several at a time in one thread.
 *
 * Each connection has a multi handle of its own, so that it is used by nobody
 * else and its sockets are known: libcurl says QUIT after every refusal and
 * waits for the answer, and only a socket shut for reading ends that wait.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backoff.h"
#include "wire.h"

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

/* libcurl says what it waits for on a socket. */
static int
on_socket(CURL *curl, curl_socket_t fd, int what, void *context, void *unused)
{
	struct pollfd *fds = ((Wire *) context)->wait->fds;
	struct pollfd *chosen = NULL;

	(void) curl;
	(void) unused;
	for (int i = 0; i < WAIT_SOCKETS; i++)
		if (fds[i].fd == fd || (fds[i].fd == -1 && !chosen))
			chosen = &fds[i];
	if (!chosen)
		return -1;
	*chosen = (struct pollfd){.fd = what == CURL_POLL_REMOVE ? -1 : fd};
	if (what & CURL_POLL_IN)
		chosen->events |= POLLIN;
	if (what & CURL_POLL_OUT)
		chosen->events |= POLLOUT;
	return 0;
}

/* libcurl says when it wants to be called. */
static int
on_timer(CURLM *multi, long milliseconds, void *context)
{
	(void) multi;
	((Wire *) context)->wait->until =
		milliseconds < 0 ? -1 : monotonic_ms() + milliseconds;
	return 0;
}

void
wire_open(Wire *wire, Wait *wait)
{
	*wire = (Wire){
		.multi = curl_multi_init(), .curl = curl_easy_init(), .wait = wait};
	if (!wire->multi || !wire->curl)
		abort();
	wait->until = -1;
	for (int i = 0; i < WAIT_SOCKETS; i++)
	{
		wire->sockets[i] = -1;
		wait->fds[i] = (struct pollfd){.fd = -1};
	}
	curl_multi_setopt(wire->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(wire->multi, CURLMOPT_SOCKETDATA, wire);
	curl_multi_setopt(wire->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(wire->multi, CURLMOPT_TIMERDATA, wire);
	curl_easy_setopt(wire->curl, CURLOPT_SOCKOPTFUNCTION, on_open);
	curl_easy_setopt(wire->curl, CURLOPT_SOCKOPTDATA, wire);
	curl_easy_setopt(wire->curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(wire->curl, CURLOPT_CLOSESOCKETDATA, wire);
	curl_easy_setopt(wire->curl, CURLOPT_ERRORBUFFER, wire->error);
}

void
wire_start(Wire *wire)
{
	wire->error[0] = '\0';
	if (curl_multi_add_handle(wire->multi, wire->curl) != CURLM_OK)
		abort();
	wire->wait->until = monotonic_ms(); /* proceed at once */
}

/* Lets libcurl do what has become possible. */
static void
act(Wire *wire)
{
	struct pollfd fds[WAIT_SOCKETS];
	int running;

	memcpy(fds, wire->wait->fds, sizeof(fds));
	for (int i = 0; i < WAIT_SOCKETS; i++)
	{
		int what = 0;

		wire->wait->fds[i].revents = 0;
		if (fds[i].fd == -1 || fds[i].revents == 0)
			continue;
		if (fds[i].revents & POLLIN)
			what |= CURL_CSELECT_IN;
		if (fds[i].revents & POLLOUT)
			what |= CURL_CSELECT_OUT;
		if (fds[i].revents & (POLLERR | POLLHUP | POLLNVAL))
			what |= CURL_CSELECT_ERR;
		curl_multi_socket_action(wire->multi, fds[i].fd, what, &running);
	}
	if (wire->wait->until >= 0 && wire->wait->until <= monotonic_ms())
	{
		wire->wait->until = -1;
		curl_multi_socket_action(wire->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

bool
wire_proceed(Wire *wire, CURLcode *result)
{
	const CURLMsg *message;
	int left;

	act(wire);
	while ((message = curl_multi_info_read(wire->multi, &left)))
		if (message->msg == CURLMSG_DONE)
		{
			*result = message->data.result;
			curl_multi_remove_handle(wire->multi, wire->curl);
			wire->wait->until = -1;
			wire->letters++;
			return true;
		}
	return false;
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
	if (!wire->multi)
		return;
	wire_stop_reading(wire);
	curl_multi_remove_handle(wire->multi, wire->curl);
	curl_easy_cleanup(wire->curl);
	curl_multi_cleanup(wire->multi);
	wire->multi = NULL;
	wire->curl = NULL;
}
