/*
 * touch.c
 *	  When a session was last used, written at most once a minute.
 *
 * Requests of one session must not wait for each other here, so a row that
 * somebody else holds is passed over. A standby and a read-only transaction
 * write nothing; there the idle limit counts from the last use that was
 * written.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

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
call_definer(const Actor *actor, TimestampTz now)
{
	Oid arguments[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
	Oid function =
		GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						CStringGetDatum("session_move_last_use"),
						PointerGetDatum(buildoidvector(arguments, 3)),
						ObjectIdGetDatum(get_namespace_oid("usermgmt", false)));

	OidFunctionCall3(function, UUIDPGetDatum(&actor->session_id),
					 UUIDPGetDatum(&actor->tenant_id),
					 TimestampTzGetDatum(now));
}

/*
 * With a fixed snapshot the row may be newer than it: that is no reason to
 * fail what the caller came for.
 */
static void
call_definer_safely(const Actor *actor, TimestampTz now)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		call_definer(actor, now);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && error->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE)
		ReThrowError(error);
}

void
session_touch(Actor *actor)
{
	TimestampTz now = GetCurrentTimestamp();
	int32 due = actor->idle_seconds == 0
					? TOUCH_SECONDS
					: Min(TOUCH_SECONDS, (actor->idle_seconds + 1) / 2);

	if (now - actor->last_used_at < due * USECS_PER_SEC || XactReadOnly ||
		IsInParallelMode() || !installation_is_live())
		return;
	if (IsolationUsesXactSnapshot())
		call_definer_safely(actor, now);
	else
		call_definer(actor, now);
	actor->last_used_at = now;
	actor->ends_at = session_end(actor);
}
