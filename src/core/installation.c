/*
 * installation.c
 *	  Arms the tables at first use, and notices that it lives in a copy.
 *
 * The install script leaves every trigger disabled, foreign keys included, so
 * that a restore loads rows without firing anything. The first call that
 * writes arms them. The row of "installation" says in which database that
 * happened; where it names another one, this is a restored or cloned copy:
 * it takes a new installation id, so that no link of the original opens here,
 * ends the sessions that came with it, and sends no mail until an operator
 * says so.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "audit/audit.h"
#include "core/compat.h"
#include "core/installation.h"
#include "core/spi_query.h"
#include "core/uuid.h"

SPI_QUERY(insert_installation,
		  "INSERT INTO usermgmt.installation (installation_id,"
		  " system_identifier, database_oid, extension_oid, activated_at)"
		  " VALUES ($1, $2, $3, $4, $5)",
		  UUIDOID, INT8OID, OIDOID, OIDOID, TIMESTAMPTZOID);
SPI_QUERY(adopt_installation,
		  "UPDATE usermgmt.installation SET installation_id = $1,"
		  " system_identifier = $2, database_oid = $3, extension_oid = $4,"
		  " epoch = epoch + 1, activated_at = $5, mail_paused_at = $5,"
		  " mail_pause_reason = 'restored copy'",
		  UUIDOID, INT8OID, OIDOID, OIDOID, TIMESTAMPTZOID);
SPI_QUERY(end_sessions,
		  "UPDATE usermgmt.session SET state = 'revoked', ended_at = $1,"
		  " end_reason = 'restored copy' WHERE state = 'open'",
		  TIMESTAMPTZOID);
SPI_QUERY(list_tables,
		  "SELECT c.oid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c"
		  " ON c.oid = d.objid WHERE d.deptype = 'e' AND c.relkind = 'r'"
		  " AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
		  " AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass"
		  " AND d.refobjid = $1 ORDER BY c.oid",
		  OIDOID);

static bool known;	   /* the row was read since it last changed */
static bool live_here; /* what it said: it names this database */
static int32 epoch;
static Oid live_relation; /* whose invalidation makes that uncertain */

typedef enum Standing
{
	NOT_ACTIVATED,
	LIVE_HERE,
	COPY
} Standing;

static void
at_invalidation(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == live_relation)
		known = false;
}

/*
 * An abort may take back the activation.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		known = false;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		known = false;
}

void
installation_init(void)
{
	CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

static Oid
installation_table(void)
{
	return get_relname_relid("installation",
							 get_namespace_oid("usermgmt", false));
}

/* The row of "installation". */
typedef struct Installation
{
	pg_uuid_t id;
	int64 system_identifier;
	Oid database;
	Oid extension;
} Installation;

static Datum
column(TupleTableSlot *slot, const char *name)
{
	bool isnull;

	return slot_getattr(slot, SPI_fnumber(slot->tts_tupleDescriptor, name),
						&isnull);
}

/*
 * Read the row with a fresh snapshot; false when there is none. A direct scan,
 * because validation of a session asks too, with no rights to the table.
 */
