/*
 * access.c
 *	  The four kinds of access that a database role can be given.
 *
 * What each kind holds is data: rows of access_privilege, written beside each
 * object by its room. The grants are made through the statement's parse tree,
 * so no name is ever pasted into SQL text.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "audit/audit.h"
#include "core/actor.h"
#include "core/installation.h"
#include "core/spi_query.h"

SPI_QUERY(list_privileges,
		  "SELECT object_kind, object_name, hidden_columns"
		  " FROM usermgmt.access_privilege WHERE access = $1"
		  " OR (access = 'application' AND $1 = 'operator')"
		  " ORDER BY object_kind, object_name",
		  TEXTOID);

SPI_QUERY(
	list_held,
	"SELECT access FROM (VALUES ('operator',"
	" 'usermgmt.use_tenant(text)'), ('relay',"
	" 'usermgmt.outbox_claim(text,integer)'), ('application',"
	" 'usermgmt.use_session(text,text)'), ('auditor',"
	" 'usermgmt.events_since(uuid,integer)')) AS marker (access, function)"
	" WHERE pg_catalog.has_function_privilege($1::name, function, 'execute')"
	" AND access <> $2 AND NOT ($2 = 'operator'"
	" AND access IN ('application', 'auditor'))",
	TEXTOID, TEXTOID);

/* Who has got something on a new object, by default privileges of the database
 * or by those of the kind of object. */
SPI_QUERY(list_granted,
		  "SELECT DISTINCT o.kind, o.name, coalesce(r.rolname, 'public')"
		  " AS grantee FROM (SELECT 'relation' AS kind, c.relname AS name,"
		  " coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner)) AS acl,"
		  " c.relowner AS owner FROM pg_catalog.pg_class AS c"
		  " WHERE c.relkind IN ('r', 'v', 'S')"
		  " AND c.relnamespace = 'usermgmt'::pg_catalog.regnamespace"
		  " UNION ALL SELECT 'function', p.proname,"
		  " coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)),"
		  " p.proowner"
		  " FROM pg_catalog.pg_proc AS p"
		  " WHERE p.pronamespace = 'usermgmt'::pg_catalog.regnamespace"
		  " UNION ALL SELECT 'type', c.relname,"
		  " coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)),"
		  " t.typowner"
		  " FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_class AS c"
		  " ON c.oid = t.typrelid AND c.relkind = 'c'"
		  " WHERE t.typnamespace = 'usermgmt'::pg_catalog.regnamespace"
		  " UNION ALL SELECT 'schema', n.nspname,"
		  " coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)),"
		  " n.nspowner"
		  " FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'usermgmt')"
		  " AS o CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) AS a"
		  " LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee"
		  " WHERE a.grantee <> o.owner");

/*
 * Every column of the table but the hidden ones.
 */
static List *
visible_columns(char *table, ArrayType *hidden)
{
	Relation relation = table_open(
		get_relname_relid(table, get_namespace_oid("usermgmt", false)),
		AccessShareLock);
	TupleDesc desc = RelationGetDescr(relation);
	List *columns = NIL;
	Datum *names;
	int count;

	deconstruct_array(hidden, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
					  &count);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		bool visible = !column->attisdropped;

		for (int n = 0; n < count && visible; n++)
			visible = strcmp(TextDatumGetCString(names[n]),
							 NameStr(column->attname)) != 0;
		if (visible)
			columns =
				lappend(columns, makeString(pstrdup(NameStr(column->attname))));
	}
	table_close(relation, AccessShareLock);
	return columns;
}

static void
grant(bool is_grant, ObjectType kind, Node *object, char *privilege,
	  List *columns, char *role)
{
	GrantStmt *statement = makeNode(GrantStmt);
	AccessPriv *what = makeNode(AccessPriv);
	RoleSpec *grantee = makeNode(RoleSpec);

	what->priv_name = privilege;
	what->cols = columns;
	grantee->roletype =
		strcmp(role, "public") == 0 ? ROLESPEC_PUBLIC : ROLESPEC_CSTRING;
	grantee->rolename = role;
	grantee->location = -1;
	statement->is_grant = is_grant;
	statement->targtype = ACL_TARGET_OBJECT;
	statement->objtype = kind;
	statement->objects = list_make1(object);
	statement->privileges = privilege != NULL ? list_make1(what) : NIL;
	statement->grantees = list_make1(grantee);
	statement->behavior = DROP_RESTRICT;
	ExecuteGrantStmt(statement);
}

/*
 * The function of this name; there are no overloads.
 */
static Node *
function_node(char *name)
{
	ObjectWithArgs *function = makeNode(ObjectWithArgs);

	function->objname = list_make2(makeString("usermgmt"), makeString(name));
	function->args_unspecified = true;
	return (Node *) function;
}

