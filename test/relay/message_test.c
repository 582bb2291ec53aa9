/*
 * message_test.c
 *		Renders messages given on standard input, for relay_test.py.
 *
 * A message is five fields, each ended by a NUL: sender name, recipient name,
 * subject, recipient, text.  The answer is "OK <length>" and the letter, or
 * "NO <reason>".
 */
#include <stdio.h>
#include <stdlib.h>

#include "message.h"

#define FIELDS 5

/* The next field, or NULL at the end. */
static char *
read_field(void)
{
	char *field = NULL;
	size_t size = 0;

	if (getdelim(&field, &size, '\0', stdin) > 0)
		return field;
	free(field);
	return NULL;
}

int
main(void)
{
	char *fields[FIELDS];

	while ((fields[0] = read_field()))
	{
		Letter letter;
		char reason[500];
		Message message;

		for (int i = 1; i < FIELDS; i++)
			if (!(fields[i] = read_field()))
				return 1;
		message = (Message){.id = "0190c4a0-0000-7000-8000-000000000000",
							.sender = "no-reply@example.org",
							.from_name = fields[0],
							.to_name = fields[1],
							.subject = fields[2],
							.recipient = fields[3],
							.text = fields[4],
							.html = "<p>html</p>",
							.message_id = "<id@example.org>"};
		if (message_render(&message, &letter, reason, sizeof(reason)) ==
			RENDERED)
		{
			printf("OK %zu\n", letter.length);
			fwrite(letter.bytes, 1, letter.length, stdout);
		}
		else
			printf("NO %s\n", reason);
		letter_free(&letter);
		for (int i = 0; i < FIELDS; i++)
			free(fields[i]);
	}
	return 0;
}
