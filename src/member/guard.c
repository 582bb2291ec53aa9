/*
 * guard.c
 *	  What a change of membership brings with it, on every path.
 *
 * The tenant's owner_count is changed by one conditional UPDATE, which holds
 * at every isolation level where counting the rows does not. Exactly one owner
 * is the primary one: when that person stops being an active owner, the
 * longest-standing other one takes over. An active member holds a seat. Whoever
 * loses access loses every session and open link of the tenant in the same
 * statement, and whoever belongs to no tenant any more has no account any more.
 */
#include "postgres.h"

#include "access/htup_details.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/actor.h"
#include "core/errors.h"
#include "core/settings.h"
#include "core/transition.h"
#include "core/within.h"
#include "member/email_change.h"
#include "member/target.h"
#include "password/password.h"
#include "session/revoke.h"
#include "tenant/seat.h"
#include "tenant/tenant.h"

SPI_QUERY(pass_primary_on,
		  "UPDATE usermgmt.membership SET is_primary_owner = true"
		  " WHERE tenant_id = $1 AND user_id = (SELECT m.user_id"
		  " FROM usermgmt.membership AS m WHERE m.tenant_id = $1"
		  " AND m.role = 'owner' AND m.status = 'active'"
		  " ORDER BY m.joined_at, m.user_id LIMIT 1)",
		  UUIDOID);
SPI_QUERY(clear_primary,
		  "UPDATE usermgmt.membership SET is_primary_owner = false"
		  " WHERE tenant_id = $1 AND is_primary_owner",
		  UUIDOID);
SPI_QUERY(find_other_home,
		  "SELECT FROM usermgmt.membership WHERE user_id = $1 LIMIT 1",
		  UUIDOID);
SPI_QUERY(share_open_account,
		  "SELECT FROM usermgmt.account WHERE user_id = $1"
		  " AND closed_at IS NULL FOR SHARE",
		  UUIDOID);
SPI_QUERY(show_role,
		  "UPDATE usermgmt.session SET role = $3"
		  " WHERE user_id = $2 AND tenant_id = $1 AND state = 'open'",
		  UUIDOID, UUIDOID, TEXTOID);

static Within moving_mark; /* take_mark() is at work */

static bool
is_text(SpiRow row, const char *column, const char *value)
{
	return strcmp(row_text(row, column), value) == 0;
}

static bool
is_active(SpiRow row)
{
	return is_text(row, "status", "active");
}

static bool
is_owner(SpiRow row)
{
	return is_text(row, "role", "owner") && is_active(row);
}

static HeapTuple
set_primary(SpiRow row, bool primary)
{
	int column = SPI_fnumber(row.desc, "is_primary_owner");
	Datum value = BoolGetDatum(primary);
	bool isnull = false;

	return heap_modify_tuple_by_cols(row.tuple, row.desc, 1, &column, &value,
									 &isnull);
}

/*
 * Take the mark from whoever has it, for a new primary owner; the tenant's lock
 * comes first, so that two who move it wait for each other.
 */
static void
take_mark(SpiRow row)
{
	pg_uuid_t tenant_id = row_uuid(row, "tenant_id");

	within_begin(&moving_mark);
	SPI_connect();
	(void) tenant_lock(&tenant_id);
	spi_run(clear_primary, ARG_UUID(tenant_id));
	SPI_finish();
	within_end(&moving_mark);
}

static void
refuse_move(SpiRow before, SpiRow after)
{
	pg_uuid_t ids[] = {
		row_uuid(before, "tenant_id"), row_uuid(before, "user_id"),
		row_uuid(after, "tenant_id"), row_uuid(after, "user_id")};

	if (memcmp(&ids[0], &ids[2], 2 * sizeof(pg_uuid_t)) != 0)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("a membership can not move to another tenant "
							   "or person"),
						errhint("Delete it and make a new one.")));
}

/*
 * BEFORE UPDATE trigger: whoever is no active owner is not the primary one,
 * and the mark moves only by giving it to somebody else.
 */
PG_FUNCTION_INFO_V1(membership_guard);
Datum
membership_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW);
	SpiRow before = trigger_row(trigger);
	SpiRow after = trigger_new_row(trigger);
	bool was_primary = row_bool(before, "is_primary_owner");
	bool is_primary = row_bool(after, "is_primary_owner");

	refuse_move(before, after);
	if (!is_owner(after))
		return PointerGetDatum(is_primary ? set_primary(after, false)
										  : after.tuple);
	if (is_primary && !was_primary)
		take_mark(after);
	if (was_primary && !is_primary && !within_holds(&moving_mark))
		return PointerGetDatum(set_primary(after, true));
	return PointerGetDatum(after.tuple);
}

