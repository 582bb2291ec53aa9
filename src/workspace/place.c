/*
 * place.c
 *	  Who works in a workspace, and in which of its roles.
 */
#include "postgres.h"

#include "utils/jsonb.h"

#include "core/address.h"
#include "core/errors.h"
#include "core/public_id.h"
#include "core/uuid.h"
#include "member/member.h"
#include "workspace/change.h"

#define MAX_PLACES 1000

SPI_QUERY(find_workspace,
		  "SELECT workspace_id, archived_at IS NOT NULL AS archived"
		  " FROM usermgmt.workspace WHERE tenant_id = $1"
		  " AND (slug = $2 OR workspace_id = $3)"
		  " ORDER BY workspace_id = $3 DESC NULLS LAST LIMIT 1",
		  UUIDOID, TEXTOID, UUIDOID);
SPI_QUERY(find_by_id,
		  "SELECT archived_at IS NOT NULL AS archived FROM usermgmt.workspace"
		  " WHERE tenant_id = $1 AND workspace_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(find_place,
		  "SELECT role FROM usermgmt.workspace_member WHERE tenant_id = $1"
		  " AND workspace_id = $2 AND user_id = $3",
		  UUIDOID, UUIDOID, UUIDOID);
SPI_QUERY(lock_place,
		  "SELECT role FROM usermgmt.workspace_member WHERE tenant_id = $1"
		  " AND workspace_id = $2 AND user_id = $3 FOR SHARE",
		  UUIDOID, UUIDOID, UUIDOID);
SPI_QUERY(put_place,
		  "INSERT INTO usermgmt.workspace_member AS m (tenant_id,"
		  " workspace_id, user_id, role, added_at) VALUES ($1, $2, $3, $4, $5)"
		  " ON CONFLICT (tenant_id, workspace_id, user_id)"
		  " DO UPDATE SET role = excluded.role WHERE m.role <> excluded.role",
		  UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(drop_place,
		  "DELETE FROM usermgmt.workspace_member WHERE tenant_id = $1"
		  " AND workspace_id = $2 AND user_id = $3",
		  UUIDOID, UUIDOID, UUIDOID);
SPI_QUERY(take_places,
		  "INSERT INTO usermgmt.workspace_member (tenant_id, workspace_id,"
		  " user_id, role, added_at)"
		  " SELECT w.tenant_id, w.workspace_id, $2, p.role, $4"
		  " FROM usermgmt.invitation_workspace AS p"
		  " JOIN usermgmt.workspace AS w ON w.tenant_id = p.tenant_id"
		  " AND w.workspace_id = p.workspace_id WHERE p.invitation_id = $3"
		  " AND p.tenant_id = $1 AND w.archived_at IS NULL"
		  " FOR SHARE OF w ON CONFLICT DO NOTHING",
		  UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(show_place,
		  "SELECT * FROM usermgmt.workspace_member_detail WHERE tenant_id = $1"
		  " AND workspace_id = $2 AND user_id = $3",
		  UUIDOID, UUIDOID, UUIDOID);

static WorkspaceRole
role_of_row(uint64 found)
{
	return found == 0 ? WORKSPACE_NONE
					  : workspace_role_parse(row_text(spi_row(0), "role"));
}

WorkspaceRole
workspace_role_lock(const pg_uuid_t *tenant_id, const pg_uuid_t *workspace_id,
					const pg_uuid_t *user_id)
{
	return role_of_row(spi_run(lock_place, ARG_UUID(*tenant_id),
							   ARG_UUID(*workspace_id), ARG_UUID(*user_id)));
}

WorkspaceRole
workspace_role_lookup(const pg_uuid_t *tenant_id, const pg_uuid_t *workspace_id,
					  const pg_uuid_t *user_id)
{
	return role_of_row(spi_latest(find_place, ARG_UUID(*tenant_id),
								  ARG_UUID(*workspace_id), ARG_UUID(*user_id)));
}

bool
workspace_exists(const pg_uuid_t *tenant_id, const pg_uuid_t *workspace_id)
{
	return spi_latest(find_by_id, ARG_UUID(*tenant_id),
					  ARG_UUID(*workspace_id)) > 0;
}

/*
 * The acting user's role in an open workspace of the own tenant, whose owners,
 * admins and operators are admins of each.
 */
static WorkspaceRole
role_of_caller(const pg_uuid_t *workspace_id)
{
	const Actor *actor = actor_current();
	pg_uuid_t tenant_id;

	if (!caller_tenant(&tenant_id) ||
		!workspace_exists(&tenant_id, workspace_id) ||
		row_bool(spi_row(0), "archived"))
		return WORKSPACE_NONE;
	if (actor == NULL || actor->role >= ROLE_ADMIN)
		return WORKSPACE_ADMIN;
	return workspace_role_lookup(&tenant_id, workspace_id, &actor->user_id);
}

PG_FUNCTION_INFO_V1(has_workspace_role);
Datum
has_workspace_role(PG_FUNCTION_ARGS)
{
	WorkspaceRole least = workspace_role_require(argument_text(fcinfo, 1));
	WorkspaceRole role = WORKSPACE_NONE;

	if (!PG_ARGISNULL(0))
	{
		SPI_connect();
		role = role_of_caller(PG_GETARG_UUID_P(0));
		SPI_finish();
	}
	PG_RETURN_BOOL(role >= least);
}

/*
 * The workspace of this slug or id (also as ws_...), which must be open.
 */
static pg_uuid_t
require_workspace(const pg_uuid_t *tenant_id, const char *slug_or_id)
{
	pg_uuid_t id;
	bool is_id =
		uuid_parse(slug_or_id, &id) || public_id_parse(slug_or_id, "ws", &id);

	if (spi_latest(find_workspace, ARG_UUID(*tenant_id), ARG_TEXT(slug_or_id),
				   ARG_OPT_UUID(is_id ? &id : NULL)) == 0)
		refuse_workspace();
	if (row_bool(spi_row(0), "archived"))
		refuse_archived();
	return row_uuid(spi_row(0), "workspace_id");
}

static void
refuse_places(const char *problem)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("workspaces %s", problem),
					errhint("Give an object of roles by slug or id, such as "
							"{\"client-a\": \"viewer\"}, or an array of slugs "
							"or ids.")));
}

