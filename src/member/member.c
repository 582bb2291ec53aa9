/*
 * member.c
 *	  Change a role, take access away at once, and give it back.
 *
 * Every change locks the tenant's row first, so that changes of one tenant's
 * members are serialized, and then reads the caller's own membership again.
 * What follows from a change (owner count, sessions, open links) is done by
 * the triggers in guard.c, so that a bare UPDATE has it too.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/spi_query.h"
#include "member/target.h"
#include "tenant/seat.h"
#include "tenant/tenant.h"

SPI_QUERY(insert_membership,
		  "INSERT INTO usermgmt.membership (tenant_id, user_id, role, status,"
		  " is_primary_owner, needs_verified, joined_at, last_login_at,"
		  " last_seen_at) VALUES ($1, $2, $3, 'active', $4, $5, $6, $7, $7)"
		  " ON CONFLICT (tenant_id, user_id) DO NOTHING",
		  UUIDOID, UUIDOID, TEXTOID, BOOLOID, BOOLOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID);
SPI_QUERY(find_membership,
		  "SELECT FROM usermgmt.membership"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(share_membership,
		  "SELECT role, status FROM usermgmt.membership"
		  " WHERE tenant_id = $1 AND user_id = $2 FOR SHARE",
		  UUIDOID, UUIDOID);
SPI_QUERY(lock_membership,
		  "SELECT role, status FROM usermgmt.membership"
		  " WHERE tenant_id = $1 AND user_id = $2 FOR NO KEY UPDATE",
		  UUIDOID, UUIDOID);
SPI_QUERY(set_role,
		  "UPDATE usermgmt.membership SET role = $3"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID, TEXTOID);
SPI_QUERY(deactivate,
		  "UPDATE usermgmt.membership SET status = 'deactivated',"
		  " deactivated_at = $3, deactivated_by = $4, deactivation_reason = $5"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTOID);
SPI_QUERY(reactivate,
		  "UPDATE usermgmt.membership SET status = 'active',"
		  " deactivated_at = NULL, deactivated_by = NULL,"
		  " deactivation_reason = NULL"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(show_member,
		  "SELECT * FROM usermgmt.member_detail"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID);

/*
 * The trigger on the new row compares no limit: the seat was the invitation's.
 */
bool
membership_join(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
				MemberRole role, TimestampTz now)
{
	bool joined;

	seat_set_transfer(true);
	joined =
		spi_run(insert_membership, ARG_UUID(*tenant_id), ARG_UUID(*user_id),
				ARG_TEXT(role_name(role)), ARG_BOOL(false), ARG_BOOL(false),
				ARG_TIME(now), ARG_TIME(now)) == 1;
	seat_set_transfer(false);
	return joined;
}

/*
 * A founder is the primary owner; an unproven one is kept out until a link
 * mailed to the address was followed.
 */
bool
membership_found(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
				 bool proven)
{
	return spi_run(insert_membership, ARG_UUID(*tenant_id), ARG_UUID(*user_id),
				   ARG_TEXT(role_name(ROLE_OWNER)), ARG_BOOL(true),
				   ARG_BOOL(!proven), ARG_TIME(GetCurrentTimestamp()),
				   ARG_NULL(TIMESTAMPTZOID)) == 1;
}

void
refuse_member(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_ALREADY_MEMBER),
					errmsg("the person is a member already"),
					errhint("usermgmt.members shows the role and status."),
					errhidestmt(true)));
}

bool
membership_exists(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	return spi_latest(find_membership, ARG_UUID(*tenant_id),
					  ARG_UUID(*user_id)) > 0;
}

static void
refuse_unknown(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
					errmsg("there is no such member in this tenant"),
					errhint("usermgmt.members shows who belongs to it.")));
}

void
membership_require(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	if (!membership_exists(tenant_id, user_id))
		refuse_unknown();
}

void
member_refuse_inactive(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UM_NOT_ACTIVE), errmsg("the member is not active"),
			 errhint("Reactivate the member first.")));
}

static bool
row_is_active(SpiRow row)
{
	return strcmp(row_text(row, "status"), "active") == 0;
}

void
membership_require_active(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	if (spi_run(share_membership, ARG_UUID(*tenant_id), ARG_UUID(*user_id)) ==
		0)
		refuse_unknown();
	if (!row_is_active(spi_row(0)))
		member_refuse_inactive();
}

static void
refuse_ended(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UM_NOT_AUTHENTICATED), errmsg("not authenticated"),
			 errhint("The session has ended; log in again.")));
}

