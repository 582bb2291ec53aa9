/*
 * wanted.c
 *	  What attach_table() is asked for, and whether the table can give it.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "attach/attach.h"
#include "core/address.h"
#include "core/compat.h"

#define PROVIDER_MAX 100

static char *
name_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(n)));
}

static bool
bool_argument(FunctionCallInfo fcinfo, int n, bool otherwise)
{
	return PG_ARGISNULL(n) ? otherwise : PG_GETARG_BOOL(n);
}

static List *
names_argument(FunctionCallInfo fcinfo, int n)
{
	List *names = NIL;
	Datum *values;
	bool *nulls;
	int count;

	if (PG_ARGISNULL(n))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), NAMEOID, NAMEDATALEN, false,
					  TYPALIGN_CHAR, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("redact holds a null")));
		names = lappend(names, pstrdup(NameStr(*DatumGetName(values[i]))));
	}
	return names;
}

static bool
transfer_argument(FunctionCallInfo fcinfo, int n)
{
	char *value = argument_text(fcinfo, n);

	if (value == NULL || strcmp(value, "transfer") == 0)
		return true;
	if (strcmp(value, "retain") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("on_removal is not one of transfer, retain")));
	return false;
}

static void
require_tenant_column(const Wanted *wanted, bool needed, const char *what)
{
	if (needed && wanted->tenant == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs a tenant_column", what),
				 errhint("Name the column that holds the tenant's id.")));
}

Wanted
wanted_arguments(FunctionCallInfo fcinfo)
{
	Wanted wanted = {.tenant = name_argument(fcinfo, 1),
					 .workspace = name_argument(fcinfo, 2),
					 .owner = name_argument(fcinfo, 3),
					 .audit = bool_argument(fcinfo, 4, true),
					 .activity = bool_argument(fcinfo, 5, true),
					 .isolate = bool_argument(fcinfo, 6, false),
					 .transfer = transfer_argument(fcinfo, 7),
					 .redact = names_argument(fcinfo, 8),
					 .provider = argument_text(fcinfo, 9)};

	if (PG_ARGISNULL(0))
		refuse_null("target");
	wanted.table = PG_GETARG_OID(0);
	if (wanted.provider != NULL)
		wanted.provider =
			plain_text_require(wanted.provider, "owner_provider", PROVIDER_MAX);
	if (wanted.provider != NULL && wanted.owner == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("owner_provider needs an owner_column")));
	wanted.transfer = wanted.transfer && wanted.owner != NULL;
	require_tenant_column(&wanted, wanted.isolate, "isolate");
	require_tenant_column(&wanted, wanted.transfer, "on_removal => 'transfer'");
	require_tenant_column(&wanted, wanted.workspace != NULL,
						  "workspace_column");
	return wanted;
}

static Form_pg_attribute
find_column(Relation relation, const char *name)
{
	AttrNumber number = get_attnum(RelationGetRelid(relation), name);

	if (number == InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of table \"%s\" does not exist",
							   name, RelationGetRelationName(relation))));
	if (number < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" is a system column", name)));
	return TupleDescAttr(RelationGetDescr(relation), number - 1);
}

static void
check_uuid(Relation relation, const char *name, const char *argument)
{
	if (name != NULL &&
		getBaseType(find_column(relation, name)->atttypid) != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s \"%s\" is not of type uuid", argument, name),
				 errhint("Ids of tenants and workspaces are of type uuid.")));
}

static void
check_owner(Relation relation, const Wanted *wanted)
{
	Form_pg_attribute column = find_column(relation, wanted->owner);
	Oid type = getBaseType(column->atttypid);

	if (type != UUIDOID && type != TEXTOID && type != VARCHAROID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("owner_column \"%s\" is neither uuid nor text",
						wanted->owner),
				 errhint("It holds a user_id as uuid or text, or as text the "
						 "id of an outside sign-in system.")));
	if (type == UUIDOID && wanted->provider != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("owner_provider needs an owner_column of type "
							   "text")));
	if (column->attgenerated != '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("owner_column \"%s\" is generated, so that its "
							   "rows can not be handed over",
							   wanted->owner)));
}

static void
check_redacted(Relation relation, const Wanted *wanted)
{
	List *key = attached_key(relation);
	ListCell *cell;

	foreach (cell, wanted->redact)
		if (wanted->audit &&
			list_member_int(key, find_column(relation, lfirst(cell))->attnum))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("column \"%s\" belongs to the primary key, "
								   "which every event shows",
								   (char *) lfirst(cell))));
}

static void
check_distinct(const Wanted *wanted)
{
	List *names = list_copy(wanted->redact);
	Bitmapset *seen = NULL;
	ListCell *cell;

	names = lappend(lappend(lappend(names, wanted->tenant), wanted->workspace),
					wanted->owner);
	foreach (cell, names)
	{
		AttrNumber number = lfirst(cell) == NULL
								? InvalidAttrNumber
								: get_attnum(wanted->table, lfirst(cell));

		if (number == InvalidAttrNumber)
			continue;
		if (bms_is_member(number, seen))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("column \"%s\" is named twice",
								   (char *) lfirst(cell))));
		seen = bms_add_member(seen, number);
	}
}

static void
refuse_kind(Relation relation, const char *why, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
					errmsg("\"%s\" %s", RelationGetRelationName(relation), why),
					hint != NULL ? errhint("%s", hint) : 0));
}

static void
check_kind(Relation relation)
{
	Oid table = RelationGetRelid(relation);
	char kind = relation->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		refuse_kind(relation, "is not an ordinary or partitioned table", NULL);
	if (IsCatalogRelation(relation) || IsToastRelation(relation))
		refuse_kind(relation, "is a system table", NULL);
	if (getExtensionOfObject(RelationRelationId, table) ==
		get_extension_oid("usermgmt", false))
		refuse_kind(relation, "is a table of this extension", NULL);
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		refuse_kind(relation, "is a temporary table", NULL);
}

/*
 * A parent in inheritance sees the rows of its children, whose own triggers and
 * policies would not be asked, and the other way round.
 */
