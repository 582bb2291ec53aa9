/*
 * attach.c
 *	  Give a table of the application what our own tables have, and take it
 *back.
 *
 * Everything is the table's own definition: triggers and policies, ordinary DDL
 * that is dumped, restored and dropped with the table. What the columns mean is
 * said there too (audit/attached.h), so there is no second place that could say
 * something else.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "attach/attach.h"
#include "audit/audit.h"
#include "audit/audit_table.h"
#include "core/errors.h"
#include "core/installation.h"

SPI_QUERY(find_owner_index,
		  "SELECT FROM pg_catalog.pg_index WHERE indrelid = $1 AND indisvalid"
		  " AND indpred IS NULL AND (indkey[0] = $2"
		  " OR (indkey[0] = $3 AND indkey[1] = $2)) LIMIT 1",
		  OIDOID, INT4OID, INT4OID);

char *
target_name(Oid table)
{
	return quote_qualified_identifier(
		get_namespace_name(get_rel_namespace(table)), get_rel_name(table));
}

void
run_ddl(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", statement);
}

static void
add(StringInfo list, const char *item)
{
	appendStringInfo(list, "%s%s", list->len > 0 ? ", " : "", item);
}

static void
add_column(StringInfo columns, StringInfo meanings, const char *column,
		   const char *meaning)
{
	if (column == NULL)
		return;
	add(columns, quote_identifier(column));
	add(meanings, quote_literal_cstr(meaning));
}

/*
 * The trigger that never fires and says everything. Where there are partitions
 * it is one per row, which PostgreSQL copies to each.
 */
static void
declare_columns(const Wanted *wanted, const char *target, const char *each)
{
	StringInfoData columns;
	StringInfoData says;
	ListCell *cell;

	initStringInfo(&columns);
	initStringInfo(&says);
	add_column(&columns, &says, wanted->tenant, "tenant");
	add_column(&columns, &says, wanted->workspace, "workspace");
	add_column(&columns, &says, wanted->owner, "owner");
	foreach (cell, wanted->redact)
		add_column(&columns, &says, lfirst(cell), "redact");
	if (wanted->audit)
		add(&says, "'audit'");
	if (wanted->activity)
		add(&says, "'activity'");
	if (wanted->isolate)
		add(&says, "'isolate'");
	if (wanted->transfer)
		add(&says, "'transfer'");
	if (wanted->provider != NULL)
		add(&says,
			quote_literal_cstr(psprintf("provider:%s", wanted->provider)));
	run_ddl(psprintf("CREATE TRIGGER usermgmt_columns AFTER UPDATE%s%s ON %s"
					 " FOR EACH %s WHEN (false) EXECUTE FUNCTION"
					 " usermgmt.attached_columns(%s)",
					 columns.len > 0 ? " OF " : "", columns.data, target, each,
					 says.data));
}

/*
 * The trigger's condition names the columns, and costs nothing where the owner
 * stays.
 */
static void
make_owner_triggers(const Wanted *wanted, const char *target)
{
	const char *owner = quote_identifier(wanted->owner);
	const char *tenant = quote_identifier(wanted->tenant);

	run_ddl(psprintf("CREATE TRIGGER usermgmt_owner_insert AFTER INSERT ON %s"
					 " FOR EACH ROW WHEN (NEW.%s IS NOT NULL AND NEW.%s IS NOT"
					 " NULL) EXECUTE FUNCTION usermgmt.attached_owner()",
					 target, owner, tenant));
	run_ddl(psprintf("CREATE TRIGGER usermgmt_owner_update AFTER UPDATE ON %s"
					 " FOR EACH ROW WHEN (NEW.%s IS NOT NULL AND NEW.%s IS NOT"
					 " NULL AND (NEW.%s IS DISTINCT FROM OLD.%s OR NEW.%s IS"
					 " DISTINCT FROM OLD.%s)) EXECUTE FUNCTION"
					 " usermgmt.attached_owner()",
					 target, owner, tenant, owner, owner, tenant, tenant));
}

static void
make_audit_triggers(const Wanted *wanted, const char *target, List *tree)
{
	ListCell *cell;

	if (get_rel_relkind(wanted->table) == RELKIND_RELATION)
	{
		audit_make_triggers("usermgmt_audit", target, "");
		return;
	}
	audit_make_row_trigger("usermgmt_audit", target);
	foreach (cell, tree)
		audit_make_truncate_trigger("usermgmt_audit",
									target_name(lfirst_oid(cell)), "");
}

