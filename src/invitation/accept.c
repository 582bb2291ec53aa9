/*
 * accept.c
 *	  Look at an invitation, and join by it, once.
 *
 * A look consumes nothing, so mail scanners may follow the link. Joining
 * compares or hashes the password before any lock; then the locks come in
 * order (tenant, account, membership, invitation, session), each of them a
 * statement that one of two racing callers gets nothing from.
 */
#include "postgres.h"

#include "access/htup_details.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/secret.h"
#include "core/spi_query.h"
#include "core/uuid.h"
#include "invitation/invitation.h"
#include "member/member.h"
#include "outbox/outbox.h"
#include "password/password.h"
#include "session/joiner.h"
#include "tenant/seat.h"
#include "token/token.h"

SPI_QUERY(read_invitation,
		  "SELECT state, email, name, role, generation, expires_at,"
		  " invited_by"
		  " FROM usermgmt.invitation"
		  " WHERE invitation_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(accept_pending,
		  "UPDATE usermgmt.invitation SET state = 'accepted',"
		  " accepted_at = $4, accepted_by = $5 WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND generation = $3 AND state = 'pending'"
		  " AND expires_at > $4 AND role = $6 AND canonical_email = $7",
		  UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID, UUIDOID, TEXTOID, TEXTOID);
SPI_QUERY(take_locale,
		  "UPDATE usermgmt.account AS a SET locale = i.locale"
		  " FROM usermgmt.invitation AS i WHERE a.user_id = $1"
		  " AND a.locale IS NULL AND i.invitation_id = $2"
		  " AND i.tenant_id = $3 AND i.locale IS NOT NULL",
		  UUIDOID, UUIDOID, UUIDOID);
SPI_QUERY(decline_pending,
		  "UPDATE usermgmt.invitation SET state = 'declined',"
		  " declined_at = $4 WHERE invitation_id = $1 AND tenant_id = $2"
		  " AND generation = $3 AND state = 'pending' AND expires_at > $4",
		  UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID);
SPI_QUERY(preview,
		  "SELECT t.name AS tenant_name, t.branding, i.email, i.role,"
		  " coalesce(a.name, i.invited_by_email) AS inviter_name,"
		  " CASE WHEN i.state <> 'pending' THEN i.state"
		  " WHEN i.generation <> $3 THEN 'superseded'"
		  " WHEN i.expires_at <= $4 THEN 'expired'"
		  " WHEN t.suspended_at IS NOT NULL THEN 'suspended'"
		  " WHEN i.invited_by IS NOT NULL AND NOT coalesce("
		  "m.status = 'active' AND (m.role = 'owner'"
		  " OR (m.role = 'admin' AND i.role <> 'owner')), false)"
		  " THEN 'revoked' ELSE 'pending' END"
		  " AS status, i.expires_at, EXISTS (SELECT FROM usermgmt.account AS e"
		  " WHERE e.canonical_email = i.canonical_email"
		  " AND e.closed_at IS NULL"
		  " AND (e.verified_at IS NOT NULL OR NOT $5)) AS account_exists"
		  " FROM usermgmt.invitation AS i"
		  " JOIN usermgmt.tenant AS t ON t.tenant_id = i.tenant_id"
		  " LEFT JOIN usermgmt.account AS a ON a.user_id = i.invited_by"
		  " LEFT JOIN usermgmt.membership AS m ON m.tenant_id = i.tenant_id"
		  " AND m.user_id = i.invited_by"
		  " WHERE i.invitation_id = $1 AND i.tenant_id = $2",
		  UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID, BOOLOID);

/* An invitation that a genuine token names. */
typedef struct Invitation
{
	LinkToken token;
	Address address;
	char *name;
	MemberRole role;
	bool has_inviter; /* else an operator invited */
	pg_uuid_t invited_by;
} Invitation;

/*
 * Raise unless the invitation of this row can be accepted now by a token of
 * this generation.
 */
