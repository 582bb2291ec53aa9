/*
 * invitation.c
 *	  Mail again, change what is offered, take it back.
 *
 * A transition is one UPDATE ... WHERE state = 'pending': the statement is the
 * lock, and when it changes no row somebody else was first; the row is read
 * again only to say what happened. Expired is never stored: it is pending past
 * its time, decided by the wall clock.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/settings.h"
#include "core/uuid.h"
#include "invitation/invitation.h"
#include "member/member.h"
#include "outbox/outbox.h"
#include "tenant/seat.h"

#define LONGEST_MONTHS 120
#define LONGEST_DAYS INT64CONST(3660)

/* Past its time it is reopened: a fresh expiry, and its old links void. */
SPI_QUERY(resend_pending,
		  "UPDATE usermgmt.invitation SET queued_at = $3,"
		  " expires_at = CASE WHEN expires_at <= $3 OR $5 THEN $4"
		  " ELSE expires_at END, generation = generation"
		  " + CASE WHEN expires_at <= $3 OR $6 THEN 1 ELSE 0 END"
		  " WHERE invitation_id = $1 AND tenant_id = $2 AND state = 'pending'"
		  " AND (expires_at <= $3 OR queued_at <= $7)"
		  " RETURNING email, name, expires_at",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, BOOLOID,
		  TIMESTAMPTZOID);
SPI_QUERY(revoke_pending,
		  "UPDATE usermgmt.invitation SET state = 'revoked', revoked_at = $3,"
		  " revoked_by = $4, revoke_reason = $5 WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND state = 'pending'",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTOID);
SPI_QUERY(set_pending_role,
		  "UPDATE usermgmt.invitation SET role = $3 WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND state = 'pending'",
		  UUIDOID, UUIDOID, TEXTOID);
SPI_QUERY(lock_pending,
		  "SELECT FROM usermgmt.invitation WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND state = 'pending' FOR NO KEY UPDATE",
		  UUIDOID, UUIDOID);
SPI_QUERY(find_invitation,
		  "SELECT state, email, role, generation, expires_at,"
		  " queued_at"
		  " FROM usermgmt.invitation"
		  " WHERE invitation_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(show_invitation,
		  "SELECT * FROM usermgmt.invitation_detail"
		  " WHERE invitation_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID);

Datum
invitation_show(FunctionCallInfo fcinfo, const pg_uuid_t *tenant_id,
				const pg_uuid_t *invitation_id)
{
	audit_operation_end();
	spi_run(show_invitation, ARG_UUID(*invitation_id), ARG_UUID(*tenant_id));
	return spi_finish_with_row(fcinfo);
}

static void
refuse_unknown(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
					errmsg("there is no such invitation in this tenant")));
}

/*
 * Say why an invitation of this tenant could not be changed.
 */
void
invitation_refuse_change(const Caller *caller, const pg_uuid_t *invitation_id)
{
	char *state;

	if (spi_latest(find_invitation, ARG_UUID(*invitation_id),
				   ARG_UUID(caller->tenant_id)) == 0)
		refuse_unknown();
	state = row_text(spi_row(0), "state");
	if (strcmp(state, "pending") != 0)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the invitation is %s", state),
						strcmp(state, "accepted") == 0
							? 0
							: errhint("Invite the person again, if need "
									  "be.")));
}

/*
 * The caller and the invitation id of a function on one invitation, with the
 * caller's own membership locked. Nobody touches an invitation above the own
 * role: its link would make an owner of whoever has it.
 */
Caller
invitation_begin_change(FunctionCallInfo fcinfo, pg_uuid_t *invitation_id)
{
	Caller caller = caller_require(ROLE_ADMIN);
	MemberRole invited;

	if (PG_ARGISNULL(0))
		refuse_null("invitation_id");
	*invitation_id = *PG_GETARG_UUID_P(0);
	SPI_connect();
	begin_writing(fcinfo);
	caller_lock(&caller, ROLE_ADMIN);
	if (spi_latest(find_invitation, ARG_UUID(*invitation_id),
				   ARG_UUID(caller.tenant_id)) == 0)
		refuse_unknown();
	invited = role_parse(row_text(spi_row(0), "role"));
	if (invited > caller.role)
		refuse_role(invited);
	return caller;
}

static void
refuse_so_soon(int64 wait)
{
	ereport(ERROR, (errcode(ERRCODE_UM_TOO_SOON),
					errmsg("it is too soon for another mail"),
					errhint("Try again in %d minutes, or copy the link with "
							"usermgmt.invitation_link().",
							(int) (wait / USECS_PER_MINUTE) + 1)));
}