static void
attach(const Wanted *wanted, List *tree)
{
	const char *target = target_name(wanted->table);
	const char *each = get_rel_relkind(wanted->table) == RELKIND_RELATION
						   ? "STATEMENT"
						   : "ROW";
	ListCell *cell;

	declare_columns(wanted, target, each);
	if (wanted->audit)
		make_audit_triggers(wanted, target, tree);
	if (wanted->activity)
		run_ddl(psprintf("CREATE TRIGGER usermgmt_activity AFTER INSERT OR"
						 " UPDATE OR DELETE ON %s FOR EACH %s EXECUTE FUNCTION"
						 " usermgmt.attached_activity()",
						 target, each));
	if (wanted->transfer)
		make_owner_triggers(wanted, target);
	if (wanted->isolate)
		foreach (cell, tree)
			isolate_table(lfirst_oid(cell), wanted);
}

/*
 * The names of our triggers on a table that are no copies of its parent's.
 */
static List *
own_triggers(Oid table)
{
	Relation relation = relation_open(table, NoLock);
	TriggerDesc *triggers = relation->trigdesc;
	List *names = NIL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		for (AttachedTrigger ours = 0; ours < TRIGGER_COUNT; ours++)
			if (triggers->triggers[i].tgfoid == attached_function(ours) &&
				!triggers->triggers[i].tgisclone)
				names = lappend(names, pstrdup(triggers->triggers[i].tgname));
	relation_close(relation, NoLock);
	return names;
}

/*
 * Take back what there is; whether there was something.
 */
static bool
detach(List *tree)
{
	bool any = false;
	ListCell *table;
	ListCell *name;

	foreach (table, tree)
	{
		unisolate_table(lfirst_oid(table));
		foreach (name, own_triggers(lfirst_oid(table)))
		{
			run_ddl(psprintf("DROP TRIGGER %s ON %s",
							 quote_identifier(lfirst(name)),
							 target_name(lfirst_oid(table))));
			any = true;
		}
	}
	return any;
}

static void
note_missing_index(const Wanted *wanted)
{
	if (!wanted->transfer ||
		spi_run(find_owner_index, ARG(OIDOID, ObjectIdGetDatum(wanted->table)),
				ARG_INT(get_attnum(wanted->table, wanted->owner)),
				ARG_INT(get_attnum(wanted->table, wanted->tenant))) > 0)
		return;
	ereport(NOTICE,
			(errmsg("no index finds the rows of an owner in table \"%s\"",
					get_rel_name(wanted->table)),
			 errhint("Each removal of a person reads the whole table: create "
					 "an index on (%s, %s).",
					 quote_identifier(wanted->tenant),
					 quote_identifier(wanted->owner))));
}

static void
write_event(const char *action, Oid table)
{
	audit_write(&(AuditEvent){.action = action,
							  .object_type = "attached_table",
							  .object_id = attached_name(table)});
}

PG_FUNCTION_INFO_V1(attach_table);
Datum
attach_table(PG_FUNCTION_ARGS)
{
	Wanted wanted = wanted_arguments(fcinfo);
	Relation relation;
	List *tree;

	SPI_connect();
	begin_writing(fcinfo);
	relation = target_open(wanted.table, AccessExclusiveLock);
	wanted_check(&wanted, relation);
	relation_close(relation, NoLock);
	tree = target_tree(wanted.table, AccessExclusiveLock);
	(void) detach(tree);
	attach(&wanted, tree);
	write_event("table.attached", wanted.table);
	note_missing_index(&wanted);
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(detach_table);
Datum
detach_table(PG_FUNCTION_ARGS)
{
	Oid table;

	if (PG_ARGISNULL(0))
		refuse_null("target");
	table = PG_GETARG_OID(0);
	SPI_connect();
	begin_writing(fcinfo);
	relation_close(target_open(table, AccessExclusiveLock), NoLock);
	if (!detach(target_tree(table, AccessExclusiveLock)))
		ereport(ERROR,
				(errcode(ERRCODE_UM_WRONG_STATE),
				 errmsg("table \"%s\" is not attached", get_rel_name(table)),
				 errhint("usermgmt.attached_tables shows which are.")));
	write_event("table.detached", table);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * What only says something is never called, but by whoever makes such a trigger
 * by hand.
 */
static Datum
refuse_firing(void)
{
	ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
					errmsg("this trigger only describes its table"),
					errhint("usermgmt.attach_table() makes it.")));
}

PG_FUNCTION_INFO_V1(attached_columns);
Datum
attached_columns(PG_FUNCTION_ARGS)
{
	return refuse_firing();
}

PG_FUNCTION_INFO_V1(attached_row_security);
Datum
attached_row_security(PG_FUNCTION_ARGS)
{
	return refuse_firing();
}
