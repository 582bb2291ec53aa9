/*
 * audit_change.c
 *	  The one audit trigger: AFTER, per statement, over transition tables.
 *
 * Arguments: the object type, the key column, then any of
 *	  hide:COLUMN      a secret: its change makes an event that does not show it
 *	  ignore:COLUMN    bookkeeping; a change of nothing else makes no event
 *	  subject:COLUMN   the address of the person concerned
 *	  person:COLUMN    the user id of the person concerned
 *
 * Bulk changes pay once per statement, and the rows come in the order of the
 * change, old and new in step.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "audit/audit.h"
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

/* What the trigger's arguments say, and which columns may be shown. */
typedef struct AuditTable
{
	const char *object_type;
	const char *key;
	const char *subject;
	const char *person;
	bool has_tenant;
	bool *watched; /* columns whose change makes an event */
	bool *shown;   /* columns that the event shows */
	TupleDesc desc;
} AuditTable;

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

static void
leave_out(const AuditTable *table, bool *columns, const char *column)
{
	int number = SPI_fnumber(table->desc, column);

	if (number > 0)
		columns[number - 1] = false;
}

static const char *
option(const char *argument, const char *name)
{
	size_t length = strlen(name);

	return strncmp(argument, name, length) == 0 ? argument + length : NULL;
}

static AuditTable
audit_table(TriggerData *trigger)
{
	Trigger *declared = trigger->tg_trigger;
	AuditTable table = {.desc = RelationGetDescr(trigger->tg_relation)};

	if (declared->tgnargs < 2)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("the audit trigger needs an object type and a "
							   "key column")));
	table.object_type = declared->tgargs[0];
	table.key = declared->tgargs[1];
	table.has_tenant = SPI_fnumber(table.desc, "tenant_id") > 0;
	table.shown = palloc(table.desc->natts * sizeof(bool));
	table.watched = palloc(table.desc->natts * sizeof(bool));
	for (int i = 0; i < table.desc->natts; i++)
		table.shown[i] = table.watched[i] =
			!TupleDescAttr(table.desc, i)->attisdropped;
	for (int i = 2; i < declared->tgnargs; i++)
	{
		const char *argument = declared->tgargs[i];
		const char *value;

		if ((value = option(argument, "hide:")) != NULL)
			leave_out(&table, table.shown, value);
		else if ((value = option(argument, "ignore:")) != NULL)
		{
			leave_out(&table, table.shown, value);
			leave_out(&table, table.watched, value);
		}
		else if ((value = option(argument, "subject:")) != NULL)
			table.subject = value;
		else if ((value = option(argument, "person:")) != NULL)
			table.person = value;
	}
	return table;
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
	if (table->has_tenant)
	{
		tenant_id = row_uuid(row, "tenant_id");
		event.tenant_id = &tenant_id;
	}
	event.action = action_of(table, change);
	event.object_id =
		SPI_getvalue(row.tuple, row.desc, SPI_fnumber(row.desc, table->key));
	event.subject_email = subject_of(table, row);
	if (change->before != NULL)
		event.before = row_to_jsonb(*change->before, columns);
	if (change->after != NULL)
		event.after = row_to_jsonb(*change->after, columns);
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

PG_FUNCTION_INFO_V1(audit_change);
Datum
audit_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	AuditTable table;

	SPI_connect();
	table = audit_table(trigger);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		audit_write(
			&(AuditEvent){.action = psprintf("%s.truncated", table.object_type),
						  .object_type = table.object_type});
	else
		write_changes(trigger, &table);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/*
 * audit_attach(target regclass, arguments text[]): the audit triggers of one
 * of our tables, made while the extension is installed.
 */
PG_FUNCTION_INFO_V1(audit_attach);
Datum
audit_attach(PG_FUNCTION_ARGS)
{
	static const char *const triggers[] = {
		"CREATE TRIGGER audit_insert AFTER INSERT ON %s REFERENCING NEW TABLE"
		" AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION"
		" usermgmt.audit_change(%s)",
		"CREATE TRIGGER audit_update AFTER UPDATE ON %s REFERENCING OLD TABLE"
		" AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE"
		" FUNCTION usermgmt.audit_change(%s)",
		"CREATE TRIGGER audit_delete AFTER DELETE ON %s REFERENCING OLD TABLE"
		" AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION"
		" usermgmt.audit_change(%s)",
		"CREATE TRIGGER audit_truncate AFTER TRUNCATE ON %s FOR EACH"
		" STATEMENT EXECUTE FUNCTION usermgmt.audit_change(%s)"};
	char *target =
		DatumGetCString(DirectFunctionCall1(regclassout, PG_GETARG_DATUM(0)));
	StringInfoData arguments;
	Datum *values;
	int count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false,
					  TYPALIGN_INT, &values, NULL, &count);
	initStringInfo(&arguments);
	for (int i = 0; i < count; i++)
		appendStringInfo(&arguments, "%s%s", i > 0 ? ", " : "",
						 quote_literal_cstr(TextDatumGetCString(values[i])));
	SPI_connect();
	for (int i = 0; i < lengthof(triggers); i++)
		SPI_execute(psprintf(triggers[i], target, arguments.data), false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}
