/*
 * writer.c
 *	  Store events: straight into the table and its indexes, many at a time.
 *
 * Where somebody put an insert trigger on the table, a statement inserts, so
 * that it fires. The caller runs as the owner of the table, whom row security
 * does not concern.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "audit/writer.h"
#include "core/compat.h"
#include "core/spi_query.h"

#define MOST_BYTES 262144 /* kept before they are stored */

SPI_QUERY(insert_event,
		  "INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at,"
		  " actor_user_id, actor_email, actor_db_role, session_id, ip, action,"
		  " object_type, object_id, subject_email, old, new, reason,"
		  " transaction_id, epoch, salt) VALUES ($1, $2, $3, $4, $5, $6, $7,"
		  " $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTOID, TEXTOID, UUIDOID,
		  TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID,
		  TEXTOID, XID8OID, INT4OID, UUIDOID);

static bool
has_insert_trigger(Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;

	return triggers != NULL && (triggers->trig_insert_before_row ||
								triggers->trig_insert_after_row ||
								triggers->trig_insert_before_statement ||
								triggers->trig_insert_after_statement);
}

void
writer_open(TrailWriter *writer)
{
	Oid table =
		get_relname_relid("audit_event", get_namespace_oid("usermgmt", false));
	Relation relation = table_open(table, RowExclusiveLock);

	memset(writer, 0, offsetof(TrailWriter, slots));
	writer->slot_count = writer->row_count = 0;
	writer->memory = AllocSetContextCreate(
		CurrentMemoryContext, "events", ALLOCSET_DEFAULT_MINSIZE,
		ALLOCSET_DEFAULT_INITSIZE, MOST_BYTES / 4);
	if (RelationGetNumberOfAttributes(relation) != EVENT_WIDTH ||
		has_insert_trigger(relation))
	{
		table_close(relation, NoLock);
		return;
	}
	writer->estate = CreateExecutorState();
	writer->target = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->target, relation, 0, NULL, 0);
	ExecOpenIndices(writer->target, false);
}

static void
insert_by_statement(const EventRow *row)
{
	SpiArg args[EVENT_WIDTH];

	for (int i = 0; i < EVENT_WIDTH; i++)
		args[i] =
			(SpiArg){insert_event_types[i], row->values[i], row->nulls[i]};
	spi_execute(&insert_event, args, SPI_VIEW_COMMAND);
}

static void
store(TrailWriter *writer)
{
	Relation relation = writer->target->ri_RelationDesc;

	if (writer->row_count == 0)
		return;
	for (int i = 0; i < writer->row_count; i++)
		ExecConstraints(writer->target, writer->slots[i], writer->estate);
	table_multi_insert(relation, writer->slots, writer->row_count,
					   GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < writer->row_count; i++)
	{
		list_free(ExecInsertIndexTuples(writer->target, writer->slots[i],
										writer->estate, false, false, NULL, NIL,
										false));
		ExecClearTuple(writer->slots[i]);
	}
	ResetPerTupleExprContext(writer->estate);
	writer->row_count = 0;
}

/*
 * A slot for one more row.
 */
static TupleTableSlot *
next_slot(TrailWriter *writer, TupleDesc desc)
{
	int n = writer->row_count++;
	MemoryContext outer;

	if (n == writer->slot_count)
	{
		outer = MemoryContextSwitchTo(writer->estate->es_query_cxt);
		writer->slots[writer->slot_count++] =
			MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
		MemoryContextSwitchTo(outer);
	}
	return writer->slots[n];
}

/*
 * The slot has the values as they came: what is formed into a tuple is not
 * taken apart again for the constraints and the indexes.
 */
static void
keep(TrailWriter *writer, const EventRow *row)
{
	TupleTableSlot *slot =
		next_slot(writer, RelationGetDescr(writer->target->ri_RelationDesc));

	memcpy(slot->tts_values, row->values, sizeof(row->values));
	memcpy(slot->tts_isnull, row->nulls, sizeof(row->nulls));
	ExecStoreVirtualTuple(slot);
}

void
writer_add(TrailWriter *writer, const EventRow *row)
{
	MemoryContext outer = MemoryContextSwitchTo(writer->memory);

	if (writer->estate == NULL)
		insert_by_statement(row);
	else
	{
		keep(writer, row);
		if (writer->row_count == WRITER_ROWS ||
			MemoryContextMemAllocated(writer->memory, false) > MOST_BYTES)
			store(writer);
	}
	if (writer->row_count == 0)
		MemoryContextReset(writer->memory);
	MemoryContextSwitchTo(outer);
}

void
writer_close(TrailWriter *writer)
{
	Relation relation;
	MemoryContext outer;

	if (writer->estate == NULL)
	{
		MemoryContextDelete(writer->memory);
		return;
	}
	relation = writer->target->ri_RelationDesc;
	outer = MemoryContextSwitchTo(writer->memory);
	store(writer);
	MemoryContextSwitchTo(outer);
	for (int i = 0; i < writer->slot_count; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	ExecCloseIndices(writer->target);
	FreeExecutorState(writer->estate);
	MemoryContextDelete(writer->memory);
	table_close(relation, NoLock);
	CommandCounterIncrement();
}
