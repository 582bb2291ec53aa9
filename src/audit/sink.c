/*
 * sink.c
 *	  Hand every event on to an audit table of the application.
 *
 * The table is somebody else's: its triggers, defaults and casts must not have
 * our rights. So everything about it, planning included, happens as the owner
 * of the table (core/as_owner.h), for whom this extension takes nobody for an
 * operator or a bound person. Columns are matched by name. The statement is
 * built from quoted names, and anew when the table changes.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "audit/audit.h"
#include "audit/sink.h"
#include "core/as_owner.h"
#include "core/installation.h"
#include "core/transition.h"
#include "core/uuid.h"

SPI_QUERY(read_sink, "SELECT target::pg_catalog.oid AS target"
					 " FROM usermgmt.audit_sink");
SPI_QUERY(delete_sink, "DELETE FROM usermgmt.audit_sink");
SPI_QUERY(insert_sink, "INSERT INTO usermgmt.audit_sink (target) VALUES ($1)",
		  REGCLASSOID);

/* What an event has, in the order of EventRow, and what it always has. */
static const struct
{
	const char *name;
	Oid type;
	bool always;
} columns[] = {{"tenant_id", UUIDOID, false},
			   {"event_id", UUIDOID, true},
			   {"occurred_at", TIMESTAMPTZOID, true},
			   {"actor_user_id", UUIDOID, false},
			   {"actor_email", TEXTOID, false},
			   {"actor_db_role", TEXTOID, true},
			   {"session_id", UUIDOID, false},
			   {"ip", TEXTOID, false},
			   {"action", TEXTOID, true},
			   {"object_type", TEXTOID, true},
			   {"object_id", TEXTOID, false},
			   {"subject_email", TEXTOID, false},
			   {"old", JSONBOID, false},
			   {"new", JSONBOID, false},
			   {"reason", TEXTOID, false},
			   {"transaction_id", XID8OID, true}};

#define COLUMNS lengthof(columns)

static bool known; /* the target was read since it last changed */
static Oid target; /* InvalidOid: no sink */
static Oid sink_relation;
static bool stale;		/* the target changed since the plan was made */
static SPIPlanPtr plan; /* of the insertion */
static int work_level;	/* of the transaction that is at work on the sink, or
						 * 0: what that causes goes to no sink */

static void
at_invalidation(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == sink_relation)
		known = false;
	if (relation == InvalidOid || relation == target)
		stale = true;
}

/*
 * An abort may take back the sink; one of this level or above ends the work on
 * it, one below is the business of the sink's triggers.
 */
static void
forget(int level)
{
	known = false;
	stale = true;
	if (level <= work_level)
		work_level = 0;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		forget(1);
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget(GetCurrentTransactionNestLevel());
}

void
sink_init(void)
{
	CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/*
 * The number of the event's column of this name, or -1.
 */
static int
column_named(Form_pg_attribute attribute)
{
	if (attribute->attisdropped || attribute->attgenerated != '\0' ||
		attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		return -1;
	for (int i = 0; i < COLUMNS; i++)
		if (strcmp(columns[i].name, NameStr(attribute->attname)) == 0)
			return i;
	return -1;
}

/*
 * INSERT INTO target (the columns it shares with an event) VALUES (…).
 */
static char *
insertion(Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);
	StringInfoData names;
	StringInfoData values;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < desc->natts; i++)
	{
		int column = column_named(TupleDescAttr(desc, i));

		if (column < 0)
			continue;
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 quote_identifier(columns[column].name));
		appendStringInfo(&values, "%s$%d", values.len > 0 ? ", " : "",
						 column + 1);
	}
	if (names.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" has no column of an event",
						RelationGetRelationName(relation)),
				 errhint("Give its columns the names of those of the view "
						 "usermgmt.audit_trail.")));
	return psprintf(
		"INSERT INTO %s.%s (%s) VALUES (%s)",
		quote_identifier(get_namespace_name(RelationGetNamespace(relation))),
		quote_identifier(RelationGetRelationName(relation)), names.data,
		values.data);
}

static SPIPlanPtr
prepare(const char *statement)
{
	Oid types[COLUMNS];
	SPIPlanPtr prepared;

	for (int i = 0; i < COLUMNS; i++)
		types[i] = columns[i].type;
	prepared =
		SPI_prepare_cursor(statement, COLUMNS, types, CURSOR_OPT_GENERIC_PLAN);
	if (prepared == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement,
			 SPI_result_code_string(SPI_result));
	return prepared;
}

