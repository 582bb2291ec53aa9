/*
 * removal.c
 *	  Take a person out of the tenant, for good, and show before what that does.
 *
 * The preview is no second account of the consequences: it removes, looks, and
 * undoes everything. Locks: tenant, account, memberships.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "lib/stringinfo.h"
#include "utils/json.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/address.h"
#include "core/attempt.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "core/within.h"
#include "member/target.h"

SPI_QUERY(count_held,
		  "SELECT a.email, (SELECT count(*)::integer"
		  " FROM usermgmt.session AS s WHERE s.user_id = $2"
		  " AND s.tenant_id = $1 AND s.state = 'open' AND s.expires_at > $3)"
		  " AS sessions, (SELECT count(*)::integer"
		  " FROM usermgmt.invitation AS i WHERE i.tenant_id = $1"
		  " AND i.invited_by = $2 AND i.state = 'pending') AS invitations,"
		  " (SELECT count(*)::integer FROM usermgmt.workspace_member AS w"
		  " WHERE w.tenant_id = $1 AND w.user_id = $2) AS workspaces"
		  " FROM usermgmt.account AS a WHERE a.user_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(delete_membership,
		  "DELETE FROM usermgmt.membership"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(find_first_owner,
		  "SELECT user_id FROM usermgmt.membership WHERE tenant_id = $1"
		  " AND role = 'owner' AND status = 'active'"
		  " ORDER BY is_primary_owner DESC, joined_at, user_id LIMIT 1",
		  UUIDOID);
SPI_QUERY(show_removal,
		  "SELECT $1 AS user_id, $2 AS email, $3 AS sessions,"
		  " $4 AS invitations, $5 AS workspaces, $10::jsonb AS resources,"
		  " $6 AS new_owner_id, $7 AS account_closed, $8 AS removed_at,"
		  " $9 AS reason",
		  UUIDOID, TEXTOID, INT4OID, INT4OID, INT4OID, UUIDOID, BOOLOID,
		  TIMESTAMPTZOID, TEXTOID, TEXTOID);
SPI_QUERY(show_preview,
		  "SELECT $1 AS sessions, $2 AS invitations, $3 AS workspaces,"
		  " $6::jsonb AS resources, $4 AS new_owner_id,"
		  " $5 AS closes_account",
		  INT4OID, INT4OID, INT4OID, UUIDOID, BOOLOID, TEXTOID);

/* What a removal takes from the person, and who has it afterwards. */
typedef struct Removal
{
	pg_uuid_t user_id;
	char *email;
	int32 sessions;
	int32 invitations;
	int32 workspaces;
	char *resources; /* JSON: rows handed over, by table */
	pg_uuid_t new_owner_id;
	bool closes_account;
} Removal;

/* The removal that deletes a membership right now, and what it hands over. */
static Within removing;
static Removal *removed;
static MemoryContext removed_context;

/*
 * Who gets what the person owned: the one named, else the primary owner.
 */
static pg_uuid_t
find_heir(const Target *target, const pg_uuid_t *named)
{
	if (named == NULL)
		return member_primary(&target->caller.tenant_id);
	if (uuid_equal(named, &target->user_id))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("transfer_to is the person who is removed")));
	membership_require_active(&target->caller.tenant_id, named);
	return *named;
}

bool
member_heir(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
			pg_uuid_t *heir)
{
	if (within_holds(&removing) && uuid_equal(user_id, &removed->user_id))
	{
		*heir = removed->new_owner_id;
		return true;
	}
	if (spi_run(find_first_owner, ARG_UUID(*tenant_id)) == 0)
		return false;
	*heir = row_uuid(spi_row(0), "user_id");
	return true;
}

/*
 * Add to the JSON object, which is written as it grows.
 */
void
member_report_handed(const pg_uuid_t *user_id, const char *table, uint64 rows)
{
	StringInfoData text;
	MemoryContext context;

	if (!within_holds(&removing) || !uuid_equal(user_id, &removed->user_id))
		return;
	context = MemoryContextSwitchTo(removed_context);
	initStringInfo(&text);
	appendBinaryStringInfo(&text, removed->resources,
						   strlen(removed->resources) - 1);
	if (text.len > 1)
		appendStringInfoString(&text, ", ");
	escape_json(&text, table);
	appendStringInfo(&text, ": " UINT64_FORMAT "}", rows);
	removed->resources = text.data;
	MemoryContextSwitchTo(context);
}