static void
check_open(SpiRow row, int32 generation)
{
	char *state = row_text(row, "state");

	if (strcmp(state, "accepted") == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_USED),
						errmsg("the invitation has been accepted already"),
						errhint("Log in instead."), errhidestmt(true)));
	if (strcmp(state, "pending") != 0)
		ereport(ERROR, (errcode(ERRCODE_UM_INVITATION_REVOKED),
						errmsg("the invitation was %s", state),
						errhint("Ask for a new one."), errhidestmt(true)));
	if (row_int(row, "generation") != generation)
		ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_SUPERSEDED),
						errmsg("a newer link has been sent"),
						errhint("Use the link from the newest mail."),
						errhidestmt(true)));
	if (row_time(row, "expires_at") <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_UM_TOKEN_EXPIRED),
				 errmsg("the invitation has expired"),
				 errhint("Ask for it to be sent again."), errhidestmt(true)));
}

/*
 * Read the invitation as it is now; raise unless it can be accepted.
 */
static Invitation
read_open(const LinkToken *token)
{
	Invitation invitation = {.token = *token};
	SpiRow row;

	if (spi_latest(read_invitation, ARG_UUID(token->object_id),
				   ARG_UUID(token->tenant_id)) == 0)
		refuse_token();
	row = spi_row(0);
	check_open(row, token->generation);
	invitation.address = address_require(row_text(row, "email"), "email");
	invitation.name = row_text_or_null(row, "name");
	invitation.role = role_parse(row_text(row, "role"));
	invitation.has_inviter = !row_is_null(row, "invited_by");
	if (invitation.has_inviter)
		invitation.invited_by = row_uuid(row, "invited_by");
	return invitation;
}

static LinkToken
token_argument(FunctionCallInfo fcinfo)
{
	return link_token_parse(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0),
							LINK_INVITATION, LINK_INVITATION_BY_HAND);
}

static Datum
preview_invitation_body(PG_FUNCTION_ARGS)
{
	LinkToken token;

	SPI_connect();
	token = token_argument(fcinfo);
	if (spi_latest(preview, ARG_UUID(token.object_id),
				   ARG_UUID(token.tenant_id), ARG_INT(token.generation),
				   ARG_TIME(GetCurrentTimestamp()),
				   ARG_BOOL(token.purpose == LINK_INVITATION)) == 0)
		refuse_token();
	return spi_finish_with_row(fcinfo);
}

PG_FUNCTION_INFO_V1(preview_invitation);
Datum
preview_invitation(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(preview_invitation_body, fcinfo);
}

/*
 * Lock or make the account; false when it has changed since it was proven.
 */
static bool
settle_account(const Invitation *invitation, const char *name, Joiner *joiner)
{
	switch (joiner_settle(joiner, name != NULL ? name : invitation->name))
	{
		case JOINER_SETTLED:
			return true;
		case JOINER_CHANGED:
			return false;
		case JOINER_TAKEN:
			break;
	}
	read_open(&invitation->token);
	joiner_refuse_taken();
}

/*
 * An invitation is worth what its inviter may still do: raise unless that
 * person is active and at least of the invited role.
 */
static void
check_inviter(const Invitation *invitation)
{
	MemberRole least = Max(invitation->role, ROLE_ADMIN);

	if (!invitation->has_inviter)
		return;
	if (membership_share(&invitation->token.tenant_id,
						 &invitation->invited_by) >= least)
		return;
	ereport(ERROR, (errcode(ERRCODE_UM_INVITATION_REVOKED),
					errmsg("whoever sent the invitation may not invite any "
						   "more"),
					errhint("Ask for a new one."), errhidestmt(true)));
}

/*
 * Use the invitation up and join the tenant, in this order: the seat that it
 * held is the new member's. The moment of it.
 */
