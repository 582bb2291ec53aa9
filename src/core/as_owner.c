/*
 * as_owner.c
 *	  Run what belongs to a table with the rights of the table's owner.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "core/as_owner.h"

static Oid
owner_of(Oid table)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static AsOwner
begin_as(Oid user, int flags, Oid table)
{
	AsOwner before;
	const char *schema =
		quote_identifier(get_namespace_name(get_rel_namespace(table)));

	GetUserIdAndSecContext(&before.user, &before.context);
	before.level = NewGUCNestLevel();
	(void) set_config_option(
		"search_path", psprintf("pg_catalog, %s, pg_temp", schema), PGC_USERSET,
		PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(user, before.context | flags |
									 SECURITY_LOCAL_USERID_CHANGE);
	return before;
}

AsOwner
as_owner_begin(Oid table)
{
	int flags = as_owner_may_defer(table) ? 0 : SECURITY_RESTRICTED_OPERATION;

	return begin_as(owner_of(table), flags | SECURITY_NOFORCE_RLS, table);
}

bool
as_owner_may_defer(Oid table)
{
	return superuser_arg(owner_of(table));
}

AsOwner
as_caller_begin(Oid table)
{
	return begin_as(GetOuterUserId(), 0, table);
}

void
as_owner_end(const AsOwner *before)
{
	AtEOXact_GUC(false, before->level);
	SetUserIdAndSecContext(before->user, before->context);
}
