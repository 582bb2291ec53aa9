/*
 * session.c
 *	  Open a session, act by its token, and log out.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "sodium.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"

#include "audit/audit.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/settings.h"
#include "core/secret.h"
#include "core/spi_query.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "outbox/outbox.h"
#include "session/session.h"
#include "session/standby.h"
#include "session/throttle.h"

#define USER_AGENT_MAX 512

/* clang-format off */
static const Transition transitions[] = {
	{"open", "log out", "ended",   "session.ended",	  "the person logged out"},
	{"open", "revoke",	"revoked", "session.revoked", "access was taken"},
	{NULL, NULL, NULL, NULL, NULL}
};
/* clang-format on */

SPI_QUERY(enter_membership,
		  "UPDATE usermgmt.membership SET last_login_at = $3,"
		  " last_seen_at = $3 WHERE tenant_id = $1 AND user_id = $2"
		  " AND status = 'active' AND ($4 OR NOT needs_verified)"
		  " RETURNING role",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, BOOLOID);
SPI_QUERY(insert_session,
		  "INSERT INTO usermgmt.session (session_id, tenant_id, user_id,"
		  " token_hash, role, email, state, created_at, last_used_at,"
		  " expires_at, ip, user_agent, idle_seconds) VALUES ($1, $2, $3, $4,"
		  " $5, $6, 'open', $7, $7, $8, $9, $10, nullif($11, 0))",
		  UUIDOID, UUIDOID, UUIDOID, BYTEAOID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID);
SPI_QUERY(end_session,
		  "UPDATE usermgmt.session SET state = 'ended', ended_at = $3,"
		  " end_reason = 'logged out' WHERE session_id = $1"
		  " AND tenant_id = $2 AND state = 'open'",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
/* By the places of the rows: a join could be planned to read the whole table.
 */
SPI_QUERY(purge_sessions,
		  "DELETE FROM usermgmt.session WHERE ctid = ANY (ARRAY(SELECT ctid"
		  " FROM usermgmt.session WHERE expires_at <= $1 - INTERVAL '1 day'"
		  " FOR UPDATE SKIP LOCKED))",
		  TIMESTAMPTZOID);
SPI_QUERY(purge_throttles,
		  "DELETE FROM usermgmt.login_throttle WHERE ctid = ANY (ARRAY("
		  "SELECT ctid FROM usermgmt.login_throttle"
		  " WHERE last_failure_at <= $1 - INTERVAL '1 day'"
		  " FOR UPDATE SKIP LOCKED))",
		  TIMESTAMPTZOID);

Origin
origin_arguments(FunctionCallInfo fcinfo, int ip, int user_agent)
{
	Origin origin = {argument_text(fcinfo, ip),
					 argument_text(fcinfo, user_agent)};

	if (origin.ip != NULL)
	{
		char *text = plain_text_require(origin.ip, "ip", 64);
		int bits;
		unsigned char bytes[16];
		int family = strchr(text, ':') != NULL ? PGSQL_AF_INET6 : PGSQL_AF_INET;

		bits = pg_inet_net_pton(family, text, bytes, -1);
		if (bits < 0 || strlen(text) >= sizeof(((Actor *) 0)->ip))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("ip is not a network address"),
					 errhint("Pass an IPv4 or IPv6 address, without a port."),
					 errhidestmt(true)));
		origin.ip = text;
	}
	if (origin.user_agent != NULL)
	{
		char *c = origin.user_agent;

		c[pg_mbcliplen(c, strlen(c), USER_AGENT_MAX)] = '\0';
		for (; *c != '\0'; c++)
			if ((unsigned char) *c < ' ' || *c == 0x7F)
				*c = ' ';
	}
	return origin;
}

static Datum
opt_text(const char *value, bool *isnull)
{
	*isnull = value == NULL;
	return *isnull ? (Datum) 0 : CStringGetTextDatum(value);
}

static Datum
opt_uuid(const pg_uuid_t *value, bool *isnull)
{
	*isnull = value == NULL;
	return *isnull ? (Datum) 0 : UUIDPGetDatum(value);
}

/*
 * The row of these values of the composite type that the function returns.
 */
static HeapTuple
form_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function does not return a row");
	return heap_form_tuple(BlessTupleDesc(desc), values, nulls);
}

Datum
session_start_result(FunctionCallInfo fcinfo, SessionStart *start)
{
	bool nulls[8] = {false};
	Datum values[8];
	HeapTuple row;
	TupleDesc desc;
	HeapTupleHeader result;

	values[0] = opt_text(start->outcome, &nulls[0]);
	values[1] = opt_text(start->token, &nulls[1]);
	values[2] = opt_uuid(start->session_id, &nulls[2]);
	values[3] = opt_uuid(start->user_id, &nulls[3]);
	values[4] = opt_uuid(start->tenant_id, &nulls[4]);
	values[5] = opt_text(
		start->role == ROLE_NONE ? NULL : role_name(start->role), &nulls[5]);
	values[6] = TimestampTzGetDatum(start->expires_at);
	nulls[6] = start->expires_at == 0;
	nulls[7] = start->detail == NULL;
	if (!nulls[7])
		values[7] =
			DirectFunctionCall1(jsonb_in, CStringGetDatum(start->detail));
	row = form_result(fcinfo, values, nulls);
	get_call_result_type(fcinfo, NULL, &desc);
	result = SPI_returntuple(row, BlessTupleDesc(desc));
	if (start->token != NULL)
		sodium_memzero(start->token, strlen(start->token));
	SPI_finish();
	return HeapTupleHeaderGetDatum(result);
}

