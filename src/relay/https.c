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

#define LETTERS_PER_CONNECTION 100
#define BODY_SIZE 4096

typedef struct Https
{
	Transport transport;
	const Config *config;
	Wire wire;

	/* the transfer in progress */
	const Letter *letter;
	const Fence *fence;
	Delivery *delivery;
	struct curl_slist *headers;
	size_t delivered;
	bool asked;
	FenceAnswer answer;
	size_t body_length;
	char body[BODY_SIZE];
} Https;

/* Delivers the request; its last byte only if the fence says go. */
static size_t
on_read(char *buffer, size_t size, size_t count, void *context)
{
	Https *https = context;
	size_t room = size * count;
	size_t left = https->letter->length - https->delivered;
	size_t now = left > 1 ? left - 1 : left;

	if (left == 1 && !https->asked)
	{
		https->answer = wire_ask_fence(&https->wire);
		https->asked = true;
	}
	if (https->answer != FENCE_GO)
		return CURL_READFUNC_ABORT;
	if (now > room)
		now = room;
	memcpy(buffer, https->letter->bytes + https->delivered, now);
	https->delivered += now;
	return now;
}

/* libcurl repeats a request that a kept connection swallowed when it died. */
static int
on_seek(void *context, curl_off_t offset, int origin)
{
	Https *https = context;

	if (origin != SEEK_SET || offset < 0 ||
		(size_t) offset > https->letter->length)
		return CURL_SEEKFUNC_FAIL;
	https->delivered = (size_t) offset;
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
open_wire(Https *https, Delivery *delivery)
{
	CURL *curl;

	wire_open(&https->wire, &https->transport.wait);
	curl = https->wire.curl;
	if (!server_configure_https(curl, https->config, delivery))
	{
		wire_close(&https->wire);
		return false;
	}
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT,
					 "usermgmt-relay/" USERMGMT_VERSION);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, https);
	curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(curl, CURLOPT_SEEKDATA, https);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, https);
	return true;
}

static void
https_disconnect(Transport *self)
{
	wire_close(&((Https *) self)->wire);
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
	const char *words =
		*https->wire.error ? https->wire.error : curl_easy_strerror(result);
	Delivery *delivery = https->delivery;
	curl_off_t reached = 0;
	curl_off_t wait = 0;
	long status = 0;

	curl_easy_getinfo(https->wire.curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(https->wire.curl, CURLINFO_RETRY_AFTER, &wait);
	curl_easy_getinfo(https->wire.curl, CURLINFO_PRETRANSFER_TIME_T, &reached);
	if (https->answer == FENCE_CANCELLED)
		delivery_set(delivery, OUTCOME_CANCELLED, "the request was not ended");
	else if (https->answer == FENCE_LOST)
		delivery_set(delivery, OUTCOME_ABANDONED, "the request was not ended");
	else if (result == CURLE_OK && status / 100 == 2 && !https->asked)
		delivery_set(delivery, OUTCOME_LATER,
					 "HTTP %ld before the end of the request", status);
	else if (status / 100 > 2 || (result == CURLE_OK && status / 100 == 2))
		https_judge(delivery, status, https->body, wait);
	else if (https->asked)
		delivery_set(delivery, OUTCOME_LATER,
					 "in doubt: no reply to the request, it will be repeated "
					 "with the same Idempotency-Key (%s)",
					 words);
	else
		delivery_set(delivery, reached ? OUTCOME_LATER : OUTCOME_PAUSE,
					 "%s: %s", reached ? "request" : "connect", words);
}

static void
https_proceed(Transport *self)
{
	Https *https = (Https *) self;
	CURLcode result;

	if (!wire_proceed(&https->wire, &result))
		return;
	judge(https, result);
	curl_easy_setopt(https->wire.curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(https->headers);
	https->headers = NULL;
	if (https->delivery->outcome == OUTCOME_PAUSE ||
		https->wire.letters >= LETTERS_PER_CONNECTION)
		https_disconnect(self);
	self->busy = false;
}

static void
https_start(Transport *self, const Letter *letter, const Fence *fence,
			Delivery *delivery)
{
	Https *https = (Https *) self;

	self->busy = false;
	if (!https->wire.curl && !open_wire(https, delivery))
		return;
	https->letter = letter;
	https->fence = fence;
	https->delivery = delivery;
	https->delivered = 0;
	https->asked = false;
	https->answer = FENCE_GO;
	https->body_length = 0;
	https->body[0] = '\0';
	https->headers = request_headers(letter);
	curl_easy_setopt(https->wire.curl, CURLOPT_HTTPHEADER, https->headers);
	curl_easy_setopt(https->wire.curl, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t) letter->length);
	self->busy = true;
	wire_start(&https->wire, fence);
}

static void
https_close(Transport *self)
{
	https_disconnect(self);
	free(self);
}

Transport *
https_transport(const Config *config)
{
	Https *https = calloc(1, sizeof(*https));

	if (!https)
		abort();
	https->transport.start = https_start;
	https->transport.proceed = https_proceed;
	https->transport.disconnect = https_disconnect;
	https->transport.close = https_close;
	https->config = config;
	return &https->transport;
}
