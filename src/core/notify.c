/*
 * notify.c
 *	  NOTIFY that never fails its transaction.
 */
#include "postgres.h"

#include "commands/async.h"
#include "utils/fmgrprotos.h"

#include "core/notify.h"

#define ENOUGH 0.75 /* of the queue; the rest is for whoever needs NOTIFY */

bool
notify_has_room(void)
{
	return DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage,
											  (Datum) 0)) < ENOUGH;
}
