/*
 * uuid.h: identifiers, made before the statement that stores them.
 */
#ifndef USERMGMT_UUID_H
#define USERMGMT_UUID_H

#include "utils/timestamp.h"
#include "utils/uuid.h"

/* A version 7 UUID (RFC 9562) whose time part is the given moment. Later
 * calls of one backend sort after earlier ones. */
extern pg_uuid_t uuid_make(TimestampTz at);

/* Sixteen random bytes, which nothing gives away before or after. */
extern pg_uuid_t uuid_random(void);

/* The UUID whose bits are all zero: "no tenant". */
extern const pg_uuid_t uuid_nil;

extern bool uuid_equal(const pg_uuid_t *a, const pg_uuid_t *b);

/* The 36-character form, palloc'd. */
extern char *uuid_text(const pg_uuid_t *u);

/* Whether text is a UUID; if so, it is stored in *u. Raises nothing. */
extern bool uuid_parse(const char *text, pg_uuid_t *u);

#endif
