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

#define MAX_TYPES 32

SPI_QUERY(find_email, "SELECT email FROM usermgmt.account WHERE user_id = $1",
		  UUIDOID);

static struct
{
	const char *object_type;
	AuditNamer namer;
} namers[MAX_TYPES];

void
audit_register(const char *object_type, AuditNamer namer)
{
	int i = 0;

	while (namers[i].namer != NULL)
		if (++i == MAX_TYPES)
			elog(ERROR, "too many audited object types");
	namers[i].object_type = object_type;
	namers[i].namer = namer;
}

bool
audit_differs(const AuditChange *change, const char *column)
{
	TupleDesc desc = change->before->desc;
	Form_pg_attribute attribute =
		TupleDescAttr(desc, SPI_fnumber(desc, column) - 1);
	bool was_null;
	bool is_null;
	Datum before = row_datum(*change->before, column, &was_null);
	Datum after = row_datum(*change->after, column, &is_null);

	if (was_null || is_null)
		return was_null != is_null;
	return !datum_image_eq(before, after, attribute->attbyval,
						   attribute->attlen);
}

/*
 * The action of the function in progress, else the room's name for the
 * change, else what happened to the row.
 */
static const char *
action_of(const AuditTable *table, const AuditChange *change)
{
	const AuditOperation *operation = audit_operation_now();
	const char *name = NULL;

	if (operation->object_type != NULL && operation->action != NULL &&
		strcmp(operation->object_type, table->object_type) == 0)
		return operation->action;
	for (int i = 0; i < MAX_TYPES && namers[i].namer != NULL; i++)
		if (strcmp(namers[i].object_type, table->object_type) == 0)
			name = namers[i].namer(change);
	if (name != NULL)
		return name;
	return psprintf("%s.%s", table->object_type,
					change->before == NULL	? "created"
					: change->after == NULL ? "deleted"
											: "updated");
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
changed_columns(const AuditTable *table, const AuditChange *change,
				bool *changed)
{
	bool any = false;

	for (int i = 0; i < table->desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(table->desc, i);
		bool null_before;
		bool null_after;
		Datum before;
		Datum after;

		changed[i] = false;
		if (!table->watched[i])
			continue;
		before = heap_getattr(change->before->tuple, i + 1, table->desc,
							  &null_before);
		after =
			heap_getattr(change->after->tuple, i + 1, table->desc, &null_after);
		changed[i] =
			null_before != null_after ||
			(!null_before &&
			 !datum_image_eq(before, after, column->attbyval, column->attlen));
		any = any || changed[i];
		changed[i] = changed[i] && table->shown[i];
	}
	return any;
}

/*
 * The primary key: the value of its column, or a JSON array of several.
 */
static char *
object_id(const AuditTable *table, SpiRow row)
{
	StringInfoData text;
	ListCell *cell;

	if (list_length(table->key) < 2)
		return table->key == NIL ? NULL
								 : SPI_getvalue(row.tuple, row.desc,
												linitial_int(table->key));
	initStringInfo(&text);
	foreach (cell, table->key)
	{
		appendStringInfoString(&text, text.len > 0 ? ", " : "[");
		escape_json(&text, SPI_getvalue(row.tuple, row.desc, lfirst_int(cell)));
	}
	appendStringInfoChar(&text, ']');
	return text.data;
}

/*
 * The tenant of a row; one that the application left open is none.
 */
static pg_uuid_t
tenant_of(const AuditTable *table, SpiRow row)
{
	bool isnull;
	Datum tenant = heap_getattr(row.tuple, table->tenant, row.desc, &isnull);

	return isnull ? uuid_nil : *DatumGetUUIDP(tenant);
}

/*
 * What the row looks like, in the event: the part that may run code of the
 * types' owners.
 */
static void
show_rows(const AuditTable *table, const AuditChange *change,
		  const bool *columns, AuditEvent *event)
{
	AsOwner us;

	if (OidIsValid(table->stranger))
		us = as_owner_begin(table->stranger);
	event->object_id = object_id(
		table, change->after != NULL ? *change->after : *change->before);
	if (change->before != NULL)
		event->before = row_to_jsonb(*change->before, columns);
	if (change->after != NULL)
		event->after = row_to_jsonb(*change->after, columns);
	if (OidIsValid(table->stranger))
		as_owner_end(&us);
}

static void
write_change(AuditBatch *batch, const AuditTable *table,
			 const AuditChange *change)
{
	SpiRow row = change->after != NULL ? *change->after : *change->before;
	bool *columns = table->shown;
	pg_uuid_t tenant_id;
	AuditEvent event = {.object_type = table->object_type};

	if (change->before != NULL && change->after != NULL)
	{
		columns = palloc(table->desc->natts * sizeof(bool));
		if (!changed_columns(table, change, columns))
			return;
	}
	if (table->tenant != 0)
	{
		tenant_id = tenant_of(table, row);
		event.tenant_id = &tenant_id;
	}
	event.action = action_of(table, change);
	event.subject_email = subject_of(table, row);
	show_rows(table, change, columns, &event);
	audit_add(batch, &event);
}

/*
 * Read a transition table from its beginning with a read pointer of our own.
 */
static void
rewind_rows(Tuplestorestate *rows)
{
	if (rows == NULL)
		return;
	tuplestore_select_read_pointer(rows,
								   tuplestore_alloc_read_pointer(rows, 0));
	tuplestore_rescan(rows);
}

/*
 * The next row, or NULL. A store that was spilled to disk hands out rows of the
 * memory context, which its slot frees later: that must outlive the row.
 */
static const SpiRow *
next_row(Tuplestorestate *rows, TupleTableSlot *slot, MemoryContext outer,
		 SpiRow *row)
{
	MemoryContext each = MemoryContextSwitchTo(outer);
	bool found =
		rows != NULL && tuplestore_gettupleslot(rows, true, false, slot);

	MemoryContextSwitchTo(each);
	if (!found)
		return NULL;
	row->tuple = ExecFetchSlotHeapTuple(slot, false, NULL);
	row->desc = slot->tts_tupleDescriptor;
	return row;
}

static void
write_changes(TriggerData *trigger, const AuditTable *table)
{
	TupleTableSlot *old_slot =
		MakeSingleTupleTableSlot(table->desc, &TTSOpsMinimalTuple);
	TupleTableSlot *new_slot =
		MakeSingleTupleTableSlot(table->desc, &TTSOpsMinimalTuple);
	MemoryContext each = AllocSetContextCreate(
		CurrentMemoryContext, "audited row", ALLOCSET_DEFAULT_SIZES);
	AuditBatch *batch = audit_begin();
	MemoryContext outer = MemoryContextSwitchTo(each);

	rewind_rows(trigger->tg_oldtable);
	rewind_rows(trigger->tg_newtable);
	for (;;)
	{
		SpiRow before;
		SpiRow after;
		AuditChange change = {
			next_row(trigger->tg_oldtable, old_slot, outer, &before),
			next_row(trigger->tg_newtable, new_slot, outer, &after)};

		if (change.before == NULL && change.after == NULL)
			break;
		write_change(batch, table, &change);
		MemoryContextReset(each);
	}
	MemoryContextSwitchTo(outer);
	audit_end(batch);
	MemoryContextDelete(each);
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
		.action = psprintf("%s.truncated", table->object_type),
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
	bool updates = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	SpiRow old = trigger_row(trigger);
	SpiRow new = updates ? trigger_new_row(trigger) : old;
	AuditChange change = {
		TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? NULL : &old,
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? NULL : &new};
	AuditTable *table = function->fn_extra;
	AuditBatch *batch = audit_begin();

	if (table == NULL)
	{
		MemoryContext each = MemoryContextSwitchTo(function->fn_mcxt);

		table = palloc(sizeof(AuditTable));
		*table = audit_table(trigger);
		MemoryContextSwitchTo(each);
		function->fn_extra = table;
	}
	table->desc = RelationGetDescr(trigger->tg_relation);
	write_change(batch, table, &change);
	audit_end(batch);
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