void
session_begin(const Tenant *tenant, const Account *account, MemberRole role,
			  TimestampTz now, const Origin *origin, SessionStart *start)
{
	pg_uuid_t *session_id = palloc(sizeof(pg_uuid_t));
	bytea *hash;

	*session_id = uuid_make(now);
	start->role = role;
	start->expires_at =
		setting_after(SETTING_SESSION_TTL, tenant->settings, now);
	if (origin->not_after != 0)
		start->expires_at = Min(start->expires_at, origin->not_after);
	start->token = session_token_make(&tenant->tenant_id, session_id, &hash);
	spi_run(
		insert_session, ARG_UUID(*session_id), ARG_UUID(tenant->tenant_id),
		ARG_UUID(account->user_id), ARG(BYTEAOID, PointerGetDatum(hash)),
		ARG_TEXT(role_name(role)), ARG_TEXT(account->email), ARG_TIME(now),
		ARG_TIME(start->expires_at), ARG_TEXT(origin->ip),
		ARG_TEXT(origin->user_agent),
		ARG_INT(setting_seconds(SETTING_SESSION_IDLE_TTL, tenant->settings)));
	start->outcome = "ok";
	start->session_id = session_id;
	start->user_id = &account->user_id;
	start->tenant_id = &tenant->tenant_id;
}

bool
session_open(const Tenant *tenant, const Account *account, const Origin *origin,
			 SessionStart *start)
{
	TimestampTz now = GetCurrentTimestamp();

	if (spi_run(enter_membership, ARG_UUID(tenant->tenant_id),
				ARG_UUID(account->user_id), ARG_TIME(now),
				ARG_BOOL(account->verified)) == 0)
		return false;
	session_begin(tenant, account, role_parse(row_text(spi_row(0), "role")),
				  now, origin, start);
	return true;
}

static ActorScope
scope_argument(FunctionCallInfo fcinfo, int n)
{
	char *scope = argument_text(fcinfo, n);

	if (scope == NULL || strcmp(scope, "transaction") == 0)
		return ACTOR_TRANSACTION;
	if (strcmp(scope, "connection") == 0)
		return ACTOR_CONNECTION;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("scope is not one of transaction, connection"),
					errhidestmt(true)));
}

/*
 * Verify the token and bind its person. Reads only, also on a standby.
 */
static Datum
use_session_body(PG_FUNCTION_ARGS)
{
	ActorScope scope = scope_argument(fcinfo, 1);
	SessionToken token;
	Actor actor;
	bool nulls[6] = {false};
	Datum values[6];

	standby_require_fresh();
	if (!session_token_parse(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0),
							 &token) ||
		!installation_is_live() ||
		!session_read(&token.session_id, &token.tenant_id, token.hash, &actor))
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_AUTHENTICATED),
						errmsg("not authenticated"),
						errhint("The session is unknown, expired or revoked; "
								"log in again."),
						errhidestmt(true)));
	session_touch(&actor);
	actor_bind(&actor, scope);
	values[0] = UUIDPGetDatum(&actor.session_id);
	values[1] = UUIDPGetDatum(&actor.user_id);
	values[2] = UUIDPGetDatum(&actor.tenant_id);
	values[3] = CStringGetTextDatum(role_name(actor.role));
	values[4] = CStringGetTextDatum(actor.email);
	values[5] = TimestampTzGetDatum(actor.expires_at);
	return HeapTupleGetDatum(form_result(fcinfo, values, nulls));
}

PG_FUNCTION_INFO_V1(use_session);
Datum
use_session(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(use_session_body, fcinfo);
}

PG_FUNCTION_INFO_V1(log_out);
Datum
log_out(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_current();

	if (actor == NULL)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_AUTHENTICATED),
						errmsg("not authenticated"),
						errhint("There is no session to end.")));
	SPI_connect();
	begin_writing(fcinfo);
	spi_run(end_session, ARG_UUID(actor->session_id),
			ARG_UUID(actor->tenant_id), ARG_TIME(GetCurrentTimestamp()));
	SPI_finish();
	actor_unbind();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(session_guard);
Datum
session_guard(PG_FUNCTION_ARGS)
{
	return transition_guard(fcinfo, transitions, true);
}

/*
 * Statement trigger: every backend reads its actor anew.
 */
PG_FUNCTION_INFO_V1(session_changed);
Datum
session_changed(PG_FUNCTION_ARGS)
{
	trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	actor_signal();
	standby_revoke();
	return PointerGetDatum(NULL);
}

static const char *
session_action(const AuditChange *change)
{
	const Transition *step;

	if (change->before == NULL)
		return "session.started";
	if (change->after == NULL)
		return "session.purged";
	step = transition_find(transitions, row_text(*change->before, "state"),
						   row_text(*change->after, "state"));
	return step != NULL ? step->action : NULL;
}

static bool
reread(Actor *actor)
{
	Actor now;
	bool live = session_read(&actor->session_id, &actor->tenant_id,
							 actor->token_hash, &now);

	if (live)
		*actor = now;
	return live;
}

void
session_init(void)
{
	actor_set_reader(reread, session_setting_wish, session_setting_read);
	session_setting_define();
	standby_define();
	throttle_init();
	session_touch_init();
	audit_register("session", session_action);
	maintenance_register("sessions_purged", &purge_sessions);
	maintenance_register("throttles_purged", &purge_throttles);
}
