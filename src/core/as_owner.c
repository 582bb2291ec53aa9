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

AsOwner
as_owner_begin(Oid table)
{
	AsOwner before;
	Oid owner = owner_of(table);
	const char *schema =
		quote_identifier(get_namespace_name(get_rel_namespace(table)));

	GetUserIdAndSecContext(&before.user, &before.context);
	before.level = NewGUCNestLevel();
	(void) set_config_option(
		"search_path", psprintf("pg_catalog, %s, pg_temp", schema), PGC_USERSET,
		PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(
		owner, before.context | SECURITY_LOCAL_USERID_CHANGE |
				   SECURITY_NOFORCE_RLS |
				   (superuser_arg(owner) ? 0 : SECURITY_RESTRICTED_OPERATION));
	return before;
}

void
as_owner_end(const AsOwner *before)
{
	AtEOXact_GUC(false, before->level);
	SetUserIdAndSecContext(before->user, before->context);
}
