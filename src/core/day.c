/*
 * day.c
 *	  The day in UTC, rounded down also before 2000.
 */
#include "postgres.h"

#include "core/day.h"

DateADT
utc_day(TimestampTz at)
{
	DateADT day;

	if (TIMESTAMP_IS_NOBEGIN(at))
		day = DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE;
	else if (TIMESTAMP_IS_NOEND(at))
		DATE_NOEND(day);
	else
	{
		day = at / USECS_PER_DAY;
		if (at < 0 && at % USECS_PER_DAY != 0)
			day--;
	}
	return day;
}
