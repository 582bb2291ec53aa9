/*
 * relay_fuzz.c
 *		Gives bytes from standard input to the relay's parsers.
 *
 * relay_fuzz.py builds and feeds it.
 *
 * A record is its length in four bytes, least first, the letter of the parser,
 * and the bytes, which stand in memory of just that length.  Where a parser
 * takes several texts, NUL is between them.
 */
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "https.h"
#include "https_reply.h"
#include "redact.h"
#include "report.h"
#include "secret.h"

/* clang-format off */
#include "smtp.c" /* its callbacks are its own */
/* clang-format on */

#define MOST_TEXTS 16

/* What smtp.c needs of the program around it, and never calls here. */
bool
server_configure_smtp(CURL *curl, const Config *config, Delivery *delivery)
{
	return false;
}

/* The texts of a record, each a string of its own. */
static int
split(const char *bytes, size_t length, char **texts)
{
	int count = 0;

	while (count < MOST_TEXTS)
	{
		size_t text = strnlen(bytes, length);

		texts[count++] = strndup(bytes, text);
		if (text == length)
			break;
		bytes += text + 1;
		length -= text + 1;
	}
	return count;
}

static void
release(char **texts, int count)
{
	while (count > 0)
		free(texts[--count]);
}

static void
fuzz_report(char *bytes, size_t length)
{
	Report report;
	char tag[MESSAGE_ID_SIZE + 1];
	char *address = strndup(bytes, length);

	report_read(bytes, length, &report);
	report_tag(address, tag);
	free(address);
}

/* A dialogue: each text is a command that leaves, or a line that comes. */
static void
fuzz_smtp(char *bytes, size_t length)
{
	Smtp smtp = {.wire = {.answer = FENCE_GO, .sockets = {-1, -1, -1, -1}}};
	Delivery delivery;

	while (length > 0)
	{
		size_t line = strnlen(bytes, length);
		char *copy = malloc(line + 1);

		memcpy(copy, bytes, line);
		if (line > 0 && *copy == '>')
			on_debug(NULL, CURLINFO_HEADER_OUT, copy + 1, line - 1, &smtp);
		else if (line > 0 && *copy == '.')
			begin_step(&smtp, STEP_DOT);
		else
			on_reply(copy, 1, line, &smtp);
		free(copy);
		bytes += line < length ? line + 1 : line;
		length -= line < length ? line + 1 : line;
	}
	judge(&smtp, CURLE_SEND_ERROR, &delivery);
	judge(&smtp, CURLE_OK, &delivery);
}

/* A status and a wait in decimal, then the body. */
static void
fuzz_https(char *bytes, size_t length)
{
	char *texts[MOST_TEXTS] = {"", "", ""};
	int count = split(bytes, length, texts);
	Delivery delivery;

	if (count >= 3)
		https_judge(&delivery, atol(texts[0]), texts[2], atoll(texts[1]));
	release(texts, count);
}

static bool
is_utf8(const char *bytes, size_t length)
{
	json_t *text = json_stringn(bytes, length);

	json_decref(text);
	return text != NULL;
}

/* Both ways to write a letter; JSON is made of UTF-8 alone, which the database
 * sees to. */
static void
fuzz_message(char *bytes, size_t length)
{
	char *texts[MOST_TEXTS] = {0};
	int count = split(bytes, length, texts);
	Message message = {.id = "0190c4a0-0000-7000-8000-000000000000",
					   .sender = texts[0],
					   .from_name = texts[1],
					   .recipient = texts[2],
					   .to_name = texts[3],
					   .reply_to = texts[4],
					   .subject = texts[5],
					   .message_id = texts[6],
					   .text = texts[7],
					   .html = texts[8]};
	Letter letter;
	char reason[500];

	if (message_render(&message, &letter, reason, sizeof(reason)) == RENDERED)
	{
		letter_return_to(&letter, "bounce@mail.example.org");
		if (is_utf8(bytes, length))
			https_body(&message, &letter);
	}
	letter_free(&letter);
	release(texts, count);
}

static void
fuzz_config(char *bytes, size_t length)
{
	char *texts[MOST_TEXTS + 1] = {0};
	int count = split(bytes, length, texts);
	char *arguments[MOST_TEXTS + 2] = {"relay"};
	Config config;

	memcpy(arguments + 1, texts, sizeof(texts));
	optind = 0;
	if (config_read(&config, count + 1, arguments) < 0)
		config_print(&config);
	release(texts, count);
}

static void
fuzz_secret(char *bytes, size_t length)
{
	char secret[SECRET_SIZE];
	char path[40];
	int file = memfd_create("secret", 0);

	fchmod(file, 0600);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (file < 0 || write(file, bytes, length) != (ssize_t) length)
		abort();
	secret_read(path, secret);
	close(file);
}

static void
fuzz_text(char *bytes, size_t length)
{
	char *text = strndup(bytes, length);
	char ascii[ADDRESS_SIZE];

	address_to_ascii(text, ascii);
	redact(text);
	free(text);
}

static void
parse(char parser, char *bytes, size_t length)
{
	switch (parser)
	{
		case 'r':
			fuzz_report(bytes, length);
			break;
		case 's':
			fuzz_smtp(bytes, length);
			break;
		case 'h':
			fuzz_https(bytes, length);
			break;
		case 'm':
			fuzz_message(bytes, length);
			break;
		case 'c':
			fuzz_config(bytes, length);
			break;
		case 'k':
			fuzz_secret(bytes, length);
			break;
		default:
			fuzz_text(bytes, length);
	}
}

int
main(void)
{
	unsigned char head[5];
	unsigned long records = 0;

	while (fread(head, 1, sizeof(head), stdin) == sizeof(head))
	{
		size_t length = head[0] | (size_t) head[1] << 8 |
						(size_t) head[2] << 16 | (size_t) head[3] << 24;
		char *bytes = malloc(length);

		if (fread(bytes, 1, length, stdin) != length)
			return 1;
		parse((char) head[4], bytes, length);
		free(bytes);
		records++;
	}
	fprintf(stderr, "records %lu\n", records);
	return 0;
}