static List *
add_place(List *places, const pg_uuid_t *tenant_id, const char *slug_or_id,
		  const char *role)
{
	WorkspacePlace *place = palloc(sizeof(WorkspacePlace));
	ListCell *cell;

	place->role = workspace_role_require(role);
	place->workspace_id = require_workspace(tenant_id, slug_or_id);
	foreach (cell, places)
		if (uuid_equal(&((WorkspacePlace *) lfirst(cell))->workspace_id,
					   &place->workspace_id))
			refuse_places("names a workspace twice");
	return lappend(places, place);
}

static char *
json_text(const JsonbValue *value)
{
	if (value->type != jbvString)
		refuse_places("holds something that is not a text");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

List *
workspace_places_argument(FunctionCallInfo fcinfo, int n,
						  const pg_uuid_t *tenant_id)
{
	Jsonb *given = PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
	List *places = NIL;
	char *key = NULL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;

	if (given == NULL)
		return NIL;
	if (JB_ROOT_IS_SCALAR(given))
		refuse_places("is neither an object nor an array");
	if (JB_ROOT_COUNT(given) > MAX_PLACES)
		refuse_places(psprintf("names more than %d", MAX_PLACES));
	iterator = JsonbIteratorInit(&given->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = json_text(&value);
		else if (token == WJB_VALUE)
			places = add_place(places, tenant_id, key, json_text(&value));
		else if (token == WJB_ELEM)
			places = add_place(places, tenant_id, json_text(&value), "member");
	}
	return places;
}

void
workspace_join(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
			   const pg_uuid_t *invitation_id)
{
	spi_run(take_places, ARG_UUID(*tenant_id), ARG_UUID(*user_id),
			ARG_UUID(*invitation_id), ARG_TIME(GetCurrentTimestamp()));
}

PG_FUNCTION_INFO_V1(set_workspace_member);
Datum
set_workspace_member(PG_FUNCTION_ARGS)
{
	WorkspaceRole role = PG_ARGISNULL(2)
							 ? WORKSPACE_MEMBER
							 : workspace_role_require(argument_text(fcinfo, 2));
	WorkspaceChange change = workspace_begin_change(fcinfo, true);
	pg_uuid_t user_id;

	user_id = argument_uuid(fcinfo, 1, "user_id");
	if (change.archived)
		refuse_archived();
	membership_require_active(&change.caller.tenant_id, &user_id);
	spi_run(put_place, ARG_UUID(change.caller.tenant_id),
			ARG_UUID(change.workspace_id), ARG_UUID(user_id),
			ARG_TEXT(workspace_role_name(role)),
			ARG_TIME(GetCurrentTimestamp()));
	spi_run(show_place, ARG_UUID(change.caller.tenant_id),
			ARG_UUID(change.workspace_id), ARG_UUID(user_id));
	return spi_finish_with_row(fcinfo);
}

PG_FUNCTION_INFO_V1(remove_workspace_member);
Datum
remove_workspace_member(PG_FUNCTION_ARGS)
{
	WorkspaceChange change = workspace_begin_change(fcinfo, true);
	pg_uuid_t user_id;

	user_id = argument_uuid(fcinfo, 1, "user_id");
	/* Before the place: whoever removes the person takes them in this order. */
	membership_share(&change.caller.tenant_id, &user_id);
	if (spi_run(drop_place, ARG_UUID(change.caller.tenant_id),
				ARG_UUID(change.workspace_id), ARG_UUID(user_id)) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("the person does not work in this workspace"),
						errhint("usermgmt.workspace_members shows who does.")));
	SPI_finish();
	PG_RETURN_VOID();
}
