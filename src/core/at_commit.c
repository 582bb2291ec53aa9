/*
 * at_commit.c
 *	  Writes a time of last use when the transaction commits, if that may be.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "core/at_commit.h"
#include "core/attempt.h"

static void
call_definer(CommitCall *call)
{
	Oid arguments[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
	Oid function = GetSysCacheOid3(
		PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(call->function),
		PointerGetDatum(buildoidvector(arguments, 3)),
		ObjectIdGetDatum(get_namespace_oid("usermgmt", false)));

	OidFunctionCall3(function, UUIDPGetDatum(&call->first),
					 UUIDPGetDatum(&call->second),
					 TimestampTzGetDatum(call->at));
}

static void
write_now(void *arg)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	call_definer(arg);
	PopActiveSnapshot();
}

/*
 * Whatever goes wrong here is undone and forgotten, but for a cancel.
 */
static void
write_quietly(CommitCall *call)
{
	ErrorData *error = attempt(write_now, call, true);

	if (error != NULL && attempt_was_cancelled(error))
		ReThrowError(error);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	CommitCall *call = arg;
	bool was_due = call->due;

	call->due = false;
	if (event == XACT_EVENT_PRE_COMMIT && was_due && !XactReadOnly &&
		!IsInParallelMode())
		write_quietly(call);
}

void
at_commit(CommitCall *call, const pg_uuid_t *first, const pg_uuid_t *second,
		  TimestampTz at)
{
	call->first = *first;
	call->second = *second;
	call->at = at;
	call->due = true;
}

void
at_commit_register(CommitCall *call)
{
	RegisterXactCallback(at_transaction_end, call);
}
