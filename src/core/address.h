/*
 * address.h: e-mail addresses and the other texts that people type.
 */
#ifndef USERMGMT_ADDRESS_H
#define USERMGMT_ADDRESS_H

#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "core/compat.h"

#define ADDRESS_MAX 254 /* RFC 5321, 4.5.3.1.3, without the angle brackets */

typedef struct Address
{
	char typed[ADDRESS_MAX + 1];	 /* trimmed, for display and for mail */
	char canonical[ADDRESS_MAX + 1]; /* folded, for comparing */
} Address;

/* Whether text is an address under the strict grammar: dot-atom local part of
 * at most 64 octets, host name with a dot (or "localhost"), ASCII, no quoted
 * parts, no comments, no control characters. Spaces around it are trimmed.
 * The canonical form folds A-Z in both parts, with no regard to any locale. */
extern bool address_parse(const char *text, Address *address);

/* The address in text. Raises 22023 naming the argument if it is none. */
extern Address address_require(const char *text, const char *argument);

/* The text argument of this number as a palloc'd C string, NULL when null. */
extern char *argument_text(FunctionCallInfo fcinfo, int n);

/* The uuid argument of this number. Raises 22023 naming it when null. */
extern pg_uuid_t argument_uuid(FunctionCallInfo fcinfo, int n,
							   const char *argument);

/* The jsonb argument of this number, NULL when null. Raises 22023 naming the
 * argument unless it is an object of less than 100 kB. */
extern Jsonb *object_argument(FunctionCallInfo fcinfo, int n,
							  const char *argument);

/* text without spaces around it, or NULL when that leaves nothing. Raises
 * 22023 naming the argument when it is longer than max characters or holds a
 * control character (line breaks and tabs pass where lines is true). */
extern char *plain_text(const char *text, const char *argument, int max,
						bool lines);

/* As plain_text, but raises 22023 when nothing is left. */
extern char *plain_text_require(const char *text, const char *argument,
								int max);

/* A domain in canonical form, or one with a leading dot, which stands for its
 * subdomains. Raises 22023. */
extern char *domain_require(const char *text, const char *argument);

/* A slug: a-z, 0-9 and single inner hyphens, 1 to 63. Raises 22023. */
extern char *slug_require(const char *text, const char *argument);

/* Raises 22023: argument must not be null. */
pg_noreturn extern void refuse_null(const char *argument);

#endif