static void
check_inheritance(Relation relation)
{
	Oid table = RelationGetRelid(relation);

	if (relation->rd_rel->relispartition)
		refuse_kind(relation, "is a partition",
					"Attach the partitioned table instead.");
	if ((relation->rd_rel->relkind == RELKIND_RELATION &&
		 find_inheritance_children(table, NoLock) != NIL) ||
		has_superclass(table))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("table \"%s\" takes part in table inheritance",
							   RelationGetRelationName(relation)),
						errhint("Only partitioned tables are followed to "
								"their parts.")));
}

void
wanted_check(const Wanted *wanted, Relation relation)
{
	check_inheritance(relation);
	check_uuid(relation, wanted->tenant, "tenant_column");
	check_uuid(relation, wanted->workspace, "workspace_column");
	if (wanted->owner != NULL)
		check_owner(relation, wanted);
	check_redacted(relation, wanted);
	check_distinct(wanted);
	if (wanted->audit && attached_key(relation) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no primary key, so that no event "
						"could say which row it is about",
						RelationGetRelationName(relation)),
				 errhint("Add one that is not deferrable, or attach the table "
						 "with audit => false.")));
}

static void
refuse_missing(void)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("there is no such table")));
}

Relation
target_open(Oid table, LOCKMODE mode)
{
	Relation relation;

	if (get_rel_relkind(table) == '\0')
		refuse_missing();
	if (!object_ownercheck(RelationRelationId, table, GetOuterUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(table)),
					   get_rel_name(table));
	relation = try_relation_open(table, mode);
	if (relation == NULL)
		refuse_missing();
	check_kind(relation);
	return relation;
}

List *
target_tree(Oid table, LOCKMODE mode)
{
	return get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE
			   ? find_all_inheritors(table, mode, NULL)
			   : list_make1_oid(table);
}
