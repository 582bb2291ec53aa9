/*
 * isolation.c
 *	  Row-security policies that show each tenant its own rows.
 *
 * Restrictive ones: whatever policies the application has of its own, they let
 * nobody out of the tenant. The helpers stand in sub-selects, which run once a
 * query in the leader, so that indexes and parallel plans are as good as with a
 * constant. Partitions get the same, because a query of a partition asks only
 * that partition's policies.
 */
#include "postgres.h"

#include "access/relation.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "attach/attach.h"
#include "core/actor.h"
#include "core/address.h"
#include "workspace/workspace.h"

/* Workspaces that are open, of a role that is at least the given one. */
SPI_QUERY(all_open,
		  "SELECT coalesce(array_agg(workspace_id), '{}') AS workspaces"
		  " FROM usermgmt.workspace WHERE tenant_id = $1"
		  " AND archived_at IS NULL",
		  UUIDOID);
SPI_QUERY(own_open,
		  "SELECT coalesce(array_agg(m.workspace_id), '{}') AS workspaces"
		  " FROM usermgmt.workspace_member AS m"
		  " JOIN usermgmt.workspace AS w ON w.tenant_id = m.tenant_id"
		  " AND w.workspace_id = m.workspace_id AND w.archived_at IS NULL"
		  " WHERE m.tenant_id = $1 AND m.user_id = $2"
		  " AND array_position('{viewer,member,admin}'::text[], m.role) >= $3",
		  UUIDOID, UUIDOID, INT4OID);

/* The relation cache has no policies while row security is off. */
SPI_QUERY(find_permissive,
		  "SELECT FROM pg_catalog.pg_policy WHERE polrelid = $1"
		  " AND polpermissive LIMIT 1",
		  OIDOID);
SPI_QUERY(list_ours,
		  "SELECT polname::text AS name FROM pg_catalog.pg_policy"
		  " WHERE polrelid = $1 AND polname IN ('usermgmt_tenant',"
		  " 'usermgmt_access', 'usermgmt_read', 'usermgmt_insert',"
		  " 'usermgmt_update', 'usermgmt_delete')",
		  OIDOID);

static void
drop_policies(Oid table)
{
	uint64 count = spi_run(list_ours, ARG(OIDOID, ObjectIdGetDatum(table)));
	SPITupleTable *found = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
		run_ddl(
			psprintf("DROP POLICY %s ON %s",
					 row_text((SpiRow){found->vals[i], found->tupdesc}, "name"),
					 target_name(table)));
}

/*
 * Rows of no workspace belong to everybody in the tenant.
 */
static char *
in_workspace(const char *column, const char *role)
{
	return psprintf("(%s IS NULL OR %s = ANY ((SELECT"
					" usermgmt.workspaces_as(%s))::uuid[]))",
					column, column, quote_literal_cstr(role));
}

static void
isolate_workspaces(const char *target, const char *column)
{
	const char *reads = in_workspace(column, "viewer");
	const char *writes = in_workspace(column, "member");

	run_ddl(psprintf("CREATE POLICY usermgmt_read ON %s AS RESTRICTIVE"
					 " FOR SELECT USING %s",
					 target, reads));
	run_ddl(psprintf("CREATE POLICY usermgmt_insert ON %s AS RESTRICTIVE"
					 " FOR INSERT WITH CHECK %s",
					 target, writes));
	run_ddl(psprintf("CREATE POLICY usermgmt_update ON %s AS RESTRICTIVE"
					 " FOR UPDATE USING %s WITH CHECK %s",
					 target, writes, writes));
	run_ddl(psprintf("CREATE POLICY usermgmt_delete ON %s AS RESTRICTIVE"
					 " FOR DELETE USING %s",
					 target, writes));
}

/*
 * The same condition permits and restricts, and is evaluated once. It could
 * permit everything, but then it would do so too when a column or the extension
 * is dropped with CASCADE, and the restrictive policy with them.
 */
static void
isolate_tenants(const char *target, const char *column, bool open)
{
	static const char *const statements[] = {
		"CREATE POLICY usermgmt_tenant ON %s AS RESTRICTIVE"
		" USING (%s = (SELECT usermgmt.current_tenant_id()))",
		"CREATE POLICY usermgmt_access ON %s"
		" USING (%s = (SELECT usermgmt.current_tenant_id()))"};

	for (int i = 0; i < (open ? 1 : 2); i++)
		run_ddl(psprintf(statements[i], target, column));
}

static void
set_row_security(const char *target, bool enabled, bool forced)
{
	run_ddl(psprintf("ALTER TABLE %s %s ROW LEVEL SECURITY, %s ROW LEVEL"
					 " SECURITY",
					 target, enabled ? "ENABLE" : "DISABLE",
					 forced ? "FORCE" : "NO FORCE"));
}

/*
 * A trigger that never fires keeps what was on before. The owner of the table
 * is often the application: row security is forced.
 */
void
isolate_table(Oid table, const Wanted *wanted)
{
	const char *target = target_name(table);
	Relation relation = relation_open(table, NoLock);
	bool enabled = relation->rd_rel->relrowsecurity;
	bool forced = relation->rd_rel->relforcerowsecurity;
	bool open =
		spi_run(find_permissive, ARG(OIDOID, ObjectIdGetDatum(table))) > 0;

	relation_close(relation, NoLock);
	run_ddl(psprintf("CREATE TRIGGER usermgmt_row_security AFTER INSERT ON %s"
					 " FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION"
					 " usermgmt.attached_row_security('%s', '%s')",
					 target, enabled ? "enabled" : "disabled",
					 forced ? "forced" : "not forced"));
	isolate_tenants(target, quote_identifier(wanted->tenant), open);
	if (wanted->workspace != NULL)
		isolate_workspaces(target, quote_identifier(wanted->workspace));
	set_row_security(target, true, true);
}

void
unisolate_table(Oid table)
{
	const char *target = target_name(table);
	Relation relation = relation_open(table, NoLock);
	const Trigger *before = attached_trigger(relation, TRIGGER_ROW_SECURITY);
	bool enabled;
	bool forced;

	if (before == NULL || before->tgnargs != 2)
	{
		relation_close(relation, NoLock);
		return;
	}
	enabled = strcmp(before->tgargs[0], "enabled") == 0;
	forced = strcmp(before->tgargs[1], "forced") == 0;
	relation_close(relation, NoLock);
	drop_policies(table);
	set_row_security(target, enabled, forced);
}

/*
 * One array a query, for policies: what has_workspace_role() would say of each.
 */
PG_FUNCTION_INFO_V1(workspaces_as);
Datum
workspaces_as(PG_FUNCTION_ARGS)
{
	WorkspaceRole least = workspace_role_require(argument_text(fcinfo, 0));
	const Actor *actor = actor_current();
	pg_uuid_t tenant_id;
	Datum found;

	if (!caller_tenant(&tenant_id))
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(UUIDOID));
	SPI_connect();
	if (actor == NULL || actor->role >= ROLE_ADMIN)
		spi_latest(all_open, ARG_UUID(tenant_id));
	else
		spi_latest(own_open, ARG_UUID(tenant_id), ARG_UUID(actor->user_id),
				   ARG_INT(least));
	found = SPI_datumTransfer(row_value(spi_row(0), "workspaces"), false, -1);
	SPI_finish();
	PG_RETURN_DATUM(found);
}