PG_FUNCTION_INFO_V1(resend_invitation);
Datum
resend_invitation(PG_FUNCTION_ARGS)
{
	bool extend = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	pg_uuid_t invitation_id;
	Caller caller = invitation_begin_change(fcinfo, &invitation_id);
	Tenant tenant = tenant_read(&caller.tenant_id);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz cool =
		now - setting_seconds(SETTING_RESEND_COOLDOWN, tenant.settings) *
				  USECS_PER_SEC;
	SpiRow row;

	invitation_require_enabled(&tenant);
	seat_prepare(&tenant);
	if (spi_run(resend_pending, ARG_UUID(invitation_id),
				ARG_UUID(caller.tenant_id), ARG_TIME(now),
				ARG_TIME(setting_after(SETTING_INVITATION_TTL, tenant.settings,
									   now)),
				ARG_BOOL(extend),
				ARG_BOOL(!setting_on(SETTING_RESEND_KEEPS_OLD_LINKS,
									 tenant.settings)),
				ARG_TIME(cool)) == 0)
	{
		invitation_refuse_change(&caller, &invitation_id);
		refuse_so_soon(row_time(spi_row(0), "queued_at") - cool);
	}
	row = spi_row(0);
	invitation_put_mail(&caller.tenant_id, &invitation_id,
						row_text(row, "email"), row_text_or_null(row, "name"),
						now, row_time(row, "expires_at"));
	return invitation_show(fcinfo, &caller.tenant_id, &invitation_id);
}

PG_FUNCTION_INFO_V1(revoke_invitation);
Datum
revoke_invitation(PG_FUNCTION_ARGS)
{
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	pg_uuid_t invitation_id;
	Caller caller = invitation_begin_change(fcinfo, &invitation_id);

	audit_operation(&(AuditOperation){.reason = reason});
	if (spi_run(
			revoke_pending, ARG_UUID(invitation_id), ARG_UUID(caller.tenant_id),
			ARG_TIME(GetCurrentTimestamp()),
			ARG_OPT_UUID(caller.actor != NULL ? &caller.actor->user_id : NULL),
			ARG_TEXT(reason)) == 0)
	{
		invitation_refuse_change(&caller, &invitation_id);
		elog(ERROR, "the invitation could not be revoked");
	}
	outbox_cancel_subject(&caller.tenant_id, &invitation_id, "revoked");
	return invitation_show(fcinfo, &caller.tenant_id, &invitation_id);
}

/*
 * The next acceptance gives the new role; mails sent before name the old one.
 */
PG_FUNCTION_INFO_V1(change_invitation_role);
Datum
change_invitation_role(PG_FUNCTION_ARGS)
{
	MemberRole role = role_require(argument_text(fcinfo, 1));
	char *reason = plain_text(argument_text(fcinfo, 2), "reason", 500, true);
	pg_uuid_t invitation_id;
	Caller caller = invitation_begin_change(fcinfo, &invitation_id);
	Tenant tenant = tenant_read(&caller.tenant_id);

	invitation_check_role(&caller, &tenant, role);
	audit_operation(&(AuditOperation){.reason = reason});
	if (spi_run(set_pending_role, ARG_UUID(invitation_id),
				ARG_UUID(caller.tenant_id), ARG_TEXT(role_name(role))) == 0)
	{
		invitation_refuse_change(&caller, &invitation_id);
		elog(ERROR, "the invitation could not be changed");
	}
	return invitation_show(fcinfo, &caller.tenant_id, &invitation_id);
}

/*
 * The next acceptance gives these places and no others.
 */
PG_FUNCTION_INFO_V1(change_invitation_workspaces);
Datum
change_invitation_workspaces(PG_FUNCTION_ARGS)
{
	pg_uuid_t invitation_id;
	Caller caller = invitation_begin_change(fcinfo, &invitation_id);
	List *places = workspace_places_argument(fcinfo, 1, &caller.tenant_id);

	if (PG_ARGISNULL(1))
		refuse_null("workspaces");
	if (spi_run(lock_pending, ARG_UUID(invitation_id),
				ARG_UUID(caller.tenant_id)) == 0)
	{
		invitation_refuse_change(&caller, &invitation_id);
		elog(ERROR, "the invitation could not be locked");
	}
	invitation_set_places(&caller.tenant_id, &invitation_id, places);
	return invitation_show(fcinfo, &caller.tenant_id, &invitation_id);
}
