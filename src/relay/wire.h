#ifndef RELAY_WIRE_H
#define RELAY_WIRE_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>

#include "config.h"
#include "transport.h"

typedef struct Wire Wire;

/* What a protocol has to do for a wire to carry its letters. */
typedef struct WireProtocol
{
	/* Sets up a new handle; false, with the delivery set, if it cannot. */
	bool (*open)(Wire *wire);
	/* Sets the handle up for the letter. */
	void (*begin)(Wire *wire);
	/* Frees what begin() made and turns what happened into an outcome; false
	 * if the letter is to be begun once more, over a new connection. */
	bool (*end)(Wire *wire, CURLcode result);
} WireProtocol;

/*
 * A transport that is one kept connection of libcurl; a protocol's own struct
 * begins with it. Transfers run in a thread, which touches the wire and nothing
 * else of the program; through a pair of sockets it is told to begin, asks for
 * the fence, and says that a transfer ended.
 */
struct Wire
{
	Transport transport;
	const WireProtocol *protocol;
	const Config *config;

	CURL *curl;	 /* NULL: not open */
	int letters; /* transfers ended on this handle */
	char error[CURL_ERROR_SIZE];
	curl_socket_t sockets[WAIT_SOCKETS]; /* that libcurl holds; -1 is none */
	pthread_t thread;
	int ours;	/* the program's end of the pair */
	int theirs; /* the thread's */

	/* the transfer */
	const Letter *letter;
	Delivery *delivery;
	size_t delivered;	/* octets of the letter */
	int64_t near_end;	/* since when, 0: not yet */
	bool prompt;		/* the letter before was soon out from there */
	bool asked;			/* the fence; its answer was not heard yet */
	FenceAnswer answer; /* FENCE_GO until the answer is another */
	int64_t answered_at;
	CURLcode result;
};

/* Makes a transport of this size, which is all zero behind its wire. */
Transport *wire_transport(const Config *config, const WireProtocol *protocol,
						  size_t size);

/* For the transfer's callbacks: the last step comes next but for the letter.
 * If the letter before took but a moment from here, the program is asked for
 * the fence now, and the answer is not waited for. */
void wire_near_end(Wire *wire);

/* For them, too: the fence's answer, just before the last step. What was asked
 * ahead counts if the answer is a moment old at most; else it asks once more.
 */
FenceAnswer wire_ask_fence(Wire *wire);

/* For them, too: the next octets of the letter, all but the last so many. */
size_t wire_read(Wire *wire, char *buffer, size_t room, size_t keep);

/* Reads no more from the server, so that nothing waits for its last words. */
void wire_stop_reading(Wire *wire);

/* The transfer that ended used a connection that an earlier one had left. */
bool wire_was_reused(const Wire *wire);

/* libcurl's words about what happened. */
const char *wire_words(const Wire *wire, CURLcode result);

#endif
