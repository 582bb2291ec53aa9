/*
 * invitation.c
 *	  Invite someone, mail again, take it back.
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

#define LONGEST_MONTHS 120
#define LONGEST_DAYS INT64CONST(3660)

SPI_QUERY(insert_invitation,
		  "INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email,"
		  " canonical_email, name, role, message, state, invited_by,"
		  " invited_by_email, created_at, queued_at, expires_at)"
		  " VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, $11,"
		  " $12) ON CONFLICT (tenant_id, canonical_email)"
		  " WHERE state = 'pending' DO NOTHING",
		  UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		  UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
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
void
invitation_require_enabled(const Tenant *tenant)
{
	tenant_require_open(tenant);
	if (!setting_on(SETTING_INVITATIONS_ENABLED, tenant->settings))
		ereport(ERROR, (errcode(ERRCODE_UM_INVITATIONS_OFF),
						errmsg("invitations are switched off for this "
							   "tenant"),
						errhint("The setting is invitations_enabled.")));
}

Datum
invitation_show(FunctionCallInfo fcinfo, const pg_uuid_t *tenant_id,
				const pg_uuid_t *invitation_id)
{
	audit_operation_end();
	spi_run(show_invitation, ARG_UUID(*invitation_id), ARG_UUID(*tenant_id));
	return spi_finish_with_row(fcinfo);
}

static void
put_mail(const pg_uuid_t *tenant_id, const pg_uuid_t *invitation_id,
		 const char *email, const char *name, TimestampTz due_at,
		 TimestampTz expires_at)
{
	outbox_put(&(Mail){.kind = invitation_mail.name,
					   .tenant_id = *tenant_id,
					   .subject_id = *invitation_id,
					   .recipient = email,
					   .recipient_name = name,
					   .due_at = due_at,
					   .expires_at = expires_at});
}

/*
 * Nobody invites above the own role, and an owner only where that is allowed.
 */
static void
check_role(const Caller *caller, const Tenant *tenant, MemberRole role)
{
	if (role == ROLE_OWNER &&
		!setting_on(SETTING_ALLOW_OWNER_INVITATIONS, tenant->settings))
		ereport(ERROR, (errcode(ERRCODE_UM_OWNER_INVITATION),
						errmsg("owners can not be invited"),
						errhint("Invite an admin, and make the person an "
								"owner afterwards.")));
	if (role > caller->role)
		refuse_role(role);
}

/*
 * There are no workspaces yet, so whichever is named does not exist.
 */
static void
check_workspaces(FunctionCallInfo fcinfo, int n)
{
	Jsonb *workspaces = PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);

	if (workspaces == NULL)
		return;
	if (JB_ROOT_IS_SCALAR(workspaces))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("workspaces is neither an object nor an "
							   "array")));
	if (JB_ROOT_COUNT(workspaces) > 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("there is no such workspace in this "
							   "tenant")));
}

static void
refuse_expiry(void)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("expires_in must be more than nothing and at most "
						   "ten years")));
}

/*
 * When an invitation sent at that moment expires.
 */
static TimestampTz
expiry_argument(FunctionCallInfo fcinfo, int n, const Tenant *tenant,
				TimestampTz sent_at)
{
	TimestampTz expires_at;
	Interval *interval;

	if (PG_ARGISNULL(n))
		return setting_after(SETTING_INVITATION_TTL, tenant->settings, sent_at);
	interval = PG_GETARG_INTERVAL_P(n);
	if (interval->month > LONGEST_MONTHS || interval->day > LONGEST_DAYS ||
		interval->time > LONGEST_DAYS * USECS_PER_DAY ||
		interval->month < -LONGEST_MONTHS || interval->day < -LONGEST_DAYS ||
		interval->time < -LONGEST_DAYS * USECS_PER_DAY)
		refuse_expiry();
	expires_at = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(sent_at),
		IntervalPGetDatum(interval)));
	if (expires_at <= sent_at ||
		expires_at - sent_at > LONGEST_DAYS * USECS_PER_DAY)
		refuse_expiry();
	return expires_at;
}

static TimestampTz
send_at_argument(FunctionCallInfo fcinfo, int n, TimestampTz now)
{
	TimestampTz send_at = PG_ARGISNULL(n) ? now : PG_GETARG_TIMESTAMPTZ(n);

	if (TIMESTAMP_NOT_FINITE(send_at) ||
		send_at - now > LONGEST_DAYS * USECS_PER_DAY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("send_at must be at most ten years ahead")));
	return Max(send_at, now);
}

static void
refuse_second(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_ALREADY_INVITED),
					errmsg("an open invitation for this address exists"),
					errhint("Resend it with usermgmt.resend_invitation().")));
}

PG_FUNCTION_INFO_V1(invite_user);
Datum
invite_user(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_ADMIN);
	Address address = address_require(argument_text(fcinfo, 0), "email");
	MemberRole role =
		PG_ARGISNULL(1) ? ROLE_MEMBER : role_require(argument_text(fcinfo, 1));
	char *message = plain_text(argument_text(fcinfo, 3), "message", 2000, true);
	char *name = plain_text(argument_text(fcinfo, 6), "name", 200, false);
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t invitation_id = uuid_make(now);
	TimestampTz send_at = send_at_argument(fcinfo, 5, now);
	TimestampTz expires_at;
	Tenant tenant;
	Account account;

	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_read(&caller.tenant_id);
	invitation_require_enabled(&tenant);
	check_workspaces(fcinfo, 2);
	expires_at = expiry_argument(fcinfo, 4, &tenant, send_at);
	caller_lock(&caller, ROLE_ADMIN);
	check_role(&caller, &tenant, role);
	tenant_require_domain(&tenant, &address);
	if (account_find(&address, &account) &&
		membership_exists(&caller.tenant_id, &account.user_id))
		refuse_member();
	if (spi_run(
			insert_invitation, ARG_UUID(invitation_id),
			ARG_UUID(caller.tenant_id), ARG_TEXT(address.typed),
			ARG_TEXT(address.canonical), ARG_TEXT(name),
			ARG_TEXT(role_name(role)), ARG_TEXT(message),
			ARG_OPT_UUID(caller.actor != NULL ? &caller.actor->user_id : NULL),
			ARG_TEXT(caller.actor != NULL ? caller.actor->email : NULL),
			ARG_TIME(now), ARG_TIME(send_at), ARG_TIME(expires_at)) == 0)
		refuse_second();
	put_mail(&caller.tenant_id, &invitation_id, address.typed, name, send_at,
			 expires_at);
	return invitation_show(fcinfo, &caller.tenant_id, &invitation_id);
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
	put_mail(&caller.tenant_id, &invitation_id, row_text(row, "email"),
			 row_text_or_null(row, "name"), now, row_time(row, "expires_at"));
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

	check_role(&caller, &tenant, role);
	audit_operation(&(AuditOperation){.reason = reason});
	if (spi_run(set_pending_role, ARG_UUID(invitation_id),
				ARG_UUID(caller.tenant_id), ARG_TEXT(role_name(role))) == 0)
	{
		invitation_refuse_change(&caller, &invitation_id);
		elog(ERROR, "the invitation could not be changed");
	}
	return invitation_show(fcinfo, &caller.tenant_id, &invitation_id);
}
