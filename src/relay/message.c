/*
 * message.c
 *		From a claimed message to the bytes of a letter.
 *
 * The letter is rendered here and not by curl_mime: libcurl 7.88 can only
 * render while it transfers, and would hide the end of the body, where the
 * fence belongs, behind its own read callback.  The same bytes also serve the
 * directory transport.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "message.h"

#define LINE_COLUMNS 76

/* Writes a body as quoted-printable; bare LF and bare CR become CRLF. */
static void
put_quoted_printable(FILE *out, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	int column = 0;

	for (const unsigned char *c = (const unsigned char *) text; *c; c++)
	{
		bool last = c[1] == '\0' || c[1] == '\r' || c[1] == '\n';
		bool plain = (*c > 0x20 && *c < 0x7f && *c != '=') ||
					 ((*c == ' ' || *c == '\t') && !last);

		if (*c == '\r' || *c == '\n')
		{
			if (c[0] == '\r' && c[1] == '\n')
				c++;
			fputs("\r\n", out);
			column = 0;
			continue;
		}
		if (column + (plain ? 1 : 3) > LINE_COLUMNS - 1)
		{
			fputs("=\r\n", out);
			column = 0;
		}
		if (!plain)
		{
			putc_unlocked('=', out);
			putc_unlocked(digits[*c >> 4], out);
		}
		putc_unlocked(plain ? *c : digits[*c & 15], out);
		column += plain ? 1 : 3;
	}
	fputs("\r\n", out);
}

static void
put_part(FILE *out, const char *type, const char *text)
{
	fprintf(out, "Content-Type: %s; charset=UTF-8\r\n", type);
	fputs("Content-Transfer-Encoding: quoted-printable\r\n\r\n", out);
	put_quoted_printable(out, text);
}

/* Writes the bodies, plain text first; "=_" never occurs in encoded text. */
static void
put_bodies(FILE *out, const Message *message)
{
	if (!message->html)
		put_part(out, "text/plain", message->text);
	else if (!message->text)
		put_part(out, "text/html", message->html);
	else
	{
		fprintf(out,
				"Content-Type: multipart/alternative;\r\n"
				" boundary=\"=_%s\"\r\n\r\n--=_%s\r\n",
				message->id, message->id);
		put_part(out, "text/plain", message->text);
		fprintf(out, "--=_%s\r\n", message->id);
		put_part(out, "text/html", message->html);
		fprintf(out, "--=_%s--\r\n", message->id);
	}
}

static void
put_date(FILE *out)
{
	char date[64];
	time_t now = time(NULL);
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &utc);
	fprintf(out, "Date: %s\r\n", date);
}

/* What goes into the header besides the letter's own addresses. */
typedef struct Checked
{
	char reply_to[ADDRESS_SIZE]; /* empty when there is none */
	char message_id[ADDRESS_SIZE];
} Checked;

/* Takes <uuid@domain> apart: inside it is like an address, IDN included. */
static const char *
check_message_id(const char *header, char *message_id)
{
	char inner[ADDRESS_SIZE];
	size_t length = header ? strlen(header) : 0;

	if (length < 3 || length - 2 >= sizeof(inner) || header[0] != '<' ||
		header[length - 1] != '>')
		return "is not one";
	memcpy(inner, header + 1, length - 2);
	inner[length - 2] = '\0';
	return address_to_ascii(inner, message_id);
}

/* Why this message can never be sent, or NULL; what names the culprit. */
static const char *
find_problem(const Message *message, Letter *letter, Checked *checked,
			 const char **what)
{
	const char *problem;

	*what = "recipient";
	problem = address_to_ascii(message->recipient ? message->recipient : "",
							   letter->to);
	if (problem)
		return problem;
	*what = "sender";
	problem =
		address_to_ascii(message->sender ? message->sender : "", letter->from);
	if (problem)
		return problem;
	*what = "reply address";
	if (message->reply_to && *message->reply_to &&
		(problem = address_to_ascii(message->reply_to, checked->reply_to)))
		return problem;

	problem = "contains a control character";
	*what = "sender name";
	if (message->from_name && has_control(message->from_name))
		return problem;
	*what = "recipient name";
	if (message->to_name && has_control(message->to_name))
		return problem;
	*what = "subject";
	if (!message->subject || has_control(message->subject))
		return message->subject ? problem : "is missing";

	*what = "message id";
	problem = check_message_id(message->message_id, checked->message_id);
	if (problem)
		return problem;
	*what = "body";
	return message->text || message->html ? NULL : "is missing";
}

Rendered
message_render(const Message *message, Letter *letter, char *reason,
			   size_t reason_size)
{
	Checked checked = {0};
	const char *what;
	const char *problem;
	FILE *out;

	*letter = (Letter){.id = message->id};
	problem = find_problem(message, letter, &checked, &what);
	if (problem)
	{
		snprintf(reason, reason_size, "not sent: the %s %s", what, problem);
		return strcmp(what, "sender") == 0 ? RENDER_SENDER_REFUSED
										   : RENDER_REFUSED;
	}
	memcpy(letter->envelope, letter->from, sizeof(letter->envelope));

	out = open_memstream(&letter->bytes, &letter->length);
	if (!out)
		abort();
	put_date(out);
	put_address_header(out, "From", message->from_name, letter->from);
	put_address_header(out, "To", message->to_name, letter->to);
	if (*checked.reply_to)
		put_address_header(out, "Reply-To", NULL, checked.reply_to);
	put_text_header(out, "Subject", message->subject);
	fprintf(out, "Message-ID: <%s>\r\n", checked.message_id);
	fputs("Auto-Submitted: auto-generated\r\n", out);
	fputs("X-Auto-Response-Suppress: All\r\n", out);
	fputs("MIME-Version: 1.0\r\n", out);
	put_bodies(out, message);
	if (fclose(out) != 0)
		abort();
	return RENDERED;
}

void
letter_return_to(Letter *letter, const char *bounce_address)
{
	const char *at = strrchr(bounce_address, '@');

	snprintf(letter->envelope, sizeof(letter->envelope), "%.*s+%.60s%s",
			 (int) (at - bounce_address), bounce_address, letter->id, at);
}

void
letter_free(Letter *letter)
{
	if (letter->bytes)
		explicit_bzero(letter->bytes, letter->length);
	free(letter->bytes);
	letter->bytes = NULL;
}
