/*
 * attached.c
 *	  Reads from a table's definition what its columns mean to us.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "audit/attached.h"
#include "core/compat.h"

static const char *const function_names[TRIGGER_COUNT] = {
	[TRIGGER_COLUMNS] = "attached_columns",
	[TRIGGER_ROW_SECURITY] = "attached_row_security",
	[TRIGGER_AUDIT] = "audit_change",
	[TRIGGER_ACTIVITY] = "attached_activity",
	[TRIGGER_OWNER] = "attached_owner",
};

Oid
attached_function(AttachedTrigger trigger)
{
	return GetSysCacheOid3(
		PROCNAMEARGSNSP, Anum_pg_proc_oid,
		CStringGetDatum(function_names[trigger]),
		PointerGetDatum(buildoidvector(NULL, 0)),
		ObjectIdGetDatum(get_namespace_oid("usermgmt", false)));
}

const Trigger *
attached_trigger(Relation relation, AttachedTrigger trigger)
{
	TriggerDesc *triggers = relation->trigdesc;
	Oid function = attached_function(trigger);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (triggers->triggers[i].tgfoid == function)
			return &triggers->triggers[i];
	return NULL;
}

/*
 * The table on which a trigger was made, of which this one is a copy.
 */
static Oid
made_on(Oid trigger)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	Oid table = InvalidOid;

	while (OidIsValid(trigger))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple tuple;

		ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(trigger));
		scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1,
								  &key);
		tuple = systable_getnext(scan);
		trigger = InvalidOid;
		if (HeapTupleIsValid(tuple))
		{
			table = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
			trigger = ((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid;
		}
		systable_endscan(scan);
	}
	table_close(triggers, AccessShareLock);
	return table;
}

static void
take_column(Attached *attached, const char *meaning, AttrNumber column)
{
	if (strcmp(meaning, "tenant") == 0)
		attached->tenant = column;
	else if (strcmp(meaning, "workspace") == 0)
		attached->workspace = column;
	else if (strcmp(meaning, "owner") == 0)
		attached->owner = column;
	else
		attached->redacted = bms_add_member(attached->redacted, column);
}

static void
take_option(Attached *attached, char *option)
{
	static const char provider[] = "provider:";

	if (strcmp(option, "audit") == 0)
		attached->audit = true;
	else if (strcmp(option, "activity") == 0)
		attached->activity = true;
	else if (strcmp(option, "isolate") == 0)
		attached->isolate = true;
	else if (strcmp(option, "transfer") == 0)
		attached->transfer = true;
	else if (strncmp(option, provider, strlen(provider)) == 0)
		attached->provider = pstrdup(option + strlen(provider));
}

bool
attached_read(Relation relation, Attached *attached)
{
	const Trigger *said = attached_trigger(relation, TRIGGER_COLUMNS);

	memset(attached, 0, sizeof(*attached));
	if (said == NULL || said->tgnargs < said->tgnattr)
		return false;
	attached->table =
		said->tgisclone ? made_on(said->tgoid) : RelationGetRelid(relation);
	for (int i = 0; i < said->tgnattr; i++)
		take_column(attached, said->tgargs[i], said->tgattr[i]);
	for (int i = said->tgnattr; i < said->tgnargs; i++)
		take_option(attached, said->tgargs[i]);
	return true;
}

char *
attached_name(Oid table)
{
	return psprintf("%s.%s", get_namespace_name(get_rel_namespace(table)),
					get_rel_name(table));
}

List *
attached_key(Relation relation)
{
	Oid index = RelationGetPrimaryKeyIndex(relation, false);
	List *columns = NIL;
	HeapTuple tuple;
	Form_pg_index key;

	if (!OidIsValid(index))
		return NIL;
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	key = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < key->indnkeyatts; i++)
		columns = lappend_int(columns, key->indkey.values[i]);
	ReleaseSysCache(tuple);
	return columns;
}

void
refuse_incomplete(Relation relation)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("table \"%s\" is no longer attached completely",
						   RelationGetRelationName(relation)),
					errdetail("The trigger that names its columns is gone, for "
							  "example with a dropped column."),
					errhint("Call usermgmt.attach_table() again, or "
							"usermgmt.detach_table().")));
}
