/*
 * https_reply.c
 *		The provider's JSON: what we ask with, what its answers mean.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "https.h"
#include "https_reply.h"

#define LONGEST_WAIT 3600 /* seconds that a server may make us wait */

/* "Name" <address>, or the address alone; the caller frees it. */
static char *
mailbox(const char *name, const char *address)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		abort();
	if (name && *name)
	{
		fputc('"', out);
		for (const char *c = name; *c; c++)
			fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		fprintf(out, "\" <%s>", address);
	}
	else
		fputs(address, out);
	if (fclose(out) != 0)
		abort();
	return text;
}

void
https_body(const Message *message, Letter *letter)
{
	char *from = mailbox(message->from_name, letter->from);
	char *to = mailbox(message->to_name, letter->to);
	json_t *json = json_pack(
		"{s:s, s:[s], s:s, s:s*, s:s*, s:s*, s:{s:s, s:s, s:s}}", "from", from,
		"to", to, "subject", message->subject, "text", message->text, "html",
		message->html, "reply_to",
		message->reply_to && *message->reply_to ? message->reply_to : NULL,
		"headers", "Message-ID", message->message_id, "Auto-Submitted",
		"auto-generated", "X-Auto-Response-Suppress", "All");

	free(from);
	free(to);
	letter_free(letter);
	letter->bytes = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!letter->bytes)
		abort(); /* no memory: the texts are UTF-8, the database sees to it */
	letter->length = strlen(letter->bytes);
}

/* Copies a text of the answer, cut to size. */
static void
copy_text(const json_t *answer, const char *name, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(answer, name));

	snprintf(out, size, "%s", text ? text : "");
}

/* What a refusal of one request means. */
static Outcome
refusal(long status, const char *name)
{
	switch (status)
	{
		case 401: /* the key */
		case 402: /* the account */
		case 403: /* the key or the domain */
		case 404: /* the address */
		case 405:
		case 407:
		case 429: /* all requests, not this one */
			return OUTCOME_PAUSE;
		case 408:
		case 425:
			return OUTCOME_LATER;
		case 409:
			return strcmp(name, "concurrent_idempotent_requests") == 0
					   ? OUTCOME_LATER
					   : OUTCOME_NEVER;
	}
	if (strcmp(name, "invalid_from_address") == 0)
		return OUTCOME_SENDER;
	if (status / 100 == 4)
		return OUTCOME_NEVER;
	return status / 100 == 5 ? OUTCOME_LATER : OUTCOME_PAUSE;
}

void
https_judge(Delivery *delivery, long status, const char *body,
			long long retry_after)
{
	json_t *answer = json_loads(body, 0, NULL);
	char id[80], name[80], message[300];

	copy_text(answer, "id", id, sizeof(id));
	copy_text(answer, "name", name, sizeof(name));
	copy_text(answer, "message", message, sizeof(message));
	json_decref(answer);

	if (status / 100 == 2)
		delivery_set(delivery, OUTCOME_SENT, "HTTP %ld %s", status, id);
	else if (status / 100 == 3)
		delivery_set(delivery, OUTCOME_PAUSE,
					 "HTTP %ld: a redirect, which is never followed", status);
	else
		delivery_set(delivery, refusal(status, name), "HTTP %ld %s: %s", status,
					 name, message);
	delivery->refused = true;

	if (retry_after <= 0 || (status != 429 && status != 503))
		return;
	/* Who says when to come back speaks to the relay, not of this letter. */
	if (delivery->outcome == OUTCOME_LATER)
		delivery->outcome = OUTCOME_PAUSE;
	if (retry_after > LONGEST_WAIT)
		retry_after = LONGEST_WAIT;
	delivery->wait_ms = (int) retry_after * 1000;
}
