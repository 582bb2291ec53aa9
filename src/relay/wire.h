#ifndef RELAY_WIRE_H
#define RELAY_WIRE_H

#include <curl/curl.h>
#include <stdbool.h>

#include "transport.h"

/*
 * One kept connection of libcurl that never blocks the program: a handle, the
 * sockets it waits for, and the moment at which it wants to be called.
 */
typedef struct Wire
{
	CURLM *multi; /* NULL: not open */
	CURL *curl;
	Wait *wait; /* the transport's */
	int letters; /* transfers ended on this handle */
	char error[CURL_ERROR_SIZE];
	curl_socket_t sockets[WAIT_SOCKETS]; /* that libcurl holds; -1 is none */
} Wire;

/* Makes the handle; what is waited for appears in wait. */
void wire_open(Wire *wire, Wait *wait);

/* Begins the transfer that the handle is set up for. */
void wire_start(Wire *wire);

/* Goes on; true when the transfer has ended, with its result. */
bool wire_proceed(Wire *wire, CURLcode *result);

/* Reads no more from the server, so that nothing waits for its last words. */
void wire_stop_reading(Wire *wire);

/* The transfer that ended used a connection that an earlier one had left. */
bool wire_was_reused(const Wire *wire);

/* Closes the connection politely but without waiting for an answer. */
void wire_close(Wire *wire);

#endif