static bool
read_installation(Installation *installation)
{
	Relation relation = table_open(installation_table(), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	Snapshot snapshot = RegisterSnapshot(
		IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
	bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

	live_relation = RelationGetRelid(relation);
	if (found)
	{
		installation->id = *DatumGetUUIDP(column(slot, "installation_id"));
		installation->system_identifier =
			DatumGetInt64(column(slot, "system_identifier"));
		installation->database = DatumGetObjectId(column(slot, "database_oid"));
		installation->extension =
			DatumGetObjectId(column(slot, "extension_oid"));
		epoch = DatumGetInt32(column(slot, "epoch"));
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, AccessShareLock);
	return found;
}

static Standing
standing(void)
{
	Installation row;

	if (!read_installation(&row))
		return NOT_ACTIVATED;
	if (row.system_identifier == (int64) GetSystemIdentifier() &&
		row.database == MyDatabaseId &&
		row.extension == get_extension_oid("usermgmt", false))
		return LIVE_HERE;
	return COPY;
}

bool
installation_is_live(void)
{
	if (!known)
	{
		live_here = false;
		known = !IsInParallelMode(); /* before the look, lest it miss one */
		live_here = standing() == LIVE_HERE;
	}
	return live_here;
}

/*
 * Enable or disable every trigger of the extension's tables.
 */
static void
set_triggers(char fires_when)
{
	uint64 count = spi_run(
		list_tables,
		ARG(OIDOID, ObjectIdGetDatum(get_extension_oid("usermgmt", false))));
	SPITupleTable *tables = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
	{
		bool isnull;
		Oid table = DatumGetObjectId(
			SPI_getbinval(tables->vals[i], tables->tupdesc, 1, &isnull));
		Relation relation = table_open(table, ShareRowExclusiveLock);

		CheckTableNotInUse(relation, "arm the triggers of");
		EnableDisableTrigger(relation, NULL, InvalidOid, fires_when, false,
							 false, ShareRowExclusiveLock);
		table_close(relation, NoLock);
	}
	CommandCounterIncrement();
}

static void
arm(Standing found)
{
	pg_uuid_t id = uuid_make(GetCurrentTimestamp());
	SpiArg system = ARG_BIGINT((int64) GetSystemIdentifier());
	SpiArg database = ARG(OIDOID, ObjectIdGetDatum(MyDatabaseId));
	SpiArg extension =
		ARG(OIDOID, ObjectIdGetDatum(get_extension_oid("usermgmt", false)));
	SpiArg now = ARG_TIME(GetCurrentTimestamp());

	/* One mail with bytes that are no text would hold up all others. */
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("usermgmt does not work in a database of the encoding "
						"SQL_ASCII"),
				 errhint("Create the database with ENCODING 'UTF8'.")));
	set_triggers(TRIGGER_FIRES_ON_ORIGIN);
	if (found == NOT_ACTIVATED)
	{
		spi_run(insert_installation, ARG_UUID(id), system, database, extension,
				now);
		return;
	}
	epoch++;
	audit_operation(
		&(AuditOperation){.object_type = "installation",
						  .action = "installation.adopted",
						  .reason = "restored copy: mail is paused"});
	spi_run(adopt_installation, ARG_UUID(id), system, database, extension, now);
	audit_operation_end();
	spi_run(end_sessions, now);
	ereport(WARNING,
			(errmsg("restored copy: mail is paused"),
			 errdetail("This installation was live in another database. Links "
					   "of mails sent from there do not open here, and the "
					   "sessions are ended."),
			 errhint("Call usermgmt.outbox_resume() when this is the real "
					 "one.")));
}

/*
 * Arm unless that is done; the lock makes concurrent first calls one.
 */
static void
make_live(void)
{
	Standing found = standing();

	if (found != LIVE_HERE)
	{
		LockRelationOid(live_relation, ShareRowExclusiveLock);
		found = standing();
	}
	if (found != LIVE_HERE)
		arm(found);
	live_here = true;
	known = true;
}

void
begin_writing(FunctionCallInfo fcinfo)
{
	if (XactReadOnly)
	{
		char *name = get_func_name(fcinfo->flinfo->fn_oid);

		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s() in a read-only transaction",
						name != NULL ? name : "this function"),
				 errhint("Call it on the primary, in a transaction that may "
						 "write."),
				 errhidestmt(true)));
	}
	if (!installation_is_live())
		make_live();
}

bool
installation_id(pg_uuid_t *id)
{
	Installation row;

	if (!read_installation(&row))
		return false;
	*id = row.id;
	return true;
}

int32
installation_epoch(void)
{
	installation_is_live();
	return epoch;
}

PG_FUNCTION_INFO_V1(activate);
Datum
activate(PG_FUNCTION_ARGS)
{
	SPI_connect();
	begin_writing(fcinfo);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * disarm(): the last statement of the install script.
 */
PG_FUNCTION_INFO_V1(disarm);
Datum
disarm(PG_FUNCTION_ARGS)
{
	SPI_connect();
	set_triggers(TRIGGER_DISABLED);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * A changed or removed row of "installation" must be looked at anew by every
 * backend.
 */
PG_FUNCTION_INFO_V1(installation_changed);
Datum
installation_changed(PG_FUNCTION_ARGS)
{
	CacheInvalidateRelcacheByRelid(installation_table());
	return PointerGetDatum(NULL);
}
