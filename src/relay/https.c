/*
 * https.c
 *		Letters by a provider's HTTP API: POST of JSON with a bearer key.
 *
 * The body's length is announced, so the request is complete with its last
 * byte: that one is held back until the fence was asked.  If the answer is no,
 * the connection is closed and the provider has an incomplete request.  The
 * message's id is the Idempotency-Key, so a repetition is not a second mail.
 */
#include <stdlib.h>
#include <string.h>

#include "https.h"
#include "https_reply.h"
#include "server.h"
#include "wire.h"

#define BODY_SIZE 4096

typedef struct Https
{
	Wire wire;

	/* the transfer in progress */
	struct curl_slist *headers;
	bool asked;
	size_t body_length;
	char body[BODY_SIZE];
} Https;

/* Delivers the request; its last byte only if the fence says go. */
static size_t
on_read(char *buffer, size_t size, size_t count, void *context)
{
	Https *https = context;
	size_t left = https->wire.letter->length - https->wire.delivered;

	if (left > 1)
		return wire_read(&https->wire, buffer, size * count, 1);
	if (left == 1 && !https->asked)
	{
		https->asked = true;
		wire_ask_fence(&https->wire);
	}
	if (https->wire.answer != FENCE_GO)
		return CURL_READFUNC_ABORT;
	return wire_read(&https->wire, buffer, size * count, 0);
}

/* libcurl repeats a request that a kept connection swallowed when it died. */
static int
on_seek(void *context, curl_off_t offset, int origin)
{
	Wire *wire = context;

	if (origin != SEEK_SET || offset < 0 ||
		(size_t) offset > wire->letter->length)
		return CURL_SEEKFUNC_FAIL;
	wire->delivered = (size_t) offset;
	return CURL_SEEKFUNC_OK;
}

/* Keeps the beginning of the answer. */
static size_t
on_answer(char *bytes, size_t size, size_t count, void *context)
{
	Https *https = context;
	size_t length = size * count;
	size_t room = BODY_SIZE - 1 - https->body_length;
	size_t keep = length < room ? length : room;

	memcpy(https->body + https->body_length, bytes, keep);
	https->body_length += keep;
	https->body[https->body_length] = '\0';
	return length;
}

static bool
open_https(Wire *wire)
{
	CURL *curl = wire->curl;

	if (!server_configure_https(curl, wire->config, wire->delivery))
		return false;
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT,
					 "usermgmt-relay/" USERMGMT_VERSION);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, wire);
	curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(curl, CURLOPT_SEEKDATA, wire);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, wire);
	return true;
}

/* The request's headers; libcurl adds the key. */
static struct curl_slist *
request_headers(const Letter *letter)
{
	struct curl_slist *headers = NULL;
	char key[80];
	const char *const lines[] = {"Content-Type: application/json",
								 "Accept: application/json", "Expect:", key};

	snprintf(key, sizeof(key), "Idempotency-Key: %.60s", letter->id);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!(headers = curl_slist_append(headers, lines[i])))
			abort();
	return headers;
}

/* Turns what happened into an outcome. */
static void
judge(Https *https, CURLcode result)
{
	const char *words = wire_words(&https->wire, result);
	Delivery *delivery = https->wire.delivery;
	curl_off_t reached = 0;
	curl_off_t wait = 0;
	long status = 0;

	curl_easy_getinfo(https->wire.curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(https->wire.curl, CURLINFO_RETRY_AFTER, &wait);
	curl_easy_getinfo(https->wire.curl, CURLINFO_PRETRANSFER_TIME_T, &reached);
	if (https->wire.answer == FENCE_CANCELLED)
		delivery_set(delivery, OUTCOME_CANCELLED, "the request was not ended");
	else if (https->wire.answer == FENCE_LOST)
		delivery_set(delivery, OUTCOME_ABANDONED, "the request was not ended");
	else if (result == CURLE_OK && status / 100 == 2 && !https->asked)
		delivery_set(delivery, OUTCOME_LATER,
					 "HTTP %ld before the end of the request", status);
	else if (status / 100 > 2 || (result == CURLE_OK && status / 100 == 2))
		https_judge(delivery, status, https->body, wait);
	else if (https->asked)
		delivery_set(delivery, OUTCOME_LATER,
					 "in doubt: no reply to the request (%s)", words);
	else
		delivery_set(delivery, reached ? OUTCOME_LATER : OUTCOME_PAUSE,
					 "%s: %s", reached ? "request" : "connect", words);
}

static void
begin_letter(Wire *wire)
{
	Https *https = (Https *) wire;

	https->asked = false;
	https->body_length = 0;
	https->body[0] = '\0';
	https->headers = request_headers(wire->letter);
	curl_easy_setopt(wire->curl, CURLOPT_HTTPHEADER, https->headers);
	curl_easy_setopt(wire->curl, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t) wire->letter->length);
}

static bool
end_letter(Wire *wire, CURLcode result)
{
	Https *https = (Https *) wire;

	judge(https, result);
	curl_easy_setopt(wire->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(https->headers);
	https->headers = NULL;
	return true;
}

Transport *
https_transport(const Config *config)
{
	static const WireProtocol protocol = {
		.open = open_https, .begin = begin_letter, .end = end_letter};

	return wire_transport(config, &protocol, sizeof(Https));
}