static Relation
open_target(void)
{
	Relation relation = try_relation_open(target, RowExclusiveLock);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table of the audit sink does not exist any more"),
				 errhint("Name another with usermgmt.set_audit_sink(), or "
						 "switch it off with usermgmt.set_audit_sink(NULL).")));
	return relation;
}

static void
read_target(void)
{
	known = true; /* before the look, lest it miss a change */
	sink_relation =
		get_relname_relid("audit_sink", get_namespace_oid("usermgmt", false));
	target = spi_latest(read_sink) == 0
				 ? InvalidOid
				 : DatumGetObjectId(row_value(spi_row(0), "target"));
	stale = true;
}

bool
sink_open(void)
{
	Relation relation;
	AsOwner before;

	if (work_level > 0)
		return false;
	if (!known)
		read_target();
	if (!OidIsValid(target))
		return false;
	relation = open_target();
	if (plan == NULL || stale)
	{
		if (plan != NULL)
			SPI_freeplan(plan);
		plan = NULL;
		stale = false;
		before = as_owner_begin(target);
		plan = prepare(insertion(relation));
		SPI_keepplan(plan);
		as_owner_end(&before);
	}
	table_close(relation, NoLock);
	return true;
}

void
sink_put(const EventRow *row)
{
	Datum values[COLUMNS];
	char nulls[COLUMNS];
	AsOwner before;
	int result;

	for (int i = 0; i < COLUMNS; i++)
	{
		values[i] = row->values[i];
		nulls[i] = row->nulls[i] ? 'n' : ' ';
	}
	if (uuid_equal(DatumGetUUIDP(values[0]), &uuid_nil))
		nulls[0] = 'n';
	before = as_owner_begin(target);
	work_level = GetCurrentTransactionNestLevel();
	result = SPI_execute_plan(plan, values, nulls, false, 0);
	work_level = 0;
	as_owner_end(&before);
	if (result < 0)
		elog(ERROR, "could not write to the audit sink: %s",
			 SPI_result_code_string(result));
}

/*
 * A column that must have a value gets one from every event.
 */
static void
check_columns(Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		int column = column_named(attribute);

		if (attribute->attisdropped || !attribute->attnotnull ||
			(column >= 0 && columns[column].always) ||
			(column < 0 && (attribute->atthasdef || attribute->attidentity)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of the sink must not be null, but not "
						"every event has it",
						NameStr(attribute->attname)),
				 errhint("Drop its NOT NULL constraint%s.",
						 column < 0 ? ", or give it a default" : "")));
	}
}

static void
check_target(Relation relation)
{
	char kind = relation->rd_rel->relkind;

	if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) ||
		relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP ||
		IsCatalogRelation(relation) ||
		RelationGetNamespace(relation) == get_namespace_oid("usermgmt", false))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" can not be an audit sink",
						RelationGetRelationName(relation)),
				 errhint("A sink is a permanent table of the application.")));
	if (pg_class_aclcheck(RelationGetRelid(relation), GetOuterUserId(),
						  ACL_INSERT) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for table \"%s\"",
							   RelationGetRelationName(relation)),
						errhint("Who sets a sink must be allowed to insert "
								"into it.")));
	check_columns(relation);
}

/*
 * Have the server judge the types, as the owner of the table.
 */
static void
check_types(Relation relation)
{
	AsOwner before = as_owner_begin(RelationGetRelid(relation));

	SPI_freeplan(prepare(insertion(relation)));
	as_owner_end(&before);
}

PG_FUNCTION_INFO_V1(set_audit_sink);
Datum
set_audit_sink(PG_FUNCTION_ARGS)
{
	Relation relation;

	SPI_connect();
	begin_writing(fcinfo);
	if (!PG_ARGISNULL(0))
	{
		relation = try_relation_open(PG_GETARG_OID(0), RowExclusiveLock);
		if (relation == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
							errmsg("there is no such table")));
		check_target(relation);
		check_types(relation);
		relation_close(relation, NoLock);
	}
	work_level = GetCurrentTransactionNestLevel(); /* the old may be gone */
	spi_run(delete_sink);
	if (!PG_ARGISNULL(0))
		spi_run(insert_sink, ARG(REGCLASSOID, PG_GETARG_DATUM(0)));
	work_level = 0;
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Every backend looks at the sink anew.
 */
PG_FUNCTION_INFO_V1(audit_sink_changed);
Datum
audit_sink_changed(PG_FUNCTION_ARGS)
{
	(void) trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	CacheInvalidateRelcacheByRelid(
		get_relname_relid("audit_sink", get_namespace_oid("usermgmt", false)));
	return PointerGetDatum(NULL);
}
