/*
 * wire.c
 *		libcurl's transfers, each connection in a thread of its own.
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
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backoff.h"
#include "wire.h"

#define LETTERS_PER_CONNECTION 100
#define STACK_SIZE (512 * 1024)

/* As long as this an answer of the fence counts that was asked for ahead, and
 * ahead it is asked only where the letter before was out within that time. */
#define ANSWER_COUNTS_MS 20

/* What the thread says. */
#define SAY_FENCE 'F'
#define SAY_ENDED 'E'

/* What it hears, besides the fence's answers. */
#define SAY_BEGIN 'B'
#define SAY_QUIT 'Q'

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

/* Waits for the answer of the fence, which was asked. */
static void
hear_answer(Wire *wire)
{
	wire->answer = (FenceAnswer) hear(wire->theirs);
	wire->asked = false;
}

static void *
run(void *context)
{
	Wire *wire = context;

	while (hear(wire->theirs) == SAY_BEGIN)
	{
		wire->result = curl_easy_perform(wire->curl);
		if (wire->asked)
			hear_answer(wire);
		say(wire->theirs, SAY_ENDED);
	}
	return NULL;
}

static void
start_thread(Wire *wire)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	wire->ours = pair[0];
	wire->theirs = pair[1];

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

static bool
open_wire(Wire *wire)
{
	wire->curl = curl_easy_init();
	if (!wire->curl)
		abort();
	wire->letters = 0;
	wire->prompt = false;
	for (int i = 0; i < WAIT_SOCKETS; i++)
		wire->sockets[i] = -1;
	curl_easy_setopt(wire->curl, CURLOPT_SOCKOPTFUNCTION, on_open);
	curl_easy_setopt(wire->curl, CURLOPT_SOCKOPTDATA, wire);
	curl_easy_setopt(wire->curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(wire->curl, CURLOPT_CLOSESOCKETDATA, wire);
	curl_easy_setopt(wire->curl, CURLOPT_ERRORBUFFER, wire->error);
	if (wire->protocol->open(wire))
	{
		start_thread(wire);
		return true;
	}
	curl_easy_cleanup(wire->curl);
	wire->curl = NULL;
	return false;
}

/* Closes the connection politely but without waiting for an answer. */
static void
disconnect(Transport *self)
{
	Wire *wire = (Wire *) self;

	if (!wire->curl)
		return;
	say(wire->ours, SAY_QUIT);
	pthread_join(wire->thread, NULL);
	wire_stop_reading(wire);
	curl_easy_cleanup(wire->curl);
	close(wire->ours);
	close(wire->theirs);
	wire->curl = NULL;
}

/* Begins the letter's transfer, over a kept connection if there is one. */
static void
begin(Wire *wire)
{
	Transport *transport = &wire->transport;

	transport->busy = wire->curl || open_wire(wire);
	if (!transport->busy)
		return;
	wire->delivered = 0;
	wire->near_end = 0;
	wire->answer = FENCE_GO;
	wire->error[0] = '\0';
	wire->protocol->begin(wire);
	transport->wait.fds[0] =
		(struct pollfd){.fd = wire->ours, .events = POLLIN};
	say(wire->ours, SAY_BEGIN);
}

static void
start(Transport *self, const Letter *letter, Delivery *delivery)
{
	Wire *wire = (Wire *) self;

	wire->letter = letter;
	wire->delivery = delivery;
	begin(wire);
}

/* A new handle reads the password anew, so a mended file is noticed. */
static void
end(Wire *wire)
{
	wire->transport.busy = false;
	wire->transport.wait.fds[0].fd = -1;
	wire->letters++;
	if (!wire->protocol->end(wire, wire->result))
	{
		disconnect(&wire->transport);
		begin(wire);
	}
	else if (wire->delivery->outcome == OUTCOME_PAUSE ||
			 wire->letters >= LETTERS_PER_CONNECTION)
		disconnect(&wire->transport);
}

static void
proceed(Transport *self)
{
	Wire *wire = (Wire *) self;

	if (!self->wait.fds[0].revents)
		return;
	self->wait.fds[0].revents = 0;
	if (hear(wire->ours) == SAY_FENCE)
		self->asking = true;
	else
		end(wire);
}

static void
answer(Transport *self, FenceAnswer answer)
{
	Wire *wire = (Wire *) self;

	self->asking = false;
	wire->answered_at = monotonic_ms();
	say(wire->ours, (char) answer);
}

static void
close_wire(Transport *self)
{
	disconnect(self);
	free(self);
}

Transport *
wire_transport(const Config *config, const WireProtocol *protocol, size_t size)
{
	Wire *wire = calloc(1, size);

	if (!wire)
		abort();
	wire->transport = (Transport){.start = start,
								  .proceed = proceed,
								  .answer = answer,
								  .disconnect = disconnect,
								  .close = close_wire,
								  .wait = {.until = -1}};
	for (int i = 0; i < WAIT_SOCKETS; i++)
		wire->transport.wait.fds[i].fd = -1;
	wire->protocol = protocol;
	wire->config = config;
	return &wire->transport;
}

static void
ask(Wire *wire)
{
	if (!wire->asked)
		say(wire->theirs, SAY_FENCE);
	wire->asked = true;
}

void
wire_near_end(Wire *wire)
{
	wire->near_end = monotonic_ms();
	if (wire->prompt)
		ask(wire);
}

FenceAnswer
wire_ask_fence(Wire *wire)
{
	bool ahead = wire->asked;

	wire->prompt = wire->near_end != 0 &&
				   monotonic_ms() - wire->near_end <= ANSWER_COUNTS_MS;
	ask(wire);
	hear_answer(wire);
	if (ahead && wire->answer == FENCE_GO &&
		monotonic_ms() - wire->answered_at > ANSWER_COUNTS_MS)
	{
		ask(wire);
		hear_answer(wire);
	}
	return wire->answer;
}

size_t
wire_read(Wire *wire, char *buffer, size_t room, size_t keep)
{
	size_t left = wire->letter->length - wire->delivered;
	size_t now = left > keep ? left - keep : 0;

	if (now > room)
		now = room;
	memcpy(buffer, wire->letter->bytes + wire->delivered, now);
	wire->delivered += now;
	return now;
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

const char *
wire_words(const Wire *wire, CURLcode result)
{
	return *wire->error ? wire->error : curl_easy_strerror(result);
}
