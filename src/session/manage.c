/*
 * manage.c
 *	  End sessions one by one or all, and give one a new token.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"

#include "audit/audit.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "member/member.h"
#include "session/revoke.h"
#include "session/session.h"

SPI_QUERY(find_session,
		  "SELECT user_id, state = 'open' AND expires_at > $3"
		  " AND (idle_seconds IS NULL OR last_used_at"
		  " + pg_catalog.make_interval(secs => idle_seconds) > $3) AS open"
		  " FROM usermgmt.session WHERE session_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(revoke_one,
		  "UPDATE usermgmt.session SET state = 'revoked', ended_at = $3,"
		  " end_reason = $4 WHERE session_id = $1 AND tenant_id = $2"
		  " AND state = 'open'",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(replace_token,
		  "UPDATE usermgmt.session SET token_hash = $3 WHERE session_id = $1"
		  " AND tenant_id = $2 AND state = 'open' AND expires_at > $4"
		  " AND token_hash = $5 RETURNING role, expires_at",
		  UUIDOID, UUIDOID, BYTEAOID, TIMESTAMPTZOID, BYTEAOID);

static void
refuse_session(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
					errmsg("there is no such open session in this tenant"),
					errhint("usermgmt.my_sessions and usermgmt.sessions show "
							"which there are.")));
}

/*
 * The caller for what concerns this person: the person, or an admin.
 */
static Caller
require_own_or_admin(Caller caller, const pg_uuid_t *user_id)
{
	bool own =
		caller.actor != NULL && uuid_equal(&caller.actor->user_id, user_id);

	caller_lock(&caller, own ? ROLE_MEMBER : ROLE_ADMIN);
	return caller;
}

PG_FUNCTION_INFO_V1(revoke_session);
Datum
revoke_session(PG_FUNCTION_ARGS)
{
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	Caller caller = caller_require(ROLE_MEMBER);
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t session_id;
	pg_uuid_t user_id;

	session_id = argument_uuid(fcinfo, 0, "session_id");
	SPI_connect();
	begin_writing(fcinfo);
	if (spi_latest(find_session, ARG_UUID(session_id),
				   ARG_UUID(caller.tenant_id), ARG_TIME(now)) == 0)
		refuse_session();
	user_id = row_uuid(spi_row(0), "user_id");
	if (!row_bool(spi_row(0), "open") ||
		(caller.role < ROLE_ADMIN &&
		 !uuid_equal(&user_id, &caller.actor->user_id)))
		refuse_session();
	caller = require_own_or_admin(caller, &user_id);
	audit_operation(&(AuditOperation){.reason = reason});
	if (spi_run(revoke_one, ARG_UUID(session_id), ARG_UUID(caller.tenant_id),
				ARG_TIME(now),
				ARG_TEXT(reason != NULL ? reason : "revoked")) == 0)
		refuse_session();
	audit_operation_end();
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * The own ones but the present, or all of somebody else. Who is just signing in
 * holds the membership, so that session is waited for.
 */
PG_FUNCTION_INFO_V1(revoke_user_sessions);
Datum
revoke_user_sessions(PG_FUNCTION_ARGS)
{
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	Caller caller = caller_require(ROLE_MEMBER);
	pg_uuid_t user_id;
	bool own;
	int32 ended;

	user_id = argument_uuid(fcinfo, 0, "user_id");
	own = caller.actor != NULL && uuid_equal(&caller.actor->user_id, &user_id);
	SPI_connect();
	begin_writing(fcinfo);
	caller = require_own_or_admin(caller, &user_id);
	membership_require(&caller.tenant_id, &user_id);
	(void) membership_share(&caller.tenant_id, &user_id);
	audit_operation(&(AuditOperation){.reason = reason});
	ended = session_end_others(&caller.tenant_id, &user_id,
							   own ? &caller.actor->session_id : NULL,
							   reason != NULL ? reason : "revoked");
	audit_operation_end();
	SPI_finish();
	PG_RETURN_INT32(ended);
}

/*
 * The bound session goes on under a new token; whoever has the old one is out.
 */
PG_FUNCTION_INFO_V1(rotate_session);
Datum
rotate_session(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_MEMBER);
	SessionStart start = {.outcome = "ok"};
	Actor actor;
	bytea *old_hash;
	bytea *hash;

	(void) actor_require();
	SPI_connect();
	begin_writing(fcinfo);
	caller_lock(&caller, ROLE_MEMBER);
	actor = *caller.actor;
	old_hash = palloc(VARHDRSZ + sizeof(actor.token_hash));
	SET_VARSIZE(old_hash, VARHDRSZ + sizeof(actor.token_hash));
	memcpy(VARDATA(old_hash), actor.token_hash, sizeof(actor.token_hash));
	start.token =
		session_token_make(&actor.tenant_id, &actor.session_id, &hash);
	if (spi_run(replace_token, ARG_UUID(actor.session_id),
				ARG_UUID(actor.tenant_id), ARG(BYTEAOID, PointerGetDatum(hash)),
				ARG_TIME(GetCurrentTimestamp()),
				ARG(BYTEAOID, PointerGetDatum(old_hash))) == 0)
		refuse_session();
	memcpy(actor.token_hash, VARDATA_ANY(hash), sizeof(actor.token_hash));
	start.role = role_parse(row_text(spi_row(0), "role"));
	start.expires_at = row_time(spi_row(0), "expires_at");
	start.session_id = &actor.session_id;
	start.user_id = &actor.user_id;
	start.tenant_id = &actor.tenant_id;
	actor_rebind(&actor);
	return session_start_result(fcinfo, &start);
}
