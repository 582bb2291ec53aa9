/*
 * time_travel.c
 *	  Who had access then, a person's access over time, and why it is so now.
 *
 * An admin sees the own tenant; an operator the selected one; an operator or
 * auditor without either, all of them.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "core/actor.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/spi_query.h"
#include "core/uuid.h"
#include "tenant/tenant.h"

#define NIL_ID "'00000000-0000-0000-0000-000000000000'"

/* Who belonged to the tenants that the condition names, at $1. The places are
 * looked up person by person: how many periods hold then, the planner can not
 * know. */
#define STATE_AT(condition)                                                    \
	"SELECT m.tenant_id, m.user_id,"                                           \
	" usermgmt.known_email(m.tenant_id, m.user_id) AS email, m.role,"          \
	" CASE WHEN m.status = 'active' AND m.tenant_id IN"                        \
	" (SELECT t.tenant_id FROM usermgmt.membership_history AS t"               \
	" WHERE t.user_id = " NIL_ID " AND t.workspace_id = " NIL_ID               \
	" AND t.status = 'suspended' AND t.valid @> $1)"                           \
	" THEN 'suspended' ELSE m.status END AS status,"                           \
	" coalesce((SELECT jsonb_object_agg(w.slug, p.role ORDER BY w.slug)"       \
	" FROM usermgmt.membership_history AS p"                                   \
	" JOIN usermgmt.membership_history AS w ON w.tenant_id = p.tenant_id"      \
	" AND w.workspace_id = p.workspace_id AND w.user_id = " NIL_ID             \
	" AND w.status = 'active' AND w.valid @> $1"                               \
	" WHERE p.tenant_id = m.tenant_id AND p.user_id = m.user_id"               \
	" AND p.workspace_id <> " NIL_ID " AND p.status = 'active'"                \
	" AND p.valid @> $1), '{}') AS workspaces"                                 \
	" FROM usermgmt.membership_history AS m"                                   \
	" WHERE m.workspace_id = " NIL_ID " AND m.user_id <> " NIL_ID              \
	" AND m.status <> 'removed' AND m.valid @> $1" condition                   \
	" ORDER BY m.tenant_id, email, m.user_id"

SPI_QUERY(state_of_tenant, STATE_AT(" AND m.tenant_id = $2"), TIMESTAMPTZOID,
		  UUIDOID);
SPI_QUERY(state_of_all, STATE_AT(""), TIMESTAMPTZOID);

/* The periods of the person ($1, in the tenant $2 or all), and those in which
 * what the person belonged to was closed to everybody. */
SPI_QUERY(
	read_history,
	"WITH own AS (SELECT h.* FROM usermgmt.membership_history AS h"
	" WHERE h.user_id = $1 AND ($2 IS NULL OR h.tenant_id = $2)),"
	" closed AS (SELECT c.* FROM usermgmt.membership_history AS c"
	" WHERE c.user_id = " NIL_ID " AND c.status IN ('suspended', 'archived')"
	" AND c.tenant_id IN (SELECT o.tenant_id FROM own AS o)"
	" AND EXISTS (SELECT FROM own AS o WHERE o.tenant_id = c.tenant_id"
	" AND o.workspace_id = c.workspace_id AND o.status <> 'removed'"
	" AND o.valid && c.valid))"
	" SELECT h.tenant_id, (SELECT t.slug FROM usermgmt.tenant AS t"
	" WHERE t.tenant_id = h.tenant_id) AS tenant,"
	" CASE WHEN h.user_id = " NIL_ID " THEN"
	" CASE WHEN h.workspace_id = " NIL_ID " THEN 'tenant' ELSE 'archive' END"
	" WHEN h.workspace_id = " NIL_ID " THEN 'membership'"
	" ELSE 'workspace' END AS kind,"
	" nullif(h.workspace_id, " NIL_ID ") AS workspace_id,"
	" (SELECT w.slug FROM usermgmt.membership_history AS w"
	" WHERE w.tenant_id = h.tenant_id AND w.workspace_id = h.workspace_id"
	" AND h.workspace_id <> " NIL_ID " AND w.user_id = " NIL_ID
	" AND w.slug IS NOT NULL AND lower(w.valid) <= lower(h.valid)"
	" ORDER BY w.valid DESC LIMIT 1)"
	" AS workspace, h.role, h.status, lower(h.valid) AS valid_from,"
	" upper(h.valid) AS valid_until, h.changed_by,"
	" usermgmt.known_email(h.tenant_id, h.changed_by) AS changed_by_email,"
	" h.database_role,"
	" h.reason FROM (SELECT * FROM own UNION ALL SELECT * FROM closed) AS h"
	" ORDER BY h.tenant_id, lower(h.valid), h.user_id = " NIL_ID ","
	" h.workspace_id",
	UUIDOID, UUIDOID);