static TimestampTz
join(const Invitation *invitation, const Account *account)
{
	const LinkToken *token = &invitation->token;
	TimestampTz now;

	check_inviter(invitation);
	now = GetCurrentTimestamp();
	if (spi_run(accept_pending, ARG_UUID(token->object_id),
				ARG_UUID(token->tenant_id), ARG_INT(token->generation),
				ARG_TIME(now), ARG_UUID(account->user_id),
				ARG_TEXT(role_name(invitation->role)),
				ARG_TEXT(invitation->address.canonical)) == 0)
	{
		read_open(token);
		refuse_concurrent("change of the invitation");
	}
	if (!membership_join(&token->tenant_id, &account->user_id, invitation->role,
						 now))
		refuse_member();
	workspace_join(&token->tenant_id, &account->user_id, &token->object_id);
	outbox_cancel_subject(&token->tenant_id, &token->object_id, "accepted");
	return now;
}

static Datum
accept_invitation_body(PG_FUNCTION_ARGS)
{
	char *name = plain_text(argument_text(fcinfo, 2), "name", 200, false);
	bool is_new;
	Origin origin = origin_arguments(fcinfo, 3, 4);
	SessionStart start = {0};
	Joiner joiner = {0};
	AuditOperation operation = {.ip = origin.ip};
	Invitation invitation;
	Password password;
	Tenant tenant;
	LinkToken token;
	TimestampTz joined_at;
	bool proven;

	SPI_connect();
	begin_writing(fcinfo);
	token = token_argument(fcinfo);
	invitation = read_open(&token);
	tenant = tenant_read(&token.tenant_id);
	tenant_require_open(&tenant);
	password = password_argument(fcinfo, 1);
	joiner.address = &invitation.address;
	joiner.mailbox_proven = token.purpose == LINK_INVITATION;
	proven = joiner_prove(&joiner, invitation.name, &tenant, &password, &start);
	password_wipe(&password);
	if (!proven)
		return session_start_result(fcinfo, &start);
	seat_prepare(&tenant);
	tenant = invitation.role == ROLE_OWNER
				 ? tenant_lock(&token.tenant_id)
				 : tenant_lock_shared(&token.tenant_id);
	tenant_require_open(&tenant);
	seat_lock(&tenant);
	operation.tenant_id = &token.tenant_id;
	operation.user_email = invitation.address.typed;
	operation.user_id = joiner.known ? &joiner.account.user_id : NULL;
	audit_operation(&operation);
	is_new = !joiner.known;
	if (!settle_account(&invitation, name, &joiner))
	{
		audit_operation_end();
		start.outcome = "invalid_credentials";
		return session_start_result(fcinfo, &start);
	}
	operation.user_id = &joiner.account.user_id;
	audit_operation(&operation);
	joined_at = join(&invitation, &joiner.account);
	if (is_new)
		spi_run(take_locale, ARG_UUID(joiner.account.user_id),
				ARG_UUID(token.object_id), ARG_UUID(token.tenant_id));
	session_begin(&tenant, &joiner.account, invitation.role, joined_at, &origin,
				  &start);
	audit_operation_end();
	return session_start_result(fcinfo, &start);
}

PG_FUNCTION_INFO_V1(accept_invitation);
Datum
accept_invitation(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(accept_invitation_body, fcinfo);
}

/*
 * Whoever has the link may turn it down; no account is needed for that.
 */
static Datum
decline_invitation_body(PG_FUNCTION_ARGS)
{
	LinkToken token;
	Tenant tenant;

	SPI_connect();
	begin_writing(fcinfo);
	token = token_argument(fcinfo);
	tenant = tenant_read(&token.tenant_id);
	seat_lock(&tenant);
	audit_operation(&(AuditOperation){.tenant_id = &token.tenant_id});
	if (spi_run(decline_pending, ARG_UUID(token.object_id),
				ARG_UUID(token.tenant_id), ARG_INT(token.generation),
				ARG_TIME(GetCurrentTimestamp())) == 0)
	{
		read_open(&token);
		elog(ERROR, "the invitation could not be declined");
	}
	audit_operation_end();
	outbox_cancel_subject(&token.tenant_id, &token.object_id, "declined");
	return invitation_show(fcinfo, &token.tenant_id, &token.object_id);
}

PG_FUNCTION_INFO_V1(decline_invitation);
Datum
decline_invitation(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(decline_invitation_body, fcinfo);
}
