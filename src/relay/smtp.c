/*
 * smtp.c
 *		Letters by SMTP, with libcurl.
 *
 * libcurl's result codes do not tell a temporary refusal from a permanent one,
 * its response code is stale after a drop, and the last line it shows answers
 * QUIT.  So the commands are watched as they leave, and each reply as it
 * arrives: a reply counts only for the step it answers.
 *
 * The read callback owns the end of the body.  When every byte is delivered
 * it asks the fence, and unless that says go it aborts: libcurl then closes
 * the connection without the final dot, and the server has accepted nothing.
 */
#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "server.h"
#include "smtp.h"

#define LETTERS_PER_CONNECTION 100
#define SOCKETS_MAX 4 /* more than one while libcurl tries addresses */

typedef enum Step
{
	STEP_CONNECT,
	STEP_EHLO,
	STEP_TLS,
	STEP_LOGIN,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY,
	STEP_DOT
} Step;

/* clang-format off */
static const struct
{
	const char *verb; /* its first four letters */
	Step step;
} commands[] = {
	{"EHLO", STEP_EHLO},
	{"HELO", STEP_EHLO},
	{"STAR", STEP_TLS},
	{"AUTH", STEP_LOGIN},
	{"MAIL", STEP_MAIL},
	{"RCPT", STEP_RCPT},
	{"DATA", STEP_DATA},
};
static const char *const step_names[] = {
	"connect", "EHLO", "STARTTLS", "login",
	"MAIL", "RCPT", "DATA", "body", "end of data",
};
/* clang-format on */

typedef struct Smtp
{
	Transport transport;
	const Config *config;
	CURL *curl; /* NULL: no connection */
	int letters;
	char curl_error[CURL_ERROR_SIZE];
	curl_socket_t sockets[SOCKETS_MAX]; /* that libcurl holds; -1 is none */

	/* the transfer in progress */
	const Letter *letter;
	const Fence *fence;
	size_t delivered;
	FenceAnswer answer;
	Step step;
	bool quitting; /* what comes now answers QUIT */
	int code;	   /* the reply to this step, 0 while there is none */
	char reply[REPLY_SIZE];
} Smtp;

/* Begins a step, whose reply has not come yet. */
static void
begin_step(Smtp *smtp, Step step)
{
	smtp->step = step;
	smtp->quitting = false;
	smtp->code = 0;
}

/* Replaces one socket by another, -1 being none. */
static void
replace_socket(Smtp *smtp, curl_socket_t old, curl_socket_t new)
{
	for (int i = 0; i < SOCKETS_MAX; i++)
		if (smtp->sockets[i] == old)
		{
			smtp->sockets[i] = new;
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

/* Reads no more: libcurl says QUIT after every refusal, and a server that does
 * not answer it would hold up all other mail. */
static void
stop_reading(Smtp *smtp)
{
	for (int i = 0; i < SOCKETS_MAX; i++)
		if (smtp->sockets[i] != -1)
			shutdown(smtp->sockets[i], SHUT_RD);
}

/* Watches the commands leave. */
static int
on_debug(CURL *curl, curl_infotype type, char *data, size_t size, void *context)
{
	Smtp *smtp = context;

	(void) curl;
	if (type != CURLINFO_HEADER_OUT)
		return 0;
	if (size >= 4 && strncmp(data, "QUIT", 4) == 0)
	{
		smtp->quitting = true;
		stop_reading(smtp);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (size >= 4 && strncmp(data, commands[i].verb, 4) == 0)
			begin_step(smtp, commands[i].step);
	return 0;
}

/* Keeps the last line of the reply to the present step. */
static size_t
on_reply(char *line, size_t size, size_t count, void *context)
{
	Smtp *smtp = context;
	size_t length = size * count;
	size_t keep = length < REPLY_SIZE ? length : REPLY_SIZE - 1;

	if (smtp->quitting || length < 3 ||
		(line[0] != '2' && line[0] != '4' && line[0] != '5') ||
		!isdigit((unsigned char) line[1]) || !isdigit((unsigned char) line[2]))
		return length;

	while (keep > 3 && isspace((unsigned char) line[keep - 1]))
		keep--;
	for (size_t i = 0; i < keep; i++)
		smtp->reply[i] = line[i] ? line[i] : '?';
	smtp->reply[keep] = '\0';
	smtp->code = atoi(smtp->reply);
	return length;
}

/* Delivers the letter, then asks the fence whether the dot may follow. */
static size_t
on_read(char *buffer, size_t size, size_t count, void *context)
{
	Smtp *smtp = context;
	size_t room = size * count;
	size_t left = smtp->letter->length - smtp->delivered;

	if (left > 0)
	{
		size_t now = left < room ? left : room;

		memcpy(buffer, smtp->letter->bytes + smtp->delivered, now);
		smtp->delivered += now;
		begin_step(smtp, STEP_BODY);
		return now;
	}

	smtp->answer = smtp->fence->ask(smtp->fence->context);
	if (smtp->answer != FENCE_GO)
		return CURL_READFUNC_ABORT;
	begin_step(smtp, STEP_DOT);
	return 0;
}

/* Makes the handle that all transfers of one connection share. */
static bool
open_handle(Smtp *smtp, Delivery *delivery)
{
	CURL *curl = curl_easy_init();

	if (!curl)
		abort();
	if (server_configure(curl, smtp->config, delivery))
	{
		curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_open);
		curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, smtp);
		curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
		curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, smtp);
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(curl, CURLOPT_READDATA, smtp);
		curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_reply);
		curl_easy_setopt(curl, CURLOPT_HEADERDATA, smtp);
		curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_debug);
		curl_easy_setopt(curl, CURLOPT_DEBUGDATA, smtp);
		curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
		curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, smtp->curl_error);
		smtp->curl = curl;
		smtp->letters = 0;
		return true;
	}
	curl_easy_cleanup(curl);
	return false;
}

