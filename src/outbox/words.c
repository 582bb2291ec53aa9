/*
 * words.c
 *	  Values of ours in the language of a mail.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "core/locale.h"
#include "outbox/words.h"

/* clang-format off */
static const struct
{
	const char *variable;
	const char *english;
	const char *german;
} words[] = {
	{"role", "owner", "Inhaber"},
	{"role", "admin", "Administrator"},
	{"role", "member", "Mitglied"},
	{"requested_by", "An administrator", "Die Verwaltung"},
	{"permissions", "view own evidence", "eigene Nachweise ansehen"},
	{"permissions", "create evidence", "Nachweise anlegen"},
	{"permissions", "view analytics of the organization", "Auswertungen der Organisation ansehen"},
	{"permissions", "manage users", "Personen verwalten"},
	{"permissions", "invite users", "Personen einladen"},
	{"permissions", "edit settings of the organization", "Einstellungen der Organisation ändern"},
	{"permissions", "manage billing", "Abrechnung verwalten"},
	{"permissions", "transfer ownership", "die Inhaberschaft übergeben"},
};
/* clang-format on */

static const char *
find_word(const char *variable, const char *english, size_t length)
{
	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(words[i].variable, variable) == 0 &&
			strlen(words[i].english) == length &&
			strncmp(words[i].english, english, length) == 0)
			return pg_any_to_server(words[i].german, strlen(words[i].german),
									PG_UTF8);
	return NULL;
}

char *
word_in(const char *locale, const char *variable, const char *value)
{
	StringInfoData out;
	const char *piece = value;

	if (!locale_is(locale, "de"))
		return pstrdup(value);
	initStringInfo(&out);
	for (;;)
	{
		const char *end = strstr(piece, ", ");
		size_t length = end != NULL ? end - piece : strlen(piece);
		const char *word = find_word(variable, piece, length);

		if (word != NULL)
			appendStringInfoString(&out, word);
		else
			appendBinaryStringInfo(&out, piece, length);
		if (end == NULL)
			return out.data;
		appendStringInfoString(&out, ", ");
		piece = end + 2;
	}
}

/*
 * Whether U+202A to U+202E or U+2066 to U+2069 stands here, in UTF-8.
 */
static bool
turns_direction(const unsigned char *c)
{
	return GetDatabaseEncoding() == PG_UTF8 && c[0] == 0xe2 &&
		   ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) ||
			(c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

char *
text_tame(const char *value)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*value != '\0')
		if (turns_direction((const unsigned char *) value))
			value += 3;
		else
			appendStringInfoChar(&out, *value++);
	return out.data;
}
