/*
 * redact.c
 *		Servers quote mails in their replies, and mails hold links.
 */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "redact.h"

#define LONGEST_WORD 40 /* a UUID has 36 characters, a token over 100 */

static bool
in_token(char c)
{
	return isalnum((unsigned char) c) || c == '-' || c == '_';
}

/* The end of a part of a link; quoted-printable's "=" belongs to it. */
static size_t
link_length(const char *text)
{
	return strcspn(text, " \t\r\n\"'<>()");
}

void
redact(char *text)
{
	bool in_address = false; /* behind "://" of a web address */

	for (char *c = text; *c; c++)
	{
		size_t word = 0;
		size_t begins = 0;

		if (strncasecmp(c, "http", 4) == 0)
			in_address = true;
		else if (isspace((unsigned char) *c))
			in_address = false;

		if (strncasecmp(c, "token=", 6) == 0)
			begins = 6;
		else if (*c == '?' && in_address)
			begins = 1;
		if (begins)
		{
			word = link_length(c + begins);
			memset(c + begins, '*', word);
			c += begins + word - 1;
			continue;
		}
		while (in_token(c[word]))
			word++;
		if (word > LONGEST_WORD)
			memset(c, '*', word);
	}
}