/* Says QUIT without waiting for the answer, which nobody needs. */
static void
smtp_disconnect(Transport *self)
{
	Smtp *smtp = (Smtp *) self;
	curl_socket_t socket = CURL_SOCKET_BAD;

	if (!smtp->curl)
		return;
	curl_easy_getinfo(smtp->curl, CURLINFO_ACTIVESOCKET, &socket);
	if (socket != CURL_SOCKET_BAD)
		shutdown(socket, SHUT_RD);
	curl_easy_cleanup(smtp->curl);
	smtp->curl = NULL;
}

/* Runs one transfer. */
static CURLcode
transfer(Smtp *smtp, const Letter *letter, const Fence *fence)
{
	struct curl_slist *recipient = curl_slist_append(NULL, letter->to);
	CURLcode result;

	if (!recipient)
		abort();
	smtp->letter = letter;
	smtp->fence = fence;
	smtp->delivered = 0;
	smtp->answer = FENCE_GO;
	smtp->curl_error[0] = '\0';
	begin_step(smtp, STEP_CONNECT);

	curl_easy_setopt(smtp->curl, CURLOPT_MAIL_FROM, letter->from);
	curl_easy_setopt(smtp->curl, CURLOPT_MAIL_RCPT, recipient);
	result = curl_easy_perform(smtp->curl);
	curl_easy_setopt(smtp->curl, CURLOPT_MAIL_RCPT, NULL);
	curl_slist_free_all(recipient);
	return result;
}

/* A reused connection had died of old age before the server read anything. */
static bool
died_idle(const Smtp *smtp, CURLcode result)
{
	long connects = 1;

	curl_easy_getinfo(smtp->curl, CURLINFO_NUM_CONNECTS, &connects);
	return connects == 0 && result != CURLE_OK &&
		   result != CURLE_OPERATION_TIMEDOUT && smtp->step <= STEP_MAIL &&
		   (smtp->code == 0 || smtp->code == 421);
}

/* The fault is this relay's set-up or the server as a whole, not the letter. */
static bool
is_relay_fault(const Smtp *smtp)
{
	return smtp->step < STEP_MAIL || (smtp->step == STEP_MAIL &&
									  (smtp->code == 530 || smtp->code == 534 ||
									   smtp->code == 535 || smtp->code == 538));
}

/* Turns what happened into an outcome. */
static void
judge(const Smtp *smtp, CURLcode result, Delivery *delivery)
{
	const char *step = step_names[smtp->step];
	const char *words =
		*smtp->curl_error ? smtp->curl_error : curl_easy_strerror(result);
	int class = smtp->code / 100;

	if (smtp->answer == FENCE_CANCELLED)
		delivery_set(delivery, OUTCOME_CANCELLED, "no final dot was sent");
	else if (smtp->answer == FENCE_LOST)
		delivery_set(delivery, OUTCOME_ABANDONED, "no final dot was sent");
	else if (smtp->step == STEP_DOT && class == 2)
		delivery_set(delivery, OUTCOME_SENT, "%s", smtp->reply);
	else if (is_relay_fault(smtp))
		delivery_set(delivery, OUTCOME_PAUSE, "%s: %s", step,
					 class >= 4 ? smtp->reply : words);
	else if (class >= 4)
		delivery_set(delivery, class == 5 ? OUTCOME_NEVER : OUTCOME_LATER,
					 "%.480s (%s)", smtp->reply, step);
	else if (smtp->step == STEP_DOT)
		delivery_set(delivery, OUTCOME_LATER,
					 "in doubt: no reply to the final dot, the message will be "
					 "repeated with the same Message-ID (%s)",
					 words);
	else
		delivery_set(delivery, OUTCOME_LATER, "%s: %s", step, words);
}

static void
smtp_send(Transport *self, const Letter *letter, const Fence *fence,
		  Delivery *delivery)
{
	Smtp *smtp = (Smtp *) self;
	CURLcode result;

	if (!smtp->curl && !open_handle(smtp, delivery))
		return;
	result = transfer(smtp, letter, fence);
	if (died_idle(smtp, result))
	{
		smtp_disconnect(self);
		if (!open_handle(smtp, delivery))
			return;
		result = transfer(smtp, letter, fence);
	}
	judge(smtp, result, delivery);

	/* A new handle reads the password anew, so a mended file is noticed. */
	if (delivery->outcome == OUTCOME_PAUSE ||
		++smtp->letters >= LETTERS_PER_CONNECTION)
		smtp_disconnect(self);
}

static void
smtp_close(Transport *self)
{
	smtp_disconnect(self);
	free(self);
	curl_global_cleanup();
}

Transport *
smtp_transport(const Config *config)
{
	Smtp *smtp = calloc(1, sizeof(*smtp));
	Delivery delivery;

	if (!smtp || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	smtp->transport.send = smtp_send;
	smtp->transport.disconnect = smtp_disconnect;
	smtp->transport.close = smtp_close;
	smtp->config = config;
	for (int i = 0; i < SOCKETS_MAX; i++)
		smtp->sockets[i] = -1;
	if (!open_handle(smtp, &delivery))
	{
		log_event(LOG_LEVEL_ERROR, "%s", delivery.reply);
		smtp_close(&smtp->transport);
		return NULL;
	}
	return &smtp->transport;
}
