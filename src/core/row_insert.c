/*
 * row_insert.c
 *	  Insert a row without setting up a statement for it each time.
 *
 * Whenever an INSERT runs, PostgreSQL builds the nodes of its plan and what the
 * constraints and indexes need, which takes longer than the row. Here that is
 * kept until the table changes. Constraints, BEFORE triggers and indexes have
 * their say as ever; a table on which somebody put other triggers, columns with
 * defaults, or policies that bind its owner too, gets the statement.
 *
 * The plan of that statement also tells whether the table has changed:
 * PostgreSQL marks it invalid, and the statement, run once, makes it valid.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "core/compat.h"
#include "core/kept_check.h"
#include "core/row_insert.h"

typedef struct Prepared
{
	EState *estate;
	ResultRelInfo *target;
	AttrNumber *places; /* of the arguments */
	Oid *indexes;
	int changes; /* of the table, seen before */
} Prepared;

/*
 * Whether an insertion is no more than constraints, BEFORE triggers, the row
 * and its indexes.
 */
static bool
is_plain(Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;
	TupleConstr *constraints = RelationGetDescr(relation)->constr;

	return relation->rd_rel->relkind == RELKIND_RELATION &&
		   !relation->rd_rel->relispartition &&
		   !relation->rd_rel->relforcerowsecurity &&
		   (constraints == NULL || !constraints->has_generated_stored) &&
		   kept_check_lasts(relation) &&
		   (triggers == NULL || (!triggers->trig_insert_after_row &&
								 !triggers->trig_insert_before_statement &&
								 !triggers->trig_insert_after_statement));
}

/*
 * Find the columns, of which the types are those of the arguments.
 */
static AttrNumber *
find_places(const RowInsert *insert, TupleDesc desc)
{
	AttrNumber *places = palloc(insert->statement.nargs * sizeof(AttrNumber));
	List *names;
	ListCell *cell;
	int n = 0;

	if (!SplitIdentifierString(pstrdup(insert->columns), ',', &names) ||
		list_length(names) != insert->statement.nargs)
		elog(ERROR, "cannot insert into \"%s\"", insert->table);
	foreach (cell, names)
	{
		int place = SPI_fnumber(desc, lfirst(cell));

		if (place <= 0 || TupleDescAttr(desc, place - 1)->atttypid !=
							  insert->statement.types[n])
			elog(ERROR, "\"%s\" has no such column \"%s\"", insert->table,
				 (char *) lfirst(cell));
		places[n++] = place;
	}
	return places;
}

/*
 * Whether the columns that are not named become NULL: none has a default, or a
 * type that may have one, as a domain.
 */
static bool
rest_is_null(const RowInsert *insert, TupleDesc desc)
{
	AttrNumber *places = find_places(insert, desc);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		bool has_say = column->atthasdef || column->attidentity != '\0' ||
					   column->atttypid >= FirstUnpinnedObjectId;

		for (int n = 0; n < insert->statement.nargs; n++)
			has_say = has_say && places[n] != i + 1;
		if (has_say && !column->attisdropped)
			return false;
	}
	return true;
}

/*
 * Set everything up, the indexes opened. It belongs to the present memory.
 */
static Prepared *
prepare(const RowInsert *insert, Relation relation)
{
	EState *estate = CreateExecutorState();
	MemoryContext outer = MemoryContextSwitchTo(estate->es_query_cxt);
	Prepared *prepared = palloc(sizeof(Prepared));
	ResultRelInfo *target = makeNode(ResultRelInfo);

	InitResultRelInfo(target, relation, 0, NULL, 0);
	ExecOpenIndices(target, false);
	prepared->changes = insert->changes;
	prepared->estate = estate;
	prepared->target = target;
	prepared->places = find_places(insert, RelationGetDescr(relation));
	prepared->indexes = palloc((target->ri_NumIndices + 1) * sizeof(Oid));
	for (int i = 0; i < target->ri_NumIndices; i++)
		prepared->indexes[i] =
			RelationGetRelid(target->ri_IndexRelationDescs[i]);
	MemoryContextSwitchTo(outer);
	return prepared;
}

/*
 * Take what was kept: until it is put back it belongs to the present memory,
 * so that an error, or an insertion within this one, finds nothing.
 */
