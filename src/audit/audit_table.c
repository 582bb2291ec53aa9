/*
 * audit_table.c
 *	  What an audited table says of its columns, and the triggers on it.
 *
 * Arguments of the trigger on one of our tables: the object type, the key
 * column, then any of
 *	  hide:COLUMN      a secret: its change makes an event that does not show it
 *	  ignore:COLUMN    bookkeeping; a change of nothing else makes no event
 *	  subject:COLUMN   the address of the person concerned
 *	  person:COLUMN    the user id of the person concerned
 * Without arguments it is a table of the application (attached.h).
 */
#include "postgres.h"

#include "access/transam.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "audit/attached.h"
#include "audit/audit_table.h"

#define MAX_TYPES 32

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

static AuditNamer
namer_of(const char *object_type)
{
	for (int i = 0; i < MAX_TYPES && namers[i].namer != NULL; i++)
		if (strcmp(namers[i].object_type, object_type) == 0)
			return namers[i].namer;
	return NULL;
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

static void
take_argument(AuditTable *table, const char *argument)
{
	const char *value;

	if ((value = option(argument, "hide:")) != NULL)
		leave_out(table, table->shown, value);
	else if ((value = option(argument, "ignore:")) != NULL)
	{
		leave_out(table, table->shown, value);
		leave_out(table, table->watched, value);
	}
	else if ((value = option(argument, "subject:")) != NULL)
		table->subject = value;
	else if ((value = option(argument, "person:")) != NULL)
		table->person = value;
}

static void
describe_own(AuditTable *table, const Trigger *declared)
{
	if (declared->tgnargs < 2)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("the audit trigger needs an object type and a "
							   "key column")));
	table->object_type = declared->tgargs[0];
	table->key = list_make1_int(SPI_fnumber(table->desc, declared->tgargs[1]));
	table->tenant = Max(SPI_fnumber(table->desc, "tenant_id"), 0);
	for (int i = 2; i < declared->tgnargs; i++)
		take_argument(table, declared->tgargs[i]);
}

/*
 * A type that somebody made may have a cast to json, which somebody wrote.
 */
static void
describe_attached(AuditTable *table, Relation relation)
{
	Attached attached;

	if (!attached_read(relation, &attached))
		refuse_incomplete(relation);
	table->object_type = attached_name(attached.table);
	table->key = attached_key(relation);
	table->tenant = attached.tenant;
	for (int i = 0; i < table->desc->natts; i++)
	{
		if (bms_is_member(i + 1, attached.redacted))
			table->shown[i] = false;
		else if (TupleDescAttr(table->desc, i)->atttypid >= FirstNormalObjectId)
			table->stranger = RelationGetRelid(relation);
	}
}

AuditTable
audit_table(TriggerData *trigger)
{
	Relation relation = trigger->tg_relation;
	AuditTable table = {.desc = RelationGetDescr(relation)};

	table.shown = palloc(table.desc->natts * sizeof(bool));
	table.watched = palloc(table.desc->natts * sizeof(bool));
	for (int i = 0; i < table.desc->natts; i++)
		table.shown[i] = table.watched[i] =
			!TupleDescAttr(table.desc, i)->attisdropped;
	if (trigger->tg_trigger->tgnargs == 0)
		describe_attached(&table, relation);
	else
		describe_own(&table, trigger->tg_trigger);
	table.namer = namer_of(table.object_type);
	return table;
}

static void
make_trigger(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", statement);
}

void
audit_make_truncate_trigger(const char *name, const char *target,
							const char *arguments)
{
	make_trigger(psprintf("CREATE TRIGGER %s_truncate AFTER TRUNCATE ON %s"
						  " FOR EACH STATEMENT EXECUTE FUNCTION"
						  " usermgmt.audit_change(%s)",
						  name, target, arguments));
}

void
audit_make_row_trigger(const char *name, const char *target)
{
	make_trigger(psprintf("CREATE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE"
						  " ON %s FOR EACH ROW EXECUTE FUNCTION"
						  " usermgmt.audit_change()",
						  name, target));
}

void
audit_make_triggers(const char *name, const char *target, const char *arguments)
{
	static const char *const triggers[] = {
		"CREATE TRIGGER %s_insert AFTER INSERT ON %s REFERENCING NEW TABLE"
		" AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION"
		" usermgmt.audit_change(%s)",
		"CREATE TRIGGER %s_update AFTER UPDATE ON %s REFERENCING OLD TABLE"
		" AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE"
		" FUNCTION usermgmt.audit_change(%s)",
		"CREATE TRIGGER %s_delete AFTER DELETE ON %s REFERENCING OLD TABLE"
		" AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION"
		" usermgmt.audit_change(%s)"};

	for (int i = 0; i < lengthof(triggers); i++)
		make_trigger(psprintf(triggers[i], name, target, arguments));
	audit_make_truncate_trigger(name, target, arguments);
}

/*
 * audit_attach(target regclass, arguments text[]): the audit triggers of one
 * of our tables, made while the extension is installed.
 */
PG_FUNCTION_INFO_V1(audit_attach);
Datum
audit_attach(PG_FUNCTION_ARGS)
{
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
	audit_make_triggers("audit", target, arguments.data);
	SPI_finish();
	PG_RETURN_VOID();
}
