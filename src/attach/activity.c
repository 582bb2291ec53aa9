/*
 * activity.c
 *	  When a person was last seen to do something, not merely to read.
 *
 * It is written when the transaction commits, and passed over where somebody
 * else holds the membership: no write of the application waits for it, and
 * nobody waits for a transaction that goes on. Of the changes of attached
 * tables the first after a sign-in is written, and then one a minute at most;
 * what the application reports by record_activity() always is.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"

#include "attach/attach.h"
#include "core/actor.h"
#include "core/address.h"
#include "core/at_commit.h"
#include "core/installation.h"
#include "core/transition.h"
#include "core/uuid.h"

#define SEEN_SECONDS 60

SPI_QUERY(move_last_seen,
		  "UPDATE usermgmt.membership AS m SET last_seen_at = $3"
		  " FROM (SELECT user_id FROM usermgmt.membership"
		  " WHERE tenant_id = $1 AND user_id = $2 AND status = 'active'"
		  " AND (last_seen_at IS NULL OR last_seen_at < $4"
		  " OR last_seen_at <= last_login_at)"
		  " FOR NO KEY UPDATE SKIP LOCKED) AS mine"
		  " WHERE m.tenant_id = $1 AND m.user_id = mine.user_id",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID);

static CommitCall move = {.function = "activity_move_last_seen"};
static pg_uuid_t noted_session; /* who acted last in this connection */
static pg_uuid_t seen_session;	/* who was written last by it */
static TimestampTz seen_at;
static bool reported; /* by record_activity(); also by one rolled back since */

/*
 * What writes, as a definer, when the transaction commits.
 */
PG_FUNCTION_INFO_V1(activity_move_last_seen);
Datum
activity_move_last_seen(PG_FUNCTION_ARGS)
{
	pg_uuid_t tenant_id = *PG_GETARG_UUID_P(0);
	pg_uuid_t user_id = *PG_GETARG_UUID_P(1);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);
	TimestampTz before = reported ? at : at - SEEN_SECONDS * USECS_PER_SEC;

	SPI_connect();
	spi_run(move_last_seen, ARG_UUID(tenant_id), ARG_UUID(user_id),
			ARG_TIME(at), ARG_TIME(before));
	SPI_finish();
	reported = false;
	seen_session = noted_session;
	seen_at = at;
	PG_RETURN_VOID();
}

static void
note_activity(const Actor *actor)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!reported && now - seen_at < SEEN_SECONDS * USECS_PER_SEC &&
		now >= seen_at && uuid_equal(&actor->session_id, &seen_session))
		return;
	noted_session = actor->session_id;
	if (!XactReadOnly && installation_is_live())
		at_commit(&move, &actor->tenant_id, &actor->user_id, now);
}

/*
 * AFTER trigger on attached tables, per statement or per row.
 */
PG_FUNCTION_INFO_V1(attached_activity);
Datum
attached_activity(PG_FUNCTION_ARGS)
{
	const Actor *actor;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("not called as a trigger")));
	actor = actor_current();
	if (actor != NULL)
		note_activity(actor);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(record_activity);
Datum
record_activity(PG_FUNCTION_ARGS)
{
	char *kind = argument_text(fcinfo, 0);
	const Actor *actor = actor_require();

	if (kind != NULL && strcmp(kind, "mutation") != 0 &&
		strcmp(kind, "export") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("kind is not one of mutation, export")));
	SPI_connect();
	begin_writing(fcinfo);
	SPI_finish();
	reported = true;
	note_activity(actor);
	PG_RETURN_VOID();
}

void
activity_init(void)
{
	at_commit_register(&move);
}