static void
grant_object(bool is_grant, SpiRow row, char *role)
{
	char *kind = row_text(row, "object_kind");
	char *name = row_text(row, "object_name");
	bool no_columns;
	Datum hidden = row_datum(row, "hidden_columns", &no_columns);

	if (strcmp(kind, "function") == 0)
	{
		grant(is_grant, OBJECT_FUNCTION, function_node(name), "execute", NIL,
			  role);
		return;
	}
	grant(is_grant, OBJECT_TABLE, (Node *) makeRangeVar("usermgmt", name, -1),
		  "select",
		  no_columns ? NIL : visible_columns(name, DatumGetArrayTypeP(hidden)),
		  role);
}

/*
 * Grant or revoke all that the access gives.
 */
static void
grant_all(bool is_grant, char *access, char *role)
{
	uint64 count = spi_run(list_privileges, ARG_TEXT(access));
	SPITupleTable *rows = SPI_tuptable;

	if (count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("access is not one of application, operator, "
							   "relay, auditor")));
	grant(is_grant, OBJECT_SCHEMA, (Node *) makeString("usermgmt"), "usage",
		  NIL, role);
	for (uint64 i = 0; i < count; i++)
		grant_object(is_grant, (SpiRow){rows->vals[i], rows->tupdesc}, role);
}

/*
 * The accesses that the role has and keeps when this one is revoked: what it
 * shares with them is granted again. An operator has the functions of an
 * application and reads what an auditor reads, so these end with operator.
 */
static List *
kept_accesses(const char *revoked, const char *role)
{
	uint64 count = spi_run(list_held, ARG_TEXT(role), ARG_TEXT(revoked));
	List *kept = NIL;

	for (uint64 i = 0; i < count; i++)
		kept = lappend(kept, row_text(spi_row(i), "access"));
	return kept;
}

static void
change_access(FunctionCallInfo fcinfo, bool is_grant)
{
	char *role;
	char *access;
	List *kept = NIL;
	ListCell *cell;

	if (PG_ARGISNULL(0))
		refuse_null("database_role");
	if (PG_ARGISNULL(1))
		refuse_null("access");
	role = pstrdup(NameStr(*PG_GETARG_NAME(0)));
	access = text_to_cstring(PG_GETARG_TEXT_PP(1));
	get_role_oid(role, false);
	SPI_connect();
	begin_writing(fcinfo);
	if (!is_grant)
		kept = kept_accesses(access, role);
	grant_all(is_grant, access, role);
	foreach (cell, kept)
		grant_all(true, lfirst(cell), role);
	audit_write(
		&(AuditEvent){.action = is_grant ? "access.granted" : "access.revoked",
					  .object_type = "database_role",
					  .object_id = role,
					  .reason = access});
	SPI_finish();
}

PG_FUNCTION_INFO_V1(grant_access);
Datum
grant_access(PG_FUNCTION_ARGS)
{
	change_access(fcinfo, true);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(revoke_access);
Datum
revoke_access(PG_FUNCTION_ARGS)
{
	change_access(fcinfo, false);
	PG_RETURN_VOID();
}

static void
revoke_granted(SpiRow row)
{
	char *kind = row_text(row, "kind");
	char *name = NameStr(*DatumGetName(row_value(row, "name")));
	char *role = NameStr(*DatumGetName(row_value(row, "grantee")));

	if (strcmp(kind, "function") == 0)
		grant(false, OBJECT_FUNCTION, function_node(name), NULL, NIL, role);
	else if (strcmp(kind, "schema") == 0)
		grant(false, OBJECT_SCHEMA, (Node *) makeString(name), NULL, NIL, role);
	else if (strcmp(kind, "type") == 0)
		grant(false, OBJECT_TYPE,
			  (Node *) list_make2(makeString("usermgmt"), makeString(name)),
			  NULL, NIL, role);
	else
		grant(false, OBJECT_TABLE, (Node *) makeRangeVar("usermgmt", name, -1),
			  NULL, NIL, role);
}

/*
 * Take from everybody but the owner what PostgreSQL and the default privileges
 * of the database gave; the install script calls it, and drops it.
 */
PG_FUNCTION_INFO_V1(revoke_everything);
Datum
revoke_everything(PG_FUNCTION_ARGS)
{
	uint64 count;
	SPITupleTable *rows;

	SPI_connect();
	count = spi_run(list_granted);
	rows = SPI_tuptable;
	for (uint64 i = 0; i < count; i++)
		revoke_granted((SpiRow){rows->vals[i], rows->tupdesc});
	SPI_finish();
	PG_RETURN_VOID();
}
