/*
 * header.c
 *		Header lines: encoded words, folding and addresses.
 *
 * Everything that comes here has been checked by has_control(), so no value
 * can end its line.  Lines stay within 76 columns but for one long address.
 */
#include <ctype.h>
#include <idn2.h>
#include <string.h>

#include "header.h"

#define LINE_COLUMNS 76
#define WORD_PREFIX "=?UTF-8?B?"
#define WORD_SUFFIX "?="
#define WORD_FRAME ((int) (strlen(WORD_PREFIX) + strlen(WORD_SUFFIX)))
#define LONGEST_PLAIN_WORD 60

bool
has_control(const char *text)
{
	for (const unsigned char *c = (const unsigned char *) text; *c; c++)
		if (*c < 0x20 || *c == 0x7f ||
			(c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
			return true;
	return false;
}

/* The domain is a host name or an address literal. */
static bool
is_domain(const char *domain)
{
	if (!*domain)
		return false;
	for (const char *c = domain; *c; c++)
		if (!isalnum((unsigned char) *c) && !strchr(".-_[]:", *c))
			return false;
	return true;
}

const char *
address_to_ascii(const char *address, char *out)
{
	const char *at = strrchr(address, '@');
	char *domain = NULL;
	int length;

	if (has_control(address))
		return "contains a control character";
	if (!at || at == address)
		return "is not an address";
	for (const char *c = address; c < at; c++)
	{
		if ((unsigned char) *c > 0x7f)
			return "has a local part outside ASCII, which this relay cannot "
				   "send";
		if (!isalnum((unsigned char) *c) && !strchr("!#$%&'*+-/=?^_`{|}~.", *c))
			return "has a character that a local part must not have";
	}
	if (idn2_to_ascii_8z(at + 1, &domain,
						 IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		domain = NULL;
	if (!is_domain(domain ? domain : at + 1))
	{
		idn2_free(domain);
		return "has a domain that is none";
	}
	length = snprintf(out, ADDRESS_SIZE, "%.*s@%s", (int) (at - address),
					  address, domain ? domain : at + 1);
	idn2_free(domain);
	return length < ADDRESS_SIZE ? NULL : "is too long";
}

static void
put_base64(FILE *out, const unsigned char *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
								 "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < length; i += 3)
	{
		size_t here = length - i < 3 ? length - i : 3;
		unsigned group = bytes[i] << 16;

		if (here > 1)
			group |= bytes[i + 1] << 8;
		if (here > 2)
			group |= bytes[i + 2];
		fputc(digits[group >> 18], out);
		fputc(digits[group >> 12 & 63], out);
		fputc(here > 1 ? digits[group >> 6 & 63] : '=', out);
		fputc(here > 2 ? digits[group & 63] : '=', out);
	}
}

/*
 * Writes encoded words (RFC 2047), never splitting a character, and gives the
 * column that follows.
 */
static int
put_encoded_words(FILE *out, const char *text, int column)
{
	size_t left = strlen(text);

	while (left > 0)
	{
		size_t room = (size_t) (LINE_COLUMNS - column - WORD_FRAME) / 4 * 3;
		size_t take = left < room ? left : room;

		while (take > 1 && take < left && (text[take] & 0xc0) == 0x80)
			take--;
		fputs(WORD_PREFIX, out);
		put_base64(out, (const unsigned char *) text, take);
		fputs(WORD_SUFFIX, out);
		column += WORD_FRAME + (int) ((take + 2) / 3 * 4);
		text += take;
		left -= take;
		if (left > 0)
			column = fprintf(out, "\r\n ") - 2;
	}
	return column;
}

/* The text can stand in a header as it is, and be folded at its spaces. */
static bool
is_plain(const char *text)
{
	int word = 0;

	if (*text == ' ' || strstr(text, "=?"))
		return false;
	for (const char *c = text; *c; c++)
	{
		if (*c < 0x20 || *c > 0x7e)
			return false;
		if (*c == ' ' && (c[1] == ' ' || !c[1]))
			return false;
		word = *c == ' ' ? 0 : word + 1;
		if (word > LONGEST_PLAIN_WORD)
			return false;
	}
	return true;
}

void
put_text_header(FILE *out, const char *name, const char *text)
{
	int column = fprintf(out, "%s: ", name);

	if (!is_plain(text))
		put_encoded_words(out, text, column);
	else
		for (bool first = true; *text; first = false)
		{
			int word = (int) strcspn(text, " ");
			bool fold = !first && column + 1 + word > LINE_COLUMNS;

			if (fold)
				column = 0;
			column += fprintf(out, "%s%s%.*s", fold ? "\r\n" : "",
							  first ? "" : " ", word, text);
			text += text[word] ? word + 1 : word;
		}
	fputs("\r\n", out);
}

void
put_address_header(FILE *out, const char *name, const char *display,
				   const char *address)
{
	int column = fprintf(out, "%s: ", name);

	if (!display || !*display)
	{
		fprintf(out, "<%s>\r\n", address);
		return;
	}
	if (is_plain(display) && strlen(display) <= LONGEST_PLAIN_WORD / 2)
	{
		column += fprintf(out, "\"");
		for (const char *c = display; *c; c++)
			column += fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		column += fprintf(out, "\"");
	}
	else
		column = put_encoded_words(out, display, column);

	if (column + (int) strlen(" <>") + (int) strlen(address) > LINE_COLUMNS)
		fputs("\r\n", out);
	fprintf(out, " <%s>\r\n", address);
}