MemberRole
membership_share(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	if (spi_run(share_membership, ARG_UUID(*tenant_id), ARG_UUID(*user_id)) ==
			0 ||
		!row_is_active(spi_row(0)))
		return ROLE_NONE;
	return role_parse(row_text(spi_row(0), "role"));
}

void
caller_lock(Caller *caller, MemberRole least)
{
	if (caller->actor == NULL)
		return;
	caller->role =
		membership_share(&caller->actor->tenant_id, &caller->actor->user_id);
	if (caller->role == ROLE_NONE)
		refuse_ended();
	if (actor_verify() == NULL)
		refuse_ended();
	if (caller->role < least)
		refuse_role(least);
}

Target
member_lock_target(FunctionCallInfo fcinfo, bool with_account)
{
	Target target = {.caller = caller_require(ROLE_ADMIN)};

	target.user_id = argument_uuid(fcinfo, 0, "user_id");
	begin_writing(fcinfo);
	target.tenant = tenant_read(&target.caller.tenant_id);
	seat_prepare(&target.tenant);
	target.tenant = tenant_lock(&target.caller.tenant_id);
	seat_lock(&target.tenant);
	if (with_account)
		account_lock(&target.user_id);
	caller_lock(&target.caller, ROLE_ADMIN);
	if (spi_run(lock_membership, ARG_UUID(target.caller.tenant_id),
				ARG_UUID(target.user_id)) == 0)
		refuse_unknown();
	target.role = role_parse(row_text(spi_row(0), "role"));
	target.active = row_is_active(spi_row(0));
	return target;
}

Datum
member_show(FunctionCallInfo fcinfo, const Target *target)
{
	audit_operation_end();
	spi_run(show_member, ARG_UUID(target->caller.tenant_id),
			ARG_UUID(target->user_id));
	return spi_finish_with_row(fcinfo);
}

/*
 * Only an owner makes or unmakes an owner; the last one stays (UM030, raised
 * by the trigger on every path).
 */
PG_FUNCTION_INFO_V1(change_role);
Datum
change_role(PG_FUNCTION_ARGS)
{
	MemberRole role = role_require(argument_text(fcinfo, 1));
	char *reason = plain_text(argument_text(fcinfo, 2), "reason", 500, true);
	Target target;

	SPI_connect();
	target = member_lock_target(fcinfo, false);
	if ((role == ROLE_OWNER || target.role == ROLE_OWNER) &&
		target.caller.role < ROLE_OWNER)
		refuse_role(ROLE_OWNER);
	if (!target.active)
		member_refuse_inactive();
	if (target.role == ROLE_OWNER && role != ROLE_OWNER &&
		target.tenant.owner_count == 1)
		refuse_last_owner();
	audit_operation(&(AuditOperation){.reason = reason});
	if (role != target.role)
	{
		spi_run(set_role, ARG_UUID(target.caller.tenant_id),
				ARG_UUID(target.user_id), ARG_TEXT(role_name(role)));
		member_notify(&target.tenant, &target.user_id, "role_changed");
	}
	return member_show(fcinfo, &target);
}

PG_FUNCTION_INFO_V1(deactivate_user);
Datum
deactivate_user(PG_FUNCTION_ARGS)
{
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	Target target;

	SPI_connect();
	target = member_lock_target(fcinfo, false);
	if (target.role == ROLE_OWNER)
		ereport(ERROR, (errcode(ERRCODE_UM_OWNER_PROTECTED),
						errmsg("an owner can not be deactivated"),
						errhint("Transfer the ownership first, or change the "
								"role.")));
	if (!target.active)
		ereport(ERROR,
				(errcode(ERRCODE_UM_NOT_ACTIVE),
				 errmsg("the member is deactivated already"),
				 errhint("usermgmt.reactivate_user() gives the access back.")));
	audit_operation(&(AuditOperation){.reason = reason});
	spi_run(deactivate, ARG_UUID(target.caller.tenant_id),
			ARG_UUID(target.user_id), ARG_TIME(GetCurrentTimestamp()),
			ARG_OPT_UUID(target.caller.actor != NULL
							 ? &target.caller.actor->user_id
							 : NULL),
			ARG_TEXT(reason));
	member_notify(&target.tenant, &target.user_id, "deactivated");
	return member_show(fcinfo, &target);
}

PG_FUNCTION_INFO_V1(reactivate_user);
Datum
reactivate_user(PG_FUNCTION_ARGS)
{
	Target target;

	SPI_connect();
	target = member_lock_target(fcinfo, false);
	if (target.active)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the member is active already")));
	spi_run(reactivate, ARG_UUID(target.caller.tenant_id),
			ARG_UUID(target.user_id));
	member_notify(&target.tenant, &target.user_id, "reactivated");
	return member_show(fcinfo, &target);
}
