/*
 * day.h: the day on which something is.
 */
#ifndef USERMGMT_DAY_H
#define USERMGMT_DAY_H

#include "datatype/timestamp.h"
#include "utils/date.h"

/* The day in UTC. What was before all days is on the first of them:
 * DATEVAL_NOBEGIN is left to mean "never". */
extern DateADT utc_day(TimestampTz at);

#endif