/* A "run" is the time since the person last had another role or none. */
SPI_QUERY(
	explain,
	"WITH known AS (SELECT DISTINCT h.tenant_id"
	" FROM usermgmt.membership_history AS h WHERE h.user_id = $1"
	" AND h.workspace_id = " NIL_ID " AND ($3 IS NULL OR h.tenant_id = $3)"
	" UNION SELECT m.tenant_id FROM usermgmt.membership AS m"
	" WHERE m.user_id = $1 AND ($3 IS NULL OR m.tenant_id = $3))"
	" SELECT k.tenant_id, t.slug AS tenant, $1 AS user_id,"
	" usermgmt.known_email(k.tenant_id, $1) AS email,"
	" $2 AS permission, b.blocked_by = '{}' AS allowed, m.role, r.role_allows,"
	" b.blocked_by, r.allowed_roles, CASE WHEN run.status = 'removed'"
	" THEN 'removed' WHEN before.role IS NOT NULL THEN"
	" CASE WHEN run.is_primary_owner THEN 'ownership transferred'"
	" ELSE 'role changed' END WHEN i.accepted_at IS NOT NULL"
	" THEN 'invitation accepted' WHEN founded.valid IS NOT NULL"
	" THEN 'tenant created' WHEN run.valid IS NOT NULL THEN 'added' END"
	" AS how, lower(run.valid) AS since, g.user_id AS granted_by,"
	" usermgmt.known_email(k.tenant_id, g.user_id) AS granted_by_email,"
	" run.database_role,"
	" coalesce(run.reason, i.message) AS reason FROM known AS k"
	" LEFT JOIN usermgmt.tenant AS t ON t.tenant_id = k.tenant_id"
	" JOIN usermgmt.account AS a ON a.user_id = $1"
	" LEFT JOIN usermgmt.membership AS m ON m.tenant_id = k.tenant_id"
	" AND m.user_id = $1"
	" CROSS JOIN LATERAL (SELECT coalesce(bool_or(p.role = m.role), false)"
	" AS role_allows, coalesce(array_agg(p.role ORDER BY o.rank DESC), '{}')"
	" AS allowed_roles FROM usermgmt.role_permission AS p"
	" JOIN usermgmt.role AS o ON o.role = p.role WHERE p.permission = $2) AS r"
	" CROSS JOIN LATERAL (SELECT array_remove(ARRAY["
	" CASE WHEN m.role IS NULL THEN 'not a member' END,"
	" CASE WHEN m.status = 'deactivated' THEN 'deactivated' END,"
	" CASE WHEN m.needs_verified AND a.verified_at IS NULL"
	" THEN 'address not verified' END,"
	" CASE WHEN t.suspended_at IS NOT NULL THEN 'tenant suspended' END,"
	" CASE WHEN m.role IS NOT NULL AND NOT r.role_allows"
	" THEN 'role' END], NULL) AS blocked_by) AS b"
	" LEFT JOIN LATERAL (SELECT h.* FROM usermgmt.membership_history AS h"
	" WHERE h.tenant_id = k.tenant_id AND h.user_id = $1"
	" AND h.workspace_id = " NIL_ID " AND h.role IS NOT DISTINCT FROM m.role"
	" AND lower(h.valid) >= ALL (SELECT upper(x.valid)"
	" FROM usermgmt.membership_history AS x WHERE x.tenant_id = k.tenant_id"
	" AND x.user_id = $1 AND x.workspace_id = " NIL_ID
	" AND x.role IS DISTINCT FROM m.role AND NOT upper_inf(x.valid))"
	" ORDER BY h.valid LIMIT 1) AS run ON true"
	" LEFT JOIN usermgmt.membership_history AS before"
	" ON before.tenant_id = k.tenant_id AND before.user_id = $1"
	" AND before.workspace_id = " NIL_ID " AND before.valid -|- run.valid"
	" AND before.valid << run.valid"
	" LEFT JOIN LATERAL (SELECT i.accepted_at, i.invited_by, i.message"
	" FROM usermgmt.invitation AS i WHERE i.accepted_by = $1"
	" AND i.tenant_id = k.tenant_id AND i.state = 'accepted'"
	" AND before.role IS NULL AND run.role IS NOT NULL"
	" AND i.accepted_at <= lower(run.valid)"
	" AND (before.valid IS NULL OR i.accepted_at >= lower(before.valid))"
	" ORDER BY i.accepted_at DESC LIMIT 1) AS i ON true"
	" LEFT JOIN usermgmt.membership_history AS founded"
	" ON founded.tenant_id = k.tenant_id AND founded.user_id = " NIL_ID
	" AND founded.workspace_id = " NIL_ID
	" AND lower(founded.valid) = lower(run.valid)"
	" AND founded.transaction_id = run.transaction_id"
	" LEFT JOIN usermgmt.account AS g ON g.user_id"
	" = CASE WHEN i.accepted_at IS NULL THEN run.changed_by"
	" ELSE i.invited_by END ORDER BY k.tenant_id",
	UUIDOID, TEXTOID, UUIDOID);
