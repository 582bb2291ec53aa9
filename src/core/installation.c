/*
 * installation.c
 *	  Arms the tables at first use, and notices that it lives in a copy.
 *
 * The install script leaves every trigger disabled, foreign keys included, so
 * that a restore loads rows without firing anything. The first call that
 * writes arms them. The row of "installation" says in which database that
 * happened; where it names another one, this is a restored or cloned copy:
 * it takes a new installation id, so that no link of the original opens here,
 * and sends no mail until an operator says so.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "audit/audit.h"
#include "core/installation.h"
#include "core/spi_query.h"
#include "core/uuid.h"

SPI_QUERY(find_installation,
		  "SELECT installation_id, system_identifier, database_oid,"
		  " extension_oid, epoch FROM usermgmt.installation");
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
SPI_QUERY(list_tables,
		  "SELECT c.oid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c"
		  " ON c.oid = d.objid WHERE d.deptype = 'e' AND c.relkind = 'r'"
		  " AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
		  " AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass"
		  " AND d.refobjid = $1 ORDER BY c.oid",
		  OIDOID);

static bool live; /* the row names this database; triggers armed */
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
		live = false;
}

/*
 * An abort may take back the activation.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		live = false;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		live = false;
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

static Standing
standing(void)
{
	SpiRow row;
	bool isnull;

	if (spi_latest(find_installation) == 0)
		return NOT_ACTIVATED;
	row = spi_row(0);
	epoch = row_int(row, "epoch");
	if (DatumGetInt64(row_datum(row, "system_identifier", &isnull)) ==
			(int64) GetSystemIdentifier() &&
		DatumGetObjectId(row_datum(row, "database_oid", &isnull)) ==
			MyDatabaseId &&
		DatumGetObjectId(row_datum(row, "extension_oid", &isnull)) ==
			get_extension_oid("usermgmt", false))
		return LIVE_HERE;
	return COPY;
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
		EnableDisableTrigger(relation, NULL, fires_when, false,
							 ShareRowExclusiveLock);
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
	ereport(WARNING,
			(errmsg("restored copy: mail is paused"),
			 errdetail("This installation was live in another database. Links "
					   "of mails sent from there do not open here."),
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

	live_relation = installation_table();
	if (found != LIVE_HERE)
	{
		LockRelationOid(live_relation, ShareRowExclusiveLock);
		found = standing();
	}
	if (found != LIVE_HERE)
		arm(found);
	live = true;
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
	if (!live)
		make_live();
}

bool
installation_id(pg_uuid_t *id)
{
	if (spi_latest(find_installation) == 0)
		return false;
	*id = row_uuid(spi_row(0), "installation_id");
	return true;
}

int32
installation_epoch(void)
{
	if (!live)
		standing();
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
