#ifndef RELAY_WIRE_H
#define RELAY_WIRE_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>

#include "transport.h"

/*
 * One kept connection of libcurl. A transfer runs in a thread of its own, which
 * touches this connection and nothing else of the program; it asks for the
 * fence, and says that it ended, through a pair of sockets.
 */
typedef struct Wire
{
	CURL *curl;	 /* NULL: not open */
	Wait *wait;	 /* the transport's */
	int letters; /* transfers ended on this handle */
	char error[CURL_ERROR_SIZE];
	curl_socket_t sockets[WAIT_SOCKETS]; /* that libcurl holds; -1 is none */

	/* the transfer */
	const Fence *fence;
	pthread_t thread;
	int ours;	/* the program's end of the pair */
	int theirs; /* the thread's */
	CURLcode result;
} Wire;

/* Makes the handle; what is waited for appears in wait. */
void wire_open(Wire *wire, Wait *wait);

/* Begins the transfer that the handle is set up for. */
void wire_start(Wire *wire, const Fence *fence);

/* For the transfer's callbacks: has the program ask the fence. */
FenceAnswer wire_ask_fence(Wire *wire);

/* Goes on; true when the transfer has ended, with its result. */
bool wire_proceed(Wire *wire, CURLcode *result);

/* Reads no more from the server, so that nothing waits for its last words. */
void wire_stop_reading(Wire *wire);

/* The transfer that ended used a connection that an earlier one had left. */
bool wire_was_reused(const Wire *wire);

/* Closes the connection politely but without waiting for an answer. */
void wire_close(Wire *wire);

#endif