SPI_QUERY(list_permissions,
		  "SELECT string_agg(permission, ', ' ORDER BY position, permission)"
		  " AS names, coalesce(bool_or(permission = $1), false) AS found"
		  " FROM usermgmt.permission",
		  TEXTOID);

/*
 * Whether the database role (after SET ROLE) may read the trail of all
 * tenants.
 */
static bool
caller_is_auditor(void)
{
	Oid trail = get_relname_relid("audit_event_detail",
								  get_namespace_oid("usermgmt", false));

	return !InSecurityRestrictedOperation() &&
		   pg_class_aclcheck(trail, GetOuterUserId(), ACL_SELECT) ==
			   ACLCHECK_OK;
}

static void
refuse_unknown(const char *what, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
					errmsg("there is no such %s", what), errhint("%s", hint)));
}

/*
 * What the caller may look at: a tenant, or (false) all of them. The name is
 * the caller's wish, or NULL.
 */
static bool
find_scope(const char *name, pg_uuid_t *tenant_id)
{
	bool limited = false;

	if (actor_is_bound() || (!caller_is_operator() && !caller_is_auditor()))
	{
		*tenant_id = caller_require(ROLE_ADMIN).tenant_id;
		limited = true;
	}
	if (name != NULL)
	{
		pg_uuid_t named;

		if (!tenant_find(name, &named) ||
			(limited && !uuid_equal(&named, tenant_id)))
			refuse_unknown("tenant", "Give the slug or id of one that you may "
									 "look at, or NULL.");
		*tenant_id = named;
		return true;
	}
	return limited || caller_tenant(tenant_id);
}

/*
 * All rows of the last statement, which has the columns of the result.
 */
static void
return_rows(FunctionCallInfo fcinfo, uint64 count)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	for (uint64 i = 0; i < count; i++)
		tuplestore_puttuple(result->setResult, spi_row(i).tuple);
}

PG_FUNCTION_INFO_V1(access_at);
Datum
access_at(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 1);
	SpiArg at;
	pg_uuid_t tenant_id;
	uint64 count;

	if (PG_ARGISNULL(0))
		refuse_null("at");
	at = ARG_TIME(PG_GETARG_TIMESTAMPTZ(0));
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	if (find_scope(name, &tenant_id))
		count = spi_read(state_of_tenant, at, ARG_UUID(tenant_id));
	else
		count = spi_read(state_of_all, at);
	return_rows(fcinfo, count);
	SPI_finish();
	return (Datum) 0;
}

/*
 * What is known of a person, who is somebody of the tenant.
 */
static Datum
finish_person(FunctionCallInfo fcinfo, uint64 count)
{
	if (count == 0)
		refuse_unknown("person", "Give the id of somebody who belongs or "
								 "belonged to the tenant.");
	return_rows(fcinfo, count);
	SPI_finish();
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(access_history);
Datum
access_history(PG_FUNCTION_ARGS)
{
	pg_uuid_t tenant_id;
	bool limited;
	uint64 count;

	if (PG_ARGISNULL(0))
		refuse_null("user_id");
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	limited = find_scope(NULL, &tenant_id);
	count = uuid_equal(PG_GETARG_UUID_P(0), &uuid_nil)
				? 0
				: spi_read(read_history, ARG(UUIDOID, PG_GETARG_DATUM(0)),
						   ARG_OPT_UUID(limited ? &tenant_id : NULL));
	return finish_person(fcinfo, count);
}

static void
require_permission(const char *permission)
{
	spi_read(list_permissions, ARG_TEXT(permission));
	if (!row_bool(spi_row(0), "found"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no such permission"),
				 errhint("There are %s.", row_text(spi_row(0), "names"))));
}

PG_FUNCTION_INFO_V1(explain_access);
Datum
explain_access(PG_FUNCTION_ARGS)
{
	char *permission = argument_text(fcinfo, 1);
	pg_uuid_t tenant_id;
	bool limited;
	uint64 count;

	if (PG_ARGISNULL(0))
		refuse_null("user_id");
	if (permission == NULL)
		refuse_null("permission");
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	limited = find_scope(NULL, &tenant_id);
	require_permission(permission);
	count = uuid_equal(PG_GETARG_UUID_P(0), &uuid_nil)
				? 0
				: spi_read(explain, ARG(UUIDOID, PG_GETARG_DATUM(0)),
						   ARG_TEXT(permission),
						   ARG_OPT_UUID(limited ? &tenant_id : NULL));
	return finish_person(fcinfo, count);
}
