/*
 * audit_change.c
 *	  The one audit trigger: AFTER, per statement, over transition tables.
 *
 * Bulk changes pay once per statement, and the rows come in the order of the
 * change, old and new in step. On partitioned tables of the application it runs
 * per row, because that is what PostgreSQL copies to partitions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "audit/attached.h"
#include "audit/audit.h"
#include "audit/audit_table.h"
#include "core/as_owner.h"
#include "core/installation.h"
#include "core/transition.h"
#include "core/uuid.h"

SPI_QUERY(find_email, "SELECT email FROM usermgmt.account WHERE user_id = $1",
		  UUIDOID);

/*
 * A value that is stored outside its row, or compressed, is not fetched when
 * its place or its bytes are the same.
 */
static bool
differs(Form_pg_attribute column, Datum before, bool was_null, Datum after,
		bool is_null)
{
	if (was_null || is_null)
		return was_null != is_null;
	if (column->attlen == -1 && VARSIZE_ANY(before) == VARSIZE_ANY(after) &&
		memcmp(DatumGetPointer(before), DatumGetPointer(after),
			   VARSIZE_ANY(before)) == 0)
		return false;
	return !datum_image_eq(before, after, column->attbyval, column->attlen);
}

bool
audit_differs(const AuditChange *change, const char *column)
{
	TupleDesc desc = change->before->desc;
	bool was_null;
	bool is_null;
	Datum before = row_datum(*change->before, column, &was_null);
	Datum after = row_datum(*change->after, column, &is_null);

	return differs(TupleDescAttr(desc, SPI_fnumber(desc, column) - 1), before,
				   was_null, after, is_null);
}

static const char *
usual_action(const TriggerData *trigger, const AuditTable *table)
{
	TriggerEvent event = trigger->tg_event;

	return psprintf("%s.%s", table->object_type,
					TRIGGER_FIRED_BY_INSERT(event)	 ? "created"
					: TRIGGER_FIRED_BY_UPDATE(event) ? "updated"
					: TRIGGER_FIRED_BY_DELETE(event) ? "deleted"
													 : "truncated");
}

/* A row, and its columns taken apart. */
typedef struct OpenRow
{
	SpiRow row;
	Datum *values;
	bool *nulls;
} OpenRow;

/* What the changes of one statement have in common, and room for one. */
typedef struct Work
{
	const AuditTable *table;
	const char *usual_action;
	AuditBatch *batch;
	bool *changed; /* columns */
	OpenRow before;
	OpenRow after;
} Work;

static OpenRow
open_row(TupleDesc desc)
{
	return (OpenRow){{NULL, desc},
					 palloc(desc->natts * sizeof(Datum)),
					 palloc(desc->natts * sizeof(bool))};
}

static void
take_apart(OpenRow *open)
{
	heap_deform_tuple(open->row.tuple, open->row.desc, open->values,
					  open->nulls);
}

static Work
begin_work(const TriggerData *trigger, const AuditTable *table)
{
	return (Work){table,
				  usual_action(trigger, table),
				  audit_begin(),
				  palloc(table->desc->natts * sizeof(bool)),
				  open_row(table->desc),
				  open_row(table->desc)};
}

/*
 * The action of the function in progress, else the room's name for the
 * change, else what happened to the row.
 */
static const char *
action_of(const Work *work, const AuditChange *change)
{
	const AuditOperation *operation = audit_operation_now();
	const AuditTable *table = work->table;
	const char *name = NULL;

	if (operation->object_type != NULL && operation->action != NULL &&
		strcmp(operation->object_type, table->object_type) == 0)
		return operation->action;
	if (table->namer != NULL)
		name = table->namer(change);
	return name != NULL ? name : work->usual_action;
}

static const char *
subject_of(const AuditTable *table, SpiRow row)
{
	bool isnull;
	Datum person;
	char *email = NULL;

	if (table->subject != NULL)
		return row_text_or_null(row, table->subject);
	if (table->person == NULL)
		return NULL;
	person = row_datum(row, table->person, &isnull);
	if (isnull)
		return NULL;
	if (spi_latest(find_email, ARG(UUIDOID, person)) > 0)
		email = row_text(spi_row(0), "email");
	SPI_freetuptable(SPI_tuptable);
	return email;
}

/*
 * Which shown columns changed; false when no watched one did.
 */
static bool
changed_columns(const Work *work)
{
	const AuditTable *table = work->table;
	const OpenRow *before = &work->before;
	const OpenRow *after = &work->after;
	bool any = false;

	for (int i = 0; i < table->desc->natts; i++)
	{
		bool changed =
			table->watched[i] &&
			differs(TupleDescAttr(table->desc, i), before->values[i],
					before->nulls[i], after->values[i], after->nulls[i]);

		any = any || changed;
		work->changed[i] = changed && table->shown[i];
	}
	return any;
}

static char *
key_text(const OpenRow *open, int column)
{
	if (TupleDescAttr(open->row.desc, column - 1)->atttypid == UUIDOID &&
		!open->nulls[column - 1])
		return uuid_text(DatumGetUUIDP(open->values[column - 1]));
	return SPI_getvalue(open->row.tuple, open->row.desc, column);
}

/*
 * The primary key: the value of its column, or a JSON array of several.
 */
static char *
object_id(const AuditTable *table, const OpenRow *open)
{
	StringInfoData text;
	ListCell *cell;

	if (list_length(table->key) < 2)
		return table->key == NIL ? NULL
								 : key_text(open, linitial_int(table->key));
	initStringInfo(&text);
	foreach (cell, table->key)
	{
		appendStringInfoString(&text, text.len > 0 ? ", " : "[");
		escape_json(&text, key_text(open, lfirst_int(cell)));
	}
	appendStringInfoChar(&text, ']');
	return text.data;
}