static Prepared *
take(RowInsert *insert, Relation relation)
{
	Prepared *prepared = insert->prepared;
	ResultRelInfo *target;

	if (prepared == NULL)
		return prepare(insert, relation);
	insert->prepared = NULL;
	MemoryContextSetParent(prepared->estate->es_query_cxt,
						   CurrentMemoryContext);
	target = prepared->target;
	target->ri_RelationDesc = relation;
	for (int i = 0; i < target->ri_NumIndices; i++)
	{
		IndexInfo *info = target->ri_IndexRelationInfo[i];

		target->ri_IndexRelationDescs[i] =
			index_open(prepared->indexes[i], RowExclusiveLock);
		info->ii_AmCache = NULL; /* GIN and BRIN keep what they opened */
		info->ii_Context = CurrentMemoryContext;
	}
	ResetPerTupleExprContext(prepared->estate);
	return prepared;
}

/*
 * Keep it, unless a trigger has inserted meanwhile and found the table changed.
 */
static void
put_back(RowInsert *insert, Prepared *prepared)
{
	ExecCloseIndices(prepared->target);
	if (insert->prepared != NULL || prepared->changes != insert->changes)
	{
		FreeExecutorState(prepared->estate);
		return;
	}
	insert->prepared = prepared;
	MemoryContextSetParent(prepared->estate->es_query_cxt, TopMemoryContext);
}

/*
 * Insert by the statement, which is valid from now on; what was kept is not.
 */
static void
run_statement(RowInsert *insert, const SpiArg *args)
{
	if (insert->prepared != NULL)
		FreeExecutorState(insert->prepared->estate);
	insert->prepared = NULL;
	insert->changes++;
	spi_execute(&insert->statement, args, SPI_VIEW_COMMAND);
}

static HeapTuple
form_row(const RowInsert *insert, const Prepared *prepared, Relation relation,
		 const SpiArg *args)
{
	TupleDesc desc = RelationGetDescr(relation);
	Datum *values = palloc0(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	HeapTuple row;

	memset(nulls, true, desc->natts * sizeof(bool));
	for (int i = 0; i < insert->statement.nargs; i++)
	{
		values[prepared->places[i] - 1] = args[i].value;
		nulls[prepared->places[i] - 1] = args[i].isnull;
	}
	row = heap_form_tuple(desc, values, nulls);
	row->t_tableOid = RelationGetRelid(relation);
	return row;
}

static void
store(const Prepared *prepared, Relation relation, HeapTuple row)
{
	EState *estate = prepared->estate;
	ResultRelInfo *target = prepared->target;
	TriggerDesc *triggers = target->ri_TrigDesc;
	TupleTableSlot *slot =
		MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);

	ExecStoreHeapTuple(row, slot, false);
	if (triggers != NULL) /* what was looked up lives as long as this call */
		memset(target->ri_TrigFunctions, 0,
			   triggers->numtriggers * sizeof(FmgrInfo));
	if (triggers == NULL || !triggers->trig_insert_before_row ||
		ExecBRInsertTriggers(estate, target, slot))
	{
		ExecConstraints(target, slot, estate);
		table_tuple_insert(relation, slot, GetCurrentCommandId(true), 0, NULL);
		list_free(ExecInsertIndexTuples(target, slot, estate, false, false,
										NULL, NIL, false));
	}
	ExecDropSingleTupleTableSlot(slot);
}

void
row_insert_values(RowInsert *insert, const SpiArg *args)
{
	SPIPlanPtr plan = insert->statement.plan;
	Relation relation;
	Prepared *prepared;

	relation = table_open(
		get_relname_relid(insert->table, get_namespace_oid("usermgmt", false)),
		RowExclusiveLock);
	if (plan == NULL || !SPI_plan_is_valid(plan) || !is_plain(relation) ||
		(insert->prepared == NULL &&
		 !rest_is_null(insert, RelationGetDescr(relation))))
	{
		table_close(relation, NoLock);
		run_statement(insert, args);
		return;
	}
	PreventCommandIfReadOnly("INSERT");
	prepared = take(insert, relation);
	store(prepared, relation, form_row(insert, prepared, relation, args));
	put_back(insert, prepared);
	table_close(relation, NoLock);
	CommandCounterIncrement();
}
