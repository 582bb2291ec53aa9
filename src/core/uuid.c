/*
 * uuid.c
 *	  Identifiers that sort by the time of their making.
 */
#include "postgres.h"

#include "sodium.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"

#include "core/uuid.h"

#define UUID_TEXT 36
#define STORED 128 /* random values made at once */

const pg_uuid_t uuid_nil = {{0}};

/*
 * The kernel's generator is asked for a key only, and ChaCha20 stretches that:
 * to fetch the values themselves takes eight system calls and six times as
 * long.
 */
static void
fill_with_random(void *bytes, size_t size)
{
	unsigned char seed[randombytes_SEEDBYTES];

	randombytes_buf(seed, sizeof(seed));
	randombytes_buf_deterministic(bytes, size, seed);
	sodium_memzero(seed, sizeof(seed));
}

/*
 * A system call for each value would take longer than all else that an event
 * of a bulk change needs. What was given out is not kept.
 */
pg_uuid_t
uuid_random(void)
{
	static pg_uuid_t store[STORED];
	static int left = 0;
	pg_uuid_t u;

	if (left == 0)
	{
		fill_with_random(store, sizeof(store));
		left = STORED;
	}
	u = store[--left];
	sodium_memzero(&store[left], sizeof(u));
	return u;
}

/*
 * The time part of an id: milliseconds since 1970, and 12 bits below.
 */
static uint64
ticks_of(TimestampTz at)
{
	uint64 microseconds =
		(uint64) (at +
				  (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);

	return microseconds / 1000 << 12 | microseconds % 1000 << 2;
}

/*
 * Put the time part, version and variant in.
 */
static void
set_time(pg_uuid_t *u, uint64 ticks)
{
	for (int i = 0; i < 6; i++)
		u->data[i] = (uint8) (ticks >> 12 >> (40 - 8 * i));
	u->data[6] = 0x70 | (uint8) (ticks >> 8 & 0x0F);
	u->data[7] = (uint8) ticks;
	u->data[8] = 0x80 | (u->data[8] & 0x3F);
}

pg_uuid_t
uuid_make(TimestampTz at)
{
	static uint64 last = 0;
	pg_uuid_t u = uuid_random();
	uint64 ticks = ticks_of(at);

	if (ticks <= last)
		ticks = last + 1;
	last = ticks;
	set_time(&u, ticks);
	return u;
}

bool
uuid_equal(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN) == 0;
}

char *
uuid_text(const pg_uuid_t *u)
{
	static const char digits[] = "0123456789abcdef";
	char *text = palloc(UUID_TEXT + 1);
	char *p = text;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[u->data[i] >> 4];
		*p++ = digits[u->data[i] & 0x0F];
	}
	*p = '\0';
	return text;
}

bool
uuid_parse(const char *text, pg_uuid_t *u)
{
	if (strlen(text) != UUID_TEXT)
		return false;
	for (int i = 0; i < UUID_TEXT; i++)
	{
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	*u = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
	return true;
}

/*
 * id_at(at): the least id of that moment, or of the nearest that an id can
 * have.
 */
PG_FUNCTION_INFO_V1(id_at);
Datum
id_at(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz first =
		-(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	TimestampTz last = first + ((INT64CONST(1) << 48) - 1) * 1000;
	pg_uuid_t *u = palloc0(sizeof(pg_uuid_t));

	set_time(u, ticks_of(Max(Min(at, last), first)));
	PG_RETURN_UUID_P(u);
}
