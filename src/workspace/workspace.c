/*
 * workspace.c
 *	  The workspaces of a tenant: made, changed, archived and restored.
 */
#include "postgres.h"

#include "audit/audit.h"
#include "core/address.h"
#include "core/attempt.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "member/member.h"
#include "tenant/tenant.h"
#include "workspace/change.h"

SPI_QUERY(insert_workspace,
		  "INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name,"
		  " settings, created_at) VALUES ($1, $2, $3, $4,"
		  " coalesce($5, '{}'), $6) ON CONFLICT (tenant_id, slug) DO NOTHING",
		  UUIDOID, UUIDOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID);
SPI_QUERY(update_details,
		  "UPDATE usermgmt.workspace SET name = coalesce($3, name),"
		  " slug = coalesce($4, slug), settings = coalesce($5, settings)"
		  " WHERE tenant_id = $1 AND workspace_id = $2",
		  UUIDOID, UUIDOID, TEXTOID, TEXTOID, JSONBOID);
SPI_QUERY(set_archived,
		  "UPDATE usermgmt.workspace SET archived_at = $3"
		  " WHERE tenant_id = $1 AND workspace_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(lock_workspace,
		  "SELECT archived_at IS NOT NULL AS archived FROM usermgmt.workspace"
		  " WHERE tenant_id = $1 AND workspace_id = $2 FOR NO KEY UPDATE",
		  UUIDOID, UUIDOID);
SPI_QUERY(show_workspace,
		  "SELECT * FROM usermgmt.workspace_detail"
		  " WHERE tenant_id = $1 AND workspace_id = $2",
		  UUIDOID, UUIDOID);

static const char *const role_names[] = {
	[WORKSPACE_NONE] = "none",
	[WORKSPACE_VIEWER] = "viewer",
	[WORKSPACE_MEMBER] = "member",
	[WORKSPACE_ADMIN] = "admin",
};

WorkspaceRole
workspace_role_parse(const char *name)
{
	for (WorkspaceRole role = WORKSPACE_VIEWER; role <= WORKSPACE_ADMIN; role++)
		if (strcmp(name, role_names[role]) == 0)
			return role;
	return WORKSPACE_NONE;
}

WorkspaceRole
workspace_role_require(const char *name)
{
	WorkspaceRole role;

	if (name == NULL)
		refuse_null("role");
	role = workspace_role_parse(name);
	if (role == WORKSPACE_NONE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the workspace role is not one of admin, "
							   "member, viewer")));
	return role;
}

const char *
workspace_role_name(WorkspaceRole role)
{
	return role_names[role];
}

void
refuse_workspace(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
					errmsg("there is no such workspace in this tenant"),
					errhint("usermgmt.workspaces shows which there are.")));
}

void
refuse_archived(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
					errmsg("the workspace is archived"),
					errhint("Open it again with "
							"usermgmt.restore_workspace().")));
}

/*
 * Whoever does not work there learns nothing of it.
 */
static void
require_its_admin(const WorkspaceChange *change)
{
	WorkspaceRole role =
		workspace_role_lock(&change->caller.tenant_id, &change->workspace_id,
							&change->caller.actor->user_id);

	if (role == WORKSPACE_NONE)
		refuse_workspace();
	if (role < WORKSPACE_ADMIN)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied: only admins of the tenant or of "
						"the workspace change it"),
				 errhint("Ask one of them.")));
}

WorkspaceChange
workspace_begin_change(FunctionCallInfo fcinfo, bool by_its_admin)
{
	WorkspaceChange change = {
		.caller = caller_require(by_its_admin ? ROLE_MEMBER : ROLE_ADMIN)};

	change.workspace_id = argument_uuid(fcinfo, 0, "workspace_id");
	SPI_connect();
	begin_writing(fcinfo);
	(void) tenant_lock_shared(&change.caller.tenant_id);
	caller_lock(&change.caller, by_its_admin ? ROLE_MEMBER : ROLE_ADMIN);
	if (spi_run(lock_workspace, ARG_UUID(change.caller.tenant_id),
				ARG_UUID(change.workspace_id)) == 0)
		refuse_workspace();
	change.archived = row_bool(spi_row(0), "archived");
	if (change.caller.role < ROLE_ADMIN)
		require_its_admin(&change);
	return change;
}

