/*
 * locale.c
 *	  Languages by their tags, and moments as people write them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "core/address.h"
#include "core/locale.h"

#define MAX_PARTS 5 /* of a chain, English included */

static const char *const months_en[] = {
	"January", "February", "March",		"April",   "May",	   "June",
	"July",	   "August",   "September", "October", "November", "December"};
static const char *const months_de[] = {
	"Januar", "Februar", "März",	  "April",	 "Mai",		 "Juni",
	"Juli",	  "August",	 "September", "Oktober", "November", "Dezember"};

/*
 * Copy one part in its usual case: language, REGION (two letters), Script
 * (four), the others as they are; false when it can be none of them.
 */
static bool
copy_part(const char *part, size_t length, bool first, char *to)
{
	bool letters = true;

	if (length < (first ? 2 : 1) || length > (first ? 3 : 8))
		return false;
	for (size_t i = 0; i < length; i++)
	{
		bool letter = strchr("abcdefghijklmnopqrstuvwxyz",
							 pg_ascii_tolower(part[i])) != NULL;

		letters = letters && letter;
		if (!letter && (first || part[i] < '0' || part[i] > '9'))
			return false;
		to[i] = !first && (length == 2 || (length == 4 && i == 0))
					? pg_ascii_toupper(part[i])
					: pg_ascii_tolower(part[i]);
	}
	return letters || !first;
}

bool
locale_parse(const char *text, char locale[LOCALE_MAX + 1])
{
	size_t at = 0;
	int parts = 0;

	if (strlen(text) > LOCALE_MAX)
		return false;
	do
	{
		size_t length = strcspn(text + at, "-_");

		if (++parts == MAX_PARTS ||
			!copy_part(text + at, length, at == 0, locale + at))
			return false;
		at += length;
		locale[at] = text[at] == '\0' ? '\0' : '-';
	} while (text[at++] != '\0');
	return true;
}

char *
locale_require(const char *text, const char *argument)
{
	char *locale = palloc(LOCALE_MAX + 1);

	if (!locale_parse(text, locale))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is not a language", argument),
						errhint("Give a language tag, such as en or pt-BR.")));
	return locale;
}

Datum
locale_chain(const char *locale)
{
	Datum chain[MAX_PARTS];
	char *part = pstrdup(locale);
	int count = 0;

	while (part[0] != '\0' && count < MAX_PARTS - 1)
	{
		char *last = strrchr(part, '-');

		chain[count++] = CStringGetTextDatum(part);
		*(last != NULL ? last : part) = '\0';
	}
	if (!locale_is(locale, "en"))
		chain[count++] = CStringGetTextDatum("en");
	return PointerGetDatum(
		construct_array(chain, count, TEXTOID, -1, false, TYPALIGN_INT));
}

bool
locale_is(const char *locale, const char *language)
{
	size_t length = strlen(language);

	return strncmp(locale, language, length) == 0 &&
		   (locale[length] == '\0' || locale[length] == '-');
}

static pg_tz *
find_zone(const char *name)
{
	pg_tz *zone = name[0] != '\0' && strlen(name) <= TZ_STRLEN_MAX
					  ? pg_tzset(name)
					  : NULL;

	return zone != NULL && pg_tz_acceptable(zone) ? zone : NULL;
}

bool
time_zone_exists(const char *name)
{
	return find_zone(name) != NULL;
}

/*
 * UTC, UTC+1, UTC-3:30; west counts seconds to the west.
 */
static char *
distance_text(int west)
{
	int minutes = abs(west) / SECS_PER_MINUTE;
	char sign = west > 0 ? '-' : '+';

	if (minutes == 0)
		return pstrdup("UTC");
	if (minutes % MINS_PER_HOUR == 0)
		return psprintf("UTC%c%d", sign, minutes / MINS_PER_HOUR);
	return psprintf("UTC%c%d:%02d", sign, minutes / MINS_PER_HOUR,
					minutes % MINS_PER_HOUR);
}

/*
 * The German name of a month, in the encoding of the database.
 */
static char *
month_de(int month)
{
	const char *name = months_de[month - 1];

	return pg_any_to_server(name, strlen(name), PG_UTF8);
}

char *
moment_text(TimestampTz at, const char *locale, const char *time_zone)
{
	pg_tz *zone = find_zone(time_zone);
	struct pg_tm tm;
	fsec_t fraction;
	const char *name;
	int west;
	char *distance;

	if (zone == NULL)
		zone = pg_tzset("UTC");
	if (TIMESTAMP_NOT_FINITE(at) ||
		timestamp2tm(at, &west, &tm, &fraction, &name, zone) != 0)
		return pstrdup("");
	distance = distance_text(west);
	if (locale_is(locale, "en"))
		return psprintf("%d %s %d, %02d:%02d %s", tm.tm_mday,
						months_en[tm.tm_mon - 1], tm.tm_year, tm.tm_hour,
						tm.tm_min, distance);
	if (locale_is(locale, "de"))
		return psprintf("%d. %s %d, %02d:%02d Uhr (%s)", tm.tm_mday,
						month_de(tm.tm_mon), tm.tm_year, tm.tm_hour, tm.tm_min,
						distance);
	return psprintf("%d-%02d-%02d %02d:%02d %s", tm.tm_year, tm.tm_mon,
					tm.tm_mday, tm.tm_hour, tm.tm_min, distance);
}
