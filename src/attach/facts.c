/*
 * facts.c
 *	  What the definition of a table says about its attachment, for the view.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "funcapi.h"
#include "rewrite/rowsecurity.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "attach/attach.h"

/* In the order of the SQL type attachment. */
enum Fact
{
	TENANT_COLUMN,
	WORKSPACE_COLUMN,
	OWNER_COLUMN,
	AUDIT,
	TRACK_ACTIVITY,
	ISOLATE,
	ON_REMOVAL,
	REDACT,
	OWNER_PROVIDER,
	PROBLEM,
	FACT_COUNT
};

/*
 * How many triggers of that function fire on ordinary changes.
 */
static int
firing(Relation relation, AttachedTrigger trigger)
{
	TriggerDesc *triggers = relation->trigdesc;
	Oid function = attached_function(trigger);
	int count = 0;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (triggers->triggers[i].tgfoid == function &&
			(triggers->triggers[i].tgenabled == 'O' ||
			 triggers->triggers[i].tgenabled == 'A'))
			count++;
	return count;
}

static bool
is_isolated(Relation relation)
{
	ListCell *cell;

	if (!relation->rd_rel->relrowsecurity ||
		!relation->rd_rel->relforcerowsecurity || relation->rd_rsdesc == NULL)
		return false;
	foreach (cell, relation->rd_rsdesc->policies)
		if (strcmp(((RowSecurityPolicy *) lfirst(cell))->policy_name,
				   "usermgmt_tenant") == 0)
			return true;
	return false;
}

/*
 * What PostgreSQL does not copy to a partition by itself.
 */
static char *
partition_problem(Relation relation, const Attached *attached)
{
	char *problem = NULL;
	ListCell *cell;

	foreach (cell, target_tree(RelationGetRelid(relation), AccessShareLock))
	{
		Relation part = relation_open(lfirst_oid(cell), NoLock);

		if (problem == NULL &&
			((attached->isolate && !is_isolated(part)) ||
			 (attached->audit && firing(part, TRIGGER_AUDIT) < 2)))
			problem = psprintf("partition \"%s\" was added later, and is open "
							   "to direct access or not audited when truncated",
							   RelationGetRelationName(part));
		relation_close(part, NoLock);
	}
	return problem;
}

/*
 * NULL, or what is wrong with the attachment.
 */
static char *
attached_problem(Relation relation)
{
	Attached attached;
	bool whole = relation->rd_rel->relkind == RELKIND_RELATION;

	if (!attached_read(relation, &attached))
		return pstrdup("the trigger that names the columns is gone");
	if (attached.transfer && (attached.owner == 0 || attached.tenant == 0))
		return pstrdup("a column is gone");
	if (attached.audit && firing(relation, TRIGGER_AUDIT) < (whole ? 4 : 2))
		return pstrdup("an audit trigger is gone or disabled");
	if (attached.activity && firing(relation, TRIGGER_ACTIVITY) < 1)
		return pstrdup("the activity trigger is gone or disabled");
	if (attached.transfer && firing(relation, TRIGGER_OWNER) < 2)
		return pstrdup("an owner trigger is gone or disabled");
	if (attached.audit && attached_key(relation) == NIL)
		return pstrdup("the primary key is gone");
	if (attached.isolate && !is_isolated(relation))
		return pstrdup("row security is off, not forced, or without its "
					   "policies");
	if (whole &&
		find_inheritance_children(RelationGetRelid(relation), NoLock) != NIL)
		return pstrdup("other tables inherit from it");
	return whole ? NULL : partition_problem(relation, &attached);
}

static Datum
column_name(Relation relation, AttrNumber column, bool *isnull)
{
	Name name = palloc0(NAMEDATALEN);

	*isnull = column == 0;
	if (!*isnull)
		namestrcpy(name,
				   NameStr(TupleDescAttr(RelationGetDescr(relation), column - 1)
							   ->attname));
	return NameGetDatum(name);
}

static Datum
redacted_names(Relation relation, const Attached *attached)
{
	Datum names[MaxHeapAttributeNumber];
	int count = 0;
	int column = -1;
	bool isnull;

	while ((column = bms_next_member(attached->redacted, column)) >= 0)
		names[count++] = column_name(relation, column, &isnull);
	return PointerGetDatum(construct_array(names, count, NAMEOID, NAMEDATALEN,
										   false, TYPALIGN_CHAR));
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text != NULL ? CStringGetTextDatum(text) : (Datum) 0;
}

PG_FUNCTION_INFO_V1(attachment);
Datum
attachment(PG_FUNCTION_ARGS)
{
	Relation relation = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	Datum values[FACT_COUNT] = {0};
	bool nulls[FACT_COUNT] = {false};
	Attached attached;
	TupleDesc desc;

	if (relation == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function does not return a row");
	(void) attached_read(relation, &attached);
	values[TENANT_COLUMN] =
		column_name(relation, attached.tenant, &nulls[TENANT_COLUMN]);
	values[WORKSPACE_COLUMN] =
		column_name(relation, attached.workspace, &nulls[WORKSPACE_COLUMN]);
	values[OWNER_COLUMN] =
		column_name(relation, attached.owner, &nulls[OWNER_COLUMN]);
	values[AUDIT] = BoolGetDatum(attached.audit);
	values[TRACK_ACTIVITY] = BoolGetDatum(attached.activity);
	values[ISOLATE] = BoolGetDatum(attached.isolate);
	values[ON_REMOVAL] = text_or_null(attached.owner == 0 ? NULL
									  : attached.transfer ? "transfer"
														  : "retain",
									  &nulls[ON_REMOVAL]);
	values[REDACT] = redacted_names(relation, &attached);
	values[OWNER_PROVIDER] =
		text_or_null(attached.provider, &nulls[OWNER_PROVIDER]);
	values[PROBLEM] = text_or_null(attached_problem(relation), &nulls[PROBLEM]);
	relation_close(relation, AccessShareLock);
	return HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
