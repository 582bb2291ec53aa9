/*
 * locale.h: languages by their tags, and moments as people write them.
 *
 * Nothing here depends on a locale of the server.
 */
#ifndef USERMGMT_LOCALE_H
#define USERMGMT_LOCALE_H

#include "utils/timestamp.h"

#define LOCALE_MAX 35 /* RFC 5646, 4.4.1 */

/* The language tag in text (en, pt-BR, zh-Hant-TW; "_" passes for "-") with
 * its parts in their usual case, written to locale; false when it is none. */
extern bool locale_parse(const char *text, char locale[LOCALE_MAX + 1]);

/* The same; raises 22023 naming the argument. palloc'd. */
extern char *locale_require(const char *text, const char *argument);

/* What is looked for, in this order: the locale, without its last part and so
 * on, and English. A text[]. */
extern Datum locale_chain(const char *locale);

/* Whether the locale is of this language. */
extern bool locale_is(const char *locale, const char *language);

/* Whether there is a time zone of this name. */
extern bool time_zone_exists(const char *name);

/* The moment in this time zone (UTC where there is none of that name) in the
 * way of the language, with its distance from UTC. palloc'd. */
extern char *moment_text(TimestampTz at, const char *locale,
						 const char *time_zone);

#endif