void
refuse_last_owner(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NEEDS_OWNER),
					errmsg("the tenant must keep an owner"),
					errhint("Make someone else an owner first.")));
}

/*
 * Keep the tenant's count, and its one primary owner.
 */
static void
follow_ownership(const pg_uuid_t *tenant_id, bool was_owner, bool is_owner,
				 bool was_primary)
{
	if (was_owner == is_owner)
		return;
	if (!tenant_count_owner(tenant_id, is_owner ? 1 : -1))
		refuse_last_owner();
	if (was_primary)
		spi_run(pass_primary_on, ARG_UUID(*tenant_id));
}

/*
 * End the person's sessions and links in the tenant.
 */
static void
cut_access(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
		   const char *why)
{
	password_reset_cancel(tenant_id, user_id);
	email_change_cancel(tenant_id, user_id);
	session_end_member(tenant_id, user_id, why);
}

static void
require_open_account(const pg_uuid_t *user_id)
{
	if (spi_run(share_open_account, ARG_UUID(*user_id)) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the account of the person is closed"),
						errhint("Invite the person again.")));
}

/*
 * A removed member's links are void, and with the last membership goes the
 * account: its lock lets two removals of one person see each other.
 */
static void
follow_removal(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	password_reset_cancel(tenant_id, user_id);
	email_change_cancel(tenant_id, user_id);
	if (account_lock(user_id) &&
		spi_latest(find_other_home, ARG_UUID(*user_id)) == 0)
	{
		session_delete_person(user_id);
		account_close(user_id);
	}
}

static void
follow_role(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id, SpiRow row)
{
	char *role = row_text(row, "role");
	Tenant tenant = tenant_read(tenant_id);

	if (setting_on(SETTING_REVOKE_SESSIONS_ON_ROLE_CHANGE, tenant.settings))
		session_end_member(tenant_id, user_id, "role changed");
	else
		spi_run(show_role, ARG_UUID(*tenant_id), ARG_UUID(*user_id),
				ARG_TEXT(role));
}

static void
after_update(SpiRow before, SpiRow after)
{
	pg_uuid_t tenant_id = row_uuid(after, "tenant_id");
	pg_uuid_t user_id = row_uuid(after, "user_id");
	char *role = row_text(before, "role");

	follow_ownership(&tenant_id, is_owner(before), is_owner(after),
					 row_bool(before, "is_primary_owner"));
	if (is_active(before) != is_active(after))
		seat_change(&tenant_id, is_active(after) ? 1 : -1, 0);
	if (is_active(before) && !is_active(after))
		cut_access(&tenant_id, &user_id, "deactivated");
	else if (!is_text(after, "role", role))
		follow_role(&tenant_id, &user_id, after);
}

/*
 * AFTER trigger, per row.
 */
PG_FUNCTION_INFO_V1(membership_changed);
Datum
membership_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	SpiRow row = trigger_row(trigger);
	pg_uuid_t tenant_id = row_uuid(row, "tenant_id");
	pg_uuid_t user_id = row_uuid(row, "user_id");

	SPI_connect();
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		if (is_active(row))
			seat_take(&tenant_id, 1, 0);
		require_open_account(&user_id);
		follow_ownership(&tenant_id, false, is_owner(row), false);
	}
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		after_update(row, trigger_new_row(trigger));
	else
	{
		if (is_active(row))
			seat_change(&tenant_id, -1, 0);
		follow_ownership(&tenant_id, is_owner(row), false,
						 row_bool(row, "is_primary_owner"));
		follow_removal(&tenant_id, &user_id);
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}

/*
 * BEFORE TRUNCATE trigger: it would leave every tenant without an owner.
 */
PG_FUNCTION_INFO_V1(membership_refuse_truncate);
Datum
membership_refuse_truncate(PG_FUNCTION_ARGS)
{
	refuse_last_owner();
}

static const char *
membership_action(const AuditChange *change)
{
	if (change->before == NULL)
		return "user.joined";
	if (change->after == NULL)
		return "user.removed";
	if (is_active(*change->before) != is_active(*change->after))
		return is_active(*change->after) ? "user.reactivated"
										 : "user.deactivated";
	if (audit_differs(change, "role"))
		return "user.role_changed";
	return NULL;
}

void
member_init(void)
{
	member_mails_register();
	email_change_init();
	member_count_init();
	audit_register("user", membership_action);
}