/*
 * The triggers on the membership do the rest, and report what they hand over.
 */
static void
delete_member(const pg_uuid_t *tenant_id, Removal *removal)
{
	removal->resources = "{}";
	removed = removal;
	removed_context = CurrentMemoryContext;
	within_begin(&removing);
	spi_run(delete_membership, ARG_UUID(*tenant_id),
			ARG_UUID(removal->user_id));
	within_end(&removing);
}

static Removal
remove_member(FunctionCallInfo fcinfo, const pg_uuid_t *heir,
			  const char *reason)
{
	Target target = member_lock_target(fcinfo, true);
	const pg_uuid_t *tenant_id = &target.caller.tenant_id;
	Removal removal = {.user_id = target.user_id};
	AuditOperation operation = {.reason = reason, .tenant_id = tenant_id};
	Account account;

	if (target.role == ROLE_OWNER)
		ereport(ERROR, (errcode(ERRCODE_UM_OWNER_PROTECTED),
						errmsg("an owner can not be removed"),
						errhint("Transfer the ownership first, or change the "
								"role.")));
	removal.new_owner_id = find_heir(&target, heir);
	spi_run(count_held, ARG_UUID(*tenant_id), ARG_UUID(target.user_id),
			ARG_TIME(GetCurrentTimestamp()));
	removal.email = row_text(spi_row(0), "email");
	removal.sessions = row_int(spi_row(0), "sessions");
	removal.invitations = row_int(spi_row(0), "invitations");
	removal.workspaces = row_int(spi_row(0), "workspaces");
	member_notify(&target.tenant, &target.user_id, "removed");
	audit_operation(&operation);
	delete_member(tenant_id, &removal);
	audit_operation_end();
	removal.closes_account = !account_read(&target.user_id, &account);
	return removal;
}

/* A removal that is undone. */
typedef struct Rehearsal
{
	FunctionCallInfo fcinfo;
	Removal removal;
} Rehearsal;

static void
rehearse(void *arg)
{
	Rehearsal *rehearsal = arg;

	rehearsal->removal = remove_member(rehearsal->fcinfo, NULL, NULL);
}

PG_FUNCTION_INFO_V1(preview_removal);
Datum
preview_removal(PG_FUNCTION_ARGS)
{
	Rehearsal rehearsal = {.fcinfo = fcinfo};
	const Removal *removal = &rehearsal.removal;
	ErrorData *error;

	SPI_connect();
	begin_writing(fcinfo);
	error = attempt(rehearse, &rehearsal, false);
	if (error != NULL)
		ReThrowError(error);
	spi_run(show_preview, ARG_INT(removal->sessions),
			ARG_INT(removal->invitations), ARG_INT(removal->workspaces),
			ARG_UUID(removal->new_owner_id), ARG_BOOL(removal->closes_account),
			ARG_TEXT(removal->resources));
	return spi_finish_with_row(fcinfo);
}

/*
 * The error undoes what it tells of.
 */
static void
refuse_unconfirmed(const Removal *removal)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_UM_NOT_CONFIRMED),
		 errmsg("the removal was not confirmed"),
		 errdetail("{\"sessions\": %d, \"invitations\": %d, "
				   "\"workspaces\": %d, \"resources\": %s, "
				   "\"new_owner_id\": \"%s\", \"closes_account\": %s}",
				   removal->sessions, removal->invitations, removal->workspaces,
				   removal->resources, uuid_text(&removal->new_owner_id),
				   removal->closes_account ? "true" : "false"),
		 errhint("It can not be undone. Call it again with confirm => "
				 "true.")));
}

PG_FUNCTION_INFO_V1(remove_user);
Datum
remove_user(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *heir = PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1);
	char *reason = plain_text(argument_text(fcinfo, 2), "reason", 500, true);
	bool confirmed = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	Removal removal;

	SPI_connect();
	removal = remove_member(fcinfo, heir, reason);
	if (!confirmed)
		refuse_unconfirmed(&removal);
	spi_run(show_removal, ARG_UUID(removal.user_id), ARG_TEXT(removal.email),
			ARG_INT(removal.sessions), ARG_INT(removal.invitations),
			ARG_INT(removal.workspaces), ARG_UUID(removal.new_owner_id),
			ARG_BOOL(removal.closes_account), ARG_TIME(GetCurrentTimestamp()),
			ARG_TEXT(reason), ARG_TEXT(removal.resources));
	return spi_finish_with_row(fcinfo);
}