static Datum
show(FunctionCallInfo fcinfo, const pg_uuid_t *tenant_id,
	 const pg_uuid_t *workspace_id)
{
	spi_run(show_workspace, ARG_UUID(*tenant_id), ARG_UUID(*workspace_id));
	return spi_finish_with_row(fcinfo);
}

PG_FUNCTION_INFO_V1(create_workspace);
Datum
create_workspace(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t workspace_id = uuid_make(now);
	Caller caller = caller_require(ROLE_ADMIN);
	char *slug = slug_require(argument_text(fcinfo, 0), "slug");
	char *name = plain_text_require(argument_text(fcinfo, 1), "name", 200);
	Jsonb *settings = object_argument(fcinfo, 2, "settings");

	SPI_connect();
	begin_writing(fcinfo);
	caller_lock(&caller, ROLE_ADMIN);
	if (spi_run(insert_workspace, ARG_UUID(caller.tenant_id),
				ARG_UUID(workspace_id), ARG_TEXT(slug), ARG_TEXT(name),
				ARG_JSONB(settings), ARG_TIME(now)) == 0)
		refuse_slug();
	return show(fcinfo, &caller.tenant_id, &workspace_id);
}

/* What is to be written of a workspace; NULL leaves it as it is. */
typedef struct Details
{
	const WorkspaceChange *change;
	char *name;
	char *slug;
	Jsonb *settings;
} Details;

static void
write_details(void *arg)
{
	Details *details = arg;

	spi_run(update_details, ARG_UUID(details->change->caller.tenant_id),
			ARG_UUID(details->change->workspace_id), ARG_TEXT(details->name),
			ARG_TEXT(details->slug), ARG_JSONB(details->settings));
}

PG_FUNCTION_INFO_V1(update_workspace);
Datum
update_workspace(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 1);
	char *slug = argument_text(fcinfo, 2);
	Jsonb *settings = object_argument(fcinfo, 3, "settings");
	WorkspaceChange change;

	if (name != NULL)
		name = plain_text_require(name, "name", 200);
	if (slug != NULL)
		slug = slug_require(slug, "slug");
	change = workspace_begin_change(fcinfo, true);
	if (change.archived)
		refuse_archived();
	if (!attempt_unless_taken(write_details,
							  &(Details){&change, name, slug, settings}))
		refuse_slug();
	return show(fcinfo, &change.caller.tenant_id, &change.workspace_id);
}

static Datum
change_archive(FunctionCallInfo fcinfo, bool archive)
{
	WorkspaceChange change = workspace_begin_change(fcinfo, false);

	if (change.archived == archive)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg(archive ? "the workspace is archived already"
									   : "the workspace is not archived")));
	spi_run(set_archived, ARG_UUID(change.caller.tenant_id),
			ARG_UUID(change.workspace_id),
			archive ? ARG_TIME(GetCurrentTimestamp())
					: ARG_NULL(TIMESTAMPTZOID));
	return show(fcinfo, &change.caller.tenant_id, &change.workspace_id);
}

PG_FUNCTION_INFO_V1(archive_workspace);
Datum
archive_workspace(PG_FUNCTION_ARGS)
{
	return change_archive(fcinfo, true);
}

PG_FUNCTION_INFO_V1(restore_workspace);
Datum
restore_workspace(PG_FUNCTION_ARGS)
{
	return change_archive(fcinfo, false);
}

static const char *
workspace_action(const AuditChange *change)
{
	if (change->before == NULL || change->after == NULL ||
		!audit_differs(change, "archived_at"))
		return NULL;
	return row_is_null(*change->after, "archived_at") ? "workspace.restored"
													  : "workspace.archived";
}

static const char *
member_action(const AuditChange *change)
{
	if (change->before == NULL)
		return "workspace.member_added";
	if (change->after == NULL)
		return "workspace.member_removed";
	return audit_differs(change, "role") ? "workspace.member_role_changed"
										 : NULL;
}

void
workspace_init(void)
{
	audit_register("workspace", workspace_action);
	audit_register("workspace_member", member_action);
}
