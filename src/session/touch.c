/*
 * touch.c
 *	  When a session was last used, written at most once a minute.
 *
 * It is written when the transaction commits, last of all, so that nobody who
 * wants to end the session waits for a transaction that goes on; a row that
 * somebody else holds is passed over. A standby, a read-only and a prepared
 * transaction write nothing, and one that is rolled back neither; there the
 * idle limit counts from the last use that was written.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "core/attempt.h"
#include "core/installation.h"
#include "core/spi_query.h"
#include "session/session.h"

#define TOUCH_SECONDS 60

SPI_QUERY(move_last_use,
		  "UPDATE usermgmt.session AS s SET last_used_at = $3"
		  " FROM (SELECT session_id FROM usermgmt.session"
		  " WHERE session_id = $1 AND tenant_id = $2 AND state = 'open'"
		  " FOR NO KEY UPDATE SKIP LOCKED) AS mine"
		  " WHERE s.session_id = mine.session_id AND s.tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

static Actor due; /* whose last use is to be written */
static bool is_due;

/*
 * What writes, as a definer: use_session() runs with the rights and the
 * search_path of whoever calls it.
 */
PG_FUNCTION_INFO_V1(session_move_last_use);
Datum
session_move_last_use(PG_FUNCTION_ARGS)
{
	SPI_connect();
	spi_run(move_last_use, ARG(UUIDOID, PG_GETARG_DATUM(0)),
			ARG(UUIDOID, PG_GETARG_DATUM(1)),
			ARG(TIMESTAMPTZOID, PG_GETARG_DATUM(2)));
	SPI_finish();
	PG_RETURN_VOID();
}

static void
call_definer(const Actor *actor)
{
	Oid arguments[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
	Oid function =
		GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						CStringGetDatum("session_move_last_use"),
						PointerGetDatum(buildoidvector(arguments, 3)),
						ObjectIdGetDatum(get_namespace_oid("usermgmt", false)));

	OidFunctionCall3(function, UUIDPGetDatum(&actor->session_id),
					 UUIDPGetDatum(&actor->tenant_id),
					 TimestampTzGetDatum(actor->last_used_at));
}

static void
write_last_use(void *arg)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	call_definer(&due);
	PopActiveSnapshot();
}

/*
 * Whatever goes wrong here is no reason to fail what the caller came for.
 */
static void
try_last_use(void)
{
	ErrorData *error = attempt(write_last_use, NULL, true);

	if (error != NULL && attempt_was_cancelled(error))
		ReThrowError(error);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT && is_due)
	{
		is_due = false;
		if (!XactReadOnly && !IsInParallelMode())
			try_last_use();
	}
	is_due = false;
}

void
session_touch(Actor *actor)
{
	TimestampTz now = GetCurrentTimestamp();
	int32 after = actor->idle_seconds == 0
					  ? TOUCH_SECONDS
					  : Min(TOUCH_SECONDS, (actor->idle_seconds + 1) / 2);

	if (now - actor->last_used_at < after * USECS_PER_SEC || XactReadOnly ||
		!installation_is_live())
		return;
	actor->last_used_at = now;
	actor->ends_at = session_end(actor);
	due = *actor;
	is_due = true;
}

void
session_touch_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}