/*
 * What the row looks like, in the event: the part that may run code of the
 * types' owners.
 */
static void
show_rows(const Work *work, const OpenRow *before, const OpenRow *after,
		  const bool *columns, AuditEvent *event)
{
	const AuditTable *table = work->table;
	int level = plain_values_begin();
	AsOwner us;

	if (OidIsValid(table->stranger))
		us = as_owner_begin(table->stranger);
	event->object_id = object_id(table, after != NULL ? after : before);
	if (before != NULL)
		event->before =
			row_to_jsonb(table->desc, before->values, before->nulls, columns);
	if (after != NULL)
		event->after =
			row_to_jsonb(table->desc, after->values, after->nulls, columns);
	if (OidIsValid(table->stranger))
		as_owner_end(&us);
	plain_values_end(level);
}

/*
 * The event of the change between the rows of the work; without a tuple, there
 * is none. A tenant that the application left open is none.
 */
static void
write_change(Work *work)
{
	const AuditTable *table = work->table;
	OpenRow *before = work->before.row.tuple != NULL ? &work->before : NULL;
	OpenRow *after = work->after.row.tuple != NULL ? &work->after : NULL;
	OpenRow *open = after != NULL ? after : before;
	AuditChange change = {before != NULL ? &before->row : NULL,
						  after != NULL ? &after->row : NULL};
	AuditEvent event = {.object_type = table->object_type};

	if (before != NULL)
		take_apart(before);
	if (after != NULL)
		take_apart(after);
	if (before != NULL && after != NULL && !changed_columns(work))
		return;
	if (table->tenant != 0)
		event.tenant_id = open->nulls[table->tenant - 1]
							  ? &uuid_nil
							  : DatumGetUUIDP(open->values[table->tenant - 1]);
	event.action = action_of(work, &change);
	event.subject_email = subject_of(table, open->row);
	show_rows(work, before, after,
			  before != NULL && after != NULL ? work->changed : table->shown,
			  &event);
	audit_add(work->batch, &event);
}

/*
 * Read a transition table from its beginning with a read pointer of our own.
 */
static void
rewind_rows(Tuplestorestate *rows)
{
	if (rows == NULL)
		return;
	tuplestore_select_read_pointer(
		rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
}

/*
 * The tuple of the next row, as it stands in the store, or NULL. A store that
 * was spilled to disk hands out tuples of the memory context, which their slot
 * frees later: that must outlive the row.
 */
static HeapTuple
next_row(Tuplestorestate *rows, TupleTableSlot *slot, MemoryContext outer)
{
	MemoryContext each = MemoryContextSwitchTo(outer);
	bool found =
		rows != NULL && tuplestore_gettupleslot(rows, true, false, slot);

	MemoryContextSwitchTo(each);
	return found ? ((MinimalTupleTableSlot *) slot)->tuple : NULL;
}

static void
write_changes(TriggerData *trigger, const AuditTable *table)
{
	TupleTableSlot *old_slot =
		MakeSingleTupleTableSlot(table->desc, &TTSOpsMinimalTuple);
	TupleTableSlot *new_slot =
		MakeSingleTupleTableSlot(table->desc, &TTSOpsMinimalTuple);
	Work work = begin_work(trigger, table);
	MemoryContext outer = MemoryContextSwitchTo(audit_memory(work.batch));

	rewind_rows(trigger->tg_oldtable);
	rewind_rows(trigger->tg_newtable);
	for (;;)
	{
		work.before.row.tuple = next_row(trigger->tg_oldtable, old_slot, outer);
		work.after.row.tuple = next_row(trigger->tg_newtable, new_slot, outer);
		if (work.before.row.tuple == NULL && work.after.row.tuple == NULL)
			break;
		write_change(&work);
	}
	MemoryContextSwitchTo(outer);
	audit_end(work.batch);
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
}

/*
 * What was truncated; of a partition, which one.
 */
static void
write_truncation(TriggerData *trigger, const AuditTable *table)
{
	char *name = attached_name(RelationGetRelid(trigger->tg_relation));

	audit_write(&(AuditEvent){
		.action = usual_action(trigger, table),
		.object_type = table->object_type,
		.object_id =
			trigger->tg_relation->rd_rel->relispartition ? name : NULL});
}

/*
 * The row of a trigger per row. What the table says is read once a query.
 */
static void
write_row(TriggerData *trigger, FmgrInfo *function)
{
	AuditTable *table = function->fn_extra;
	Work work;

	if (table == NULL)
	{
		MemoryContext each = MemoryContextSwitchTo(function->fn_mcxt);

		table = palloc(sizeof(AuditTable));
		*table = audit_table(trigger);
		MemoryContextSwitchTo(each);
		function->fn_extra = table;
	}
	table->desc = RelationGetDescr(trigger->tg_relation);
	work = begin_work(trigger, table);
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		work.before.row = trigger_row(trigger);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		work.after.row = trigger_new_row(trigger);
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		work.after.row = trigger_row(trigger);
	write_change(&work);
	audit_end(work.batch);
}

PG_FUNCTION_INFO_V1(audit_change);
Datum
audit_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool per_row =
		CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event);
	AuditTable table;

	trigger = trigger_require(fcinfo, TRIGGER_EVENT_AFTER |
										  (per_row ? TRIGGER_EVENT_ROW : 0));
	SPI_connect();
	if (trigger->tg_trigger->tgnargs == 0)
		begin_writing(fcinfo);
	if (per_row)
		write_row(trigger, fcinfo->flinfo);
	else
	{
		table = audit_table(trigger);
		if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
			write_truncation(trigger, &table);
		else
			write_changes(trigger, &table);
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}
