/*
 * smtp.c
 *		Letters by SMTP, with libcurl.
 *
 * libcurl's result codes do not tell a temporary refusal from a permanent one,
 * its response code is stale after a drop, and the last line it shows answers
 * QUIT.  So the commands are watched as they leave, and each reply as it
 * arrives: a reply counts only for the step it answers.
 *
 * The read callback owns the end of the body.  When every byte is delivered it
 * asks the fence, and unless that says go it aborts: libcurl then closes the
 * connection without the final dot, and the server has accepted nothing.  With
 * a prompt server the fence is asked when DATA has left, so that its commit
 * costs no time of its own; an answer that is no longer new does not count.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "smtp.h"
#include "wire.h"

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
	Wire wire;

	/* the transfer in progress */
	struct curl_slist *recipient;
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
		wire_stop_reading(&smtp->wire);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (size >= 4 && strncmp(data, commands[i].verb, 4) == 0)
		{
			begin_step(smtp, commands[i].step);
			if (smtp->step == STEP_DATA)
				wire_near_end(&smtp->wire);
		}
	return 0;
}

/* Keeps the last line of the reply to the present step; a line that others must
 * follow ("250-") says nothing yet. */
static size_t
on_reply(char *line, size_t size, size_t count, void *context)
{
	Smtp *smtp = context;
	size_t length = size * count;
	size_t keep = length < REPLY_SIZE ? length : REPLY_SIZE - 1;

	if (smtp->quitting || length < 4 ||
		(line[0] != '2' && line[0] != '4' && line[0] != '5') ||
		!isdigit((unsigned char) line[1]) || !isdigit((unsigned char) line[2]))
		return length;

	while (keep > 3 && isspace((unsigned char) line[keep - 1]))
		keep--;
	for (size_t i = 0; i < keep; i++)
		smtp->reply[i] = line[i] ? line[i] : '?';
	smtp->reply[keep] = '\0';
	smtp->code = line[3] == '-' ? 0 : atoi(smtp->reply);
	return length;
}

/* Delivers the letter, then hears from the fence whether the dot may follow. */
static size_t
on_read(char *buffer, size_t size, size_t count, void *context)
{
	Smtp *smtp = context;
	size_t now = wire_read(&smtp->wire, buffer, size * count, 0);

	if (now > 0)
	{
		begin_step(smtp, STEP_BODY);
		return now;
	}
	if (wire_ask_fence(&smtp->wire) != FENCE_GO)
		return CURL_READFUNC_ABORT;
	begin_step(smtp, STEP_DOT);
	return 0;
}

/* Sets up the handle that all transfers of one connection share. */
static bool
open_smtp(Wire *wire)
{
	CURL *curl = wire->curl;

	if (!server_configure_smtp(curl, wire->config, wire->delivery))
		return false;
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, wire);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_reply);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, wire);
	curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_debug);
	curl_easy_setopt(curl, CURLOPT_DEBUGDATA, wire);
	curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
	return true;
}

static void
begin_letter(Wire *wire)
{
	Smtp *smtp = (Smtp *) wire;

	begin_step(smtp, STEP_CONNECT);
	smtp->recipient = curl_slist_append(NULL, wire->letter->to);
	if (!smtp->recipient)
		abort();
	curl_easy_setopt(wire->curl, CURLOPT_MAIL_FROM, wire->letter->envelope);
	curl_easy_setopt(wire->curl, CURLOPT_MAIL_RCPT, smtp->recipient);
}

/* A reused connection had died of old age before the server read anything. */
static bool
died_idle(const Smtp *smtp, CURLcode result)
{
	return wire_was_reused(&smtp->wire) && result != CURLE_OK &&
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

/* The server does not want this sender, whoever the letter goes to. */
static bool
is_sender_fault(const Smtp *smtp)
{
	return smtp->step == STEP_MAIL && smtp->code / 100 == 5 &&
		   smtp->code != 552;
}

/* Turns what happened into an outcome. */
static void
judge(const Smtp *smtp, CURLcode result, Delivery *delivery)
{
	const char *step = step_names[smtp->step];
	const char *words = wire_words(&smtp->wire, result);
	int class = smtp->code / 100;

	if (smtp->wire.answer == FENCE_CANCELLED)
		delivery_set(delivery, OUTCOME_CANCELLED, "no final dot was sent");
	else if (smtp->wire.answer == FENCE_LOST)
		delivery_set(delivery, OUTCOME_ABANDONED, "no final dot was sent");
	else if (smtp->step == STEP_DOT && class == 2)
		delivery_set(delivery, OUTCOME_SENT, "%s", smtp->reply);
	else if (is_relay_fault(smtp))
	{
		delivery_set(delivery, OUTCOME_PAUSE, "%s: %s", step,
					 class >= 4 ? smtp->reply : words);
		delivery->refused = class == 5;
	}
	else if (is_sender_fault(smtp))
		delivery_set(delivery, OUTCOME_SENDER, "%.480s (%s)", smtp->reply,
					 step);
	else if (class >= 4)
		delivery_set(delivery, class == 5 ? OUTCOME_NEVER : OUTCOME_LATER,
					 "%.480s (%s)", smtp->reply, step);
	else if (smtp->step == STEP_DOT)
		delivery_set(delivery, OUTCOME_LATER,
					 "in doubt: no reply to the final dot (%s)", words);
	else
		delivery_set(delivery, OUTCOME_LATER, "%s: %s", step, words);
}

static bool
end_letter(Wire *wire, CURLcode result)
{
	Smtp *smtp = (Smtp *) wire;

	curl_easy_setopt(wire->curl, CURLOPT_MAIL_RCPT, NULL);
	curl_slist_free_all(smtp->recipient);
	smtp->recipient = NULL;
	if (died_idle(smtp, result))
		return false;
	judge(smtp, result, wire->delivery);
	return true;
}

Transport *
smtp_transport(const Config *config)
{
	static const WireProtocol protocol = {
		.open = open_smtp, .begin = begin_letter, .end = end_letter};

	return wire_transport(config, &protocol, sizeof(Smtp));
}
