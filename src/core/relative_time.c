/*
 * relative_time.c
 *	  How long ago something was, in words.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The largest first; months have 30 days here, and years 365. */
static const struct
{
	const char *name;
	int64 seconds;
} units[] = {
	{"year", 31536000}, {"month", 2592000}, {"day", 86400},
	{"hour", 3600},		{"minute", 60},
};

/*
 * "2 days ago", in the largest unit that fits.
 */
PG_FUNCTION_INFO_V1(relative_time);
Datum
relative_time(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	int64 seconds;

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the time must not be infinite")));
	seconds = (GetCurrentStatementStartTimestamp() - at) / USECS_PER_SEC;
	for (int i = 0; i < lengthof(units); i++)
	{
		int64 count = seconds / units[i].seconds;

		if (count >= 1)
			PG_RETURN_TEXT_P(cstring_to_text(psprintf(INT64_FORMAT " %s%s ago",
													  count, units[i].name,
													  count == 1 ? "" : "s")));
	}
	PG_RETURN_TEXT_P(cstring_to_text("just now"));
}
