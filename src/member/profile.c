/*
 * profile.c
 *	  What people and applications keep about a person, a tenant, a workspace.
 */
#include "postgres.h"

#include "account/account.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/locale.h"
#include "core/uuid.h"
#include "member/target.h"
#include "workspace/workspace.h"

SPI_QUERY(set_name,
		  "UPDATE usermgmt.account SET name = $2, locale = coalesce($3, locale)"
		  " WHERE user_id = $1 AND closed_at IS NULL AND (name, locale)"
		  " IS DISTINCT FROM ($2, coalesce($3, locale))",
		  UUIDOID, TEXTOID, TEXTOID);
SPI_QUERY(set_tenant_metadata,
		  "UPDATE usermgmt.tenant SET metadata = $3"
		  " WHERE tenant_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID, JSONBOID);
SPI_QUERY(set_workspace_metadata,
		  "UPDATE usermgmt.workspace SET metadata = $3"
		  " WHERE tenant_id = $1 AND workspace_id = $2",
		  UUIDOID, UUIDOID, JSONBOID);
SPI_QUERY(set_membership_metadata,
		  "UPDATE usermgmt.membership SET metadata = $3"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID, JSONBOID);
SPI_QUERY(set_account_metadata,
		  "UPDATE usermgmt.account AS a SET metadata = $3 WHERE user_id = $2"
		  " AND EXISTS (SELECT FROM usermgmt.membership AS m"
		  " WHERE m.tenant_id = $1 AND m.user_id = a.user_id)",
		  UUIDOID, UUIDOID, JSONBOID);
SPI_QUERY(link_accounts,
		  "UPDATE usermgmt.account SET successor_id = $2 WHERE user_id = $1"
		  " AND successor_id IS DISTINCT FROM $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(lock_both,
		  "SELECT user_id = $1 AS is_old, closed_at IS NOT NULL AS closed"
		  " FROM usermgmt.account WHERE user_id IN ($1, $2)"
		  " ORDER BY user_id = $2 FOR NO KEY UPDATE",
		  UUIDOID, UUIDOID);

static RecordMover move_records;

void
member_set_record_mover(RecordMover mover)
{
	move_records = mover;
}

PG_FUNCTION_INFO_V1(update_profile);
Datum
update_profile(PG_FUNCTION_ARGS)
{
	Target target = {.caller = caller_require(ROLE_MEMBER)};
	char *name = argument_text(fcinfo, 0);
	char *locale = argument_text(fcinfo, 1);

	if (locale != NULL)
		locale = locale_require(locale, "locale");
	if (name == NULL)
		refuse_null("name");
	name = plain_text(name, "name", 200, false);
	if (target.caller.actor == NULL)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_AUTHENTICATED),
						errmsg("an operator without a session has no profile"),
						errhint("Bind a session with use_session().")));
	target.user_id = target.caller.actor->user_id;
	SPI_connect();
	begin_writing(fcinfo);
	account_lock(&target.user_id);
	caller_lock(&target.caller, ROLE_MEMBER);
	spi_run(set_name, ARG_UUID(target.user_id), ARG_TEXT(name),
			ARG_TEXT(locale));
	return member_show(fcinfo, &target);
}

/*
 * What comes before the caller's membership in the lock order. The tenant's
 * lock also keeps two admins from waiting for each other's memberships.
 */
static void
lock_tenant(const pg_uuid_t *tenant_id, const pg_uuid_t *id)
{
	(void) tenant_lock(tenant_id);
}

static void
lock_account(const pg_uuid_t *tenant_id, const pg_uuid_t *id)
{
	(void) account_lock(id);
}

static void
lock_nothing(const pg_uuid_t *tenant_id, const pg_uuid_t *id)
{
}

/* Whose metadata can be set, and who may. An account is shared by tenants, so
 * only the person and operators may touch it. */
/* clang-format off */
static const struct
{
	const char *kind;
	MemberRole least;
	bool own;
	void (*lock)(const pg_uuid_t *tenant_id, const pg_uuid_t *id);
	SpiQuery *statement;
} metadata_kinds[] = {
	{"tenant",		ROLE_ADMIN,	 false,	lock_tenant,	&set_tenant_metadata},
	{"workspace",	ROLE_ADMIN,	 false,	lock_nothing,	&set_workspace_metadata},
	{"membership",	ROLE_ADMIN,	 false,	lock_tenant,	&set_membership_metadata},
	{"account",		ROLE_MEMBER, true,	lock_account,	&set_account_metadata},
};
/* clang-format on */

static int
metadata_kind(const char *kind)
{
	if (kind == NULL)
		refuse_null("kind");
	for (int i = 0; i < lengthof(metadata_kinds); i++)
		if (strcmp(metadata_kinds[i].kind, kind) == 0)
			return i;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("kind is not one of tenant, workspace, membership, "
						   "account")));
}

PG_FUNCTION_INFO_V1(set_metadata);
Datum
set_metadata(PG_FUNCTION_ARGS)
{
	int kind = metadata_kind(argument_text(fcinfo, 0));
	Jsonb *metadata = object_argument(fcinfo, 2, "metadata");
	MemberRole least = metadata_kinds[kind].least;
	Caller caller = caller_require(least);
	pg_uuid_t id;

	if (PG_ARGISNULL(1))
		refuse_null("id");
	if (metadata == NULL)
		refuse_null("metadata");
	id = *PG_GETARG_UUID_P(1);
	SPI_connect();
	begin_writing(fcinfo);
	metadata_kinds[kind].lock(&caller.tenant_id, &id);
	caller_lock(&caller, least);
	if ((metadata_kinds[kind].own && caller.actor != NULL &&
		 !uuid_equal(&id, &caller.actor->user_id)) ||
		spi_execute(metadata_kinds[kind].statement,
					SPI_ARGS(ARG_UUID(caller.tenant_id), ARG_UUID(id),
							 ARG_JSONB(metadata)),
					SPI_VIEW_COMMAND) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("there is no such %s here",
							   metadata_kinds[kind].kind)));
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Raise unless the old account is closed and the new one open.
 */
static void
check_accounts(const pg_uuid_t *old_id, const pg_uuid_t *new_id)
{
	if (uuid_equal(old_id, new_id))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the two accounts are the same")));
	if (spi_run(lock_both, ARG_UUID(*old_id), ARG_UUID(*new_id)) != 2)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("there is no such account")));
	if (!row_bool(spi_row(0), "closed"))
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the old account is still open"),
						errhint("Only the records of a removed person are "
								"handed over.")));
	if (row_bool(spi_row(1), "closed"))
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the new account is closed")));
}

/*
 * How many records were handed over: the account's own is the first, the rows
 * of attached tables that the old one still owns are the others.
 */
PG_FUNCTION_INFO_V1(link_previous_account);
Datum
link_previous_account(PG_FUNCTION_ARGS)
{
	pg_uuid_t old_id;
	pg_uuid_t new_id;
	uint64 records;

	old_id = argument_uuid(fcinfo, 0, "old_user_id");
	new_id = argument_uuid(fcinfo, 1, "new_user_id");
	SPI_connect();
	begin_writing(fcinfo);
	check_accounts(&old_id, &new_id);
	records = spi_run(link_accounts, ARG_UUID(old_id), ARG_UUID(new_id));
	records += move_records(&old_id, &new_id);
	SPI_finish();
	PG_RETURN_INT32((int32) Min(records, PG_INT32_MAX));
}
