/*
 * uuid.c
 *	  Identifiers that sort by the time of their making.
 */
#include "postgres.h"

#include "sodium.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"

#include "core/uuid.h"

const pg_uuid_t uuid_nil = {{0}};

pg_uuid_t
uuid_make(TimestampTz at)
{
	static uint64 last = 0;
	pg_uuid_t u;
	uint64 microseconds =
		(uint64) (at +
				  (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
	uint64 ticks = microseconds / 1000 << 12 | microseconds % 1000 << 2;

	if (ticks <= last)
		ticks = last + 1;
	last = ticks;
	randombytes_buf(u.data, sizeof(u.data));
	for (int i = 0; i < 6; i++)
		u.data[i] = (uint8) (ticks >> 12 >> (40 - 8 * i));
	u.data[6] = 0x70 | (uint8) (ticks >> 8 & 0x0F);
	u.data[7] = (uint8) ticks;
	u.data[8] = 0x80 | (u.data[8] & 0x3F);
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
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(u)));
}

bool
uuid_parse(const char *text, pg_uuid_t *u)
{
	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	*u = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
	return true;
}
