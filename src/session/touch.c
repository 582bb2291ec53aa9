/*
 * touch.c
 *	  When a session was last used, written at most once a minute.
 *
 * It is written when the transaction commits (core/at_commit.h), so that nobody
 * who wants to end the session waits for one that goes on; a row that somebody
 * else holds is passed over. Where nothing is written the idle limit counts
 *from the last use that was.
 */
#include "postgres.h"

#include "access/xact.h"

#include "core/at_commit.h"
#include "core/installation.h"
#include "core/spi_query.h"
#include "session/session.h"

#define TOUCH_SECONDS 60

/* By the place of the row: without statistics a join could be planned to read
 * the sessions of the whole tenant, for each of them all. */
SPI_QUERY(move_last_use,
		  "UPDATE usermgmt.session SET last_used_at = $3 WHERE ctid = (SELECT"
		  " ctid FROM usermgmt.session WHERE session_id = $1"
		  " AND tenant_id = $2 AND state = 'open'"
		  " FOR NO KEY UPDATE SKIP LOCKED)",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

static CommitCall move = {.function = "session_move_last_use"};

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
	at_commit(&move, &actor->session_id, &actor->tenant_id, now);
}

void
session_touch_init(void)
{
	at_commit_register(&move);
}
