/*
 * hand_over.c
 *	  What a leaver owned passes to another member.
 *
 * The rows move after the DELETE of the membership, which has waited for every
 * lock of owner.c, and with a snapshot taken then, so none that was written
 * meanwhile is left behind. Where the transaction's snapshot is older than such
 * a row the transaction is refused (40001), as by a foreign key's cascade.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "attach/attach.h"
#include "core/as_owner.h"
#include "core/errors.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "member/member.h"

SPI_QUERY(list_subjects,
		  "SELECT array_agg(subject ORDER BY linked_at, subject) AS subjects"
		  " FROM usermgmt.account_identity"
		  " WHERE user_id = $1 AND provider = $2",
		  UUIDOID, TEXTOID);
SPI_QUERY(list_tenants,
		  "SELECT coalesce(array_agg(tenant_id), '{}') AS tenants"
		  " FROM usermgmt.membership WHERE user_id = $1 AND status = 'active'",
		  UUIDOID);
SPI_QUERY(list_attached,
		  "SELECT t.tgrelid AS relation FROM pg_catalog.pg_depend AS d"
		  " JOIN pg_catalog.pg_trigger AS t ON t.oid = d.objid"
		  " WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
		  " AND d.refobjid = $1 AND t.tgparentid = 0"
		  " AND d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass"
		  " ORDER BY t.tgrelid::pg_catalog.regclass::text COLLATE \"C\"",
		  OIDOID);
SPI_QUERY(list_deferrable,
		  "SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.conname),"
		  " ', ') AS names FROM pg_catalog.pg_constraint AS c"
		  " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.connamespace"
		  " WHERE c.condeferrable AND (c.conrelid = $1 OR c.conrelid IN"
		  " (SELECT relid FROM pg_catalog.pg_partition_tree($1)))",
		  OIDOID);

static ArrayType *
uuid_array(const pg_uuid_t *u)
{
	Datum value = UUIDPGetDatum(u);

	return construct_array(&value, 1, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
}

static ArrayType *
text_array(const char *text)
{
	Datum value = CStringGetTextDatum(text);

	return construct_array(&value, 1, TEXTOID, -1, false, TYPALIGN_INT);
}

/*
 * What the owner column holds for this person: an array of its type, of the
 * one that new rows should have first; NULL when nothing.
 */
static ArrayType *
names_of(const Attached *attached, bool is_text, const pg_uuid_t *user_id)
{
	bool isnull;
	Datum subjects;

	if (!is_text)
		return uuid_array(user_id);
	if (attached->provider == NULL)
		return text_array(uuid_text(user_id));
	spi_latest(list_subjects, ARG_UUID(*user_id), ARG_TEXT(attached->provider));
	subjects = row_datum(spi_row(0), "subjects", &isnull);
	return isnull ? NULL : DatumGetArrayTypePCopy(subjects);
}

static char *
condition(const Attached *attached)
{
	const char *owner =
		quote_identifier(get_attname(attached->table, attached->owner, false));

	if (attached->tenant == 0)
		return psprintf("%s OPERATOR(pg_catalog.=) ANY ($1)", owner);
	return psprintf("%s OPERATOR(pg_catalog.=) ANY ($1)"
					" AND %s OPERATOR(pg_catalog.=) ANY ($2)",
					owner,
					quote_identifier(
						get_attname(attached->table, attached->tenant, false)));
}

/*
 * Deferred triggers of the table run at once, for a restricted operation may
 * leave none behind. A name of a constraint is any table's of the schema: what
 * waits by now is not run as the owner of this one.
 */
static void
defer_nothing(Oid table)
{
	char *deferrable;
	AsOwner us;

	spi_latest(list_deferrable, ARG(OIDOID, ObjectIdGetDatum(table)));
	deferrable = row_text_or_null(spi_row(0), "names");
	if (deferrable == NULL)
		return;
	us = as_caller_begin(table);
	run_ddl(psprintf("SET CONSTRAINTS %s IMMEDIATE", deferrable));
	as_owner_end(&us);
}

/*
 * Run it as the table's owner, on every row that is committed by now.
 */
static uint64
run_on_table(const char *statement, Oid table, int nargs, Oid *types,
			 Datum *values)
{
	bool fixed = IsolationUsesXactSnapshot();
	AsOwner us;
	SPIPlanPtr plan;
	uint64 rows;

	if (!as_owner_may_defer(table))
		defer_nothing(table);
	us = as_owner_begin(table);
	plan = SPI_prepare(statement, nargs, types);
	if (plan == NULL ||
		SPI_execute_snapshot(plan, values, NULL,
							 fixed ? GetLatestSnapshot() : InvalidSnapshot,
							 fixed ? GetTransactionSnapshot() : InvalidSnapshot,
							 false, true, 0) < 0)
		elog(ERROR, "could not run \"%s\"", statement);
	rows = SPI_processed;
	as_owner_end(&us);
	return rows;
}

static void
refuse_nameless(const Attached *attached, const pg_uuid_t *user_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UM_WRONG_STATE),
			 errmsg("the new owner has no id of provider \"%s\"",
					attached->provider),
			 errdetail("Table \"%s\" says by it who owns a row.",
					   attached_name(attached->table)),
			 errhint("Link one: SELECT usermgmt.link_identity('%s', '%s', "
					 "...), or name another member in transfer_to.",
					 uuid_text(user_id), attached->provider)));
}

static void
refuse_kept(const Attached *attached)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" keeps rows from being handed over",
					attached_name(attached->table)),
			 errdetail("A trigger or rule of its own leaves the owner as it "
					   "was."),
			 errhint("Change that, attach the table with on_removal => "
					 "'retain', or deactivate the person instead.")));
}

static bool
has_rows(const Attached *attached, Oid *types, Datum *values)
{
	return run_on_table(psprintf("SELECT FROM %s WHERE %s LIMIT 1",
								 target_name(attached->table),
								 condition(attached)),
						attached->table, 2, types, values) > 0;
}

/*
 * Afterwards no row of the old owner is there, whatever the table's triggers
 * did; nobody can write one any more.
 */
static uint64
move_rows(const Attached *attached, bool is_text, const pg_uuid_t *old_id,
		  const pg_uuid_t *new_id, ArrayType *tenants)
{
	ArrayType *old_names = names_of(attached, is_text, old_id);
	ArrayType *new_names = names_of(attached, is_text, new_id);
	Oid type = is_text ? TEXTOID : UUIDOID;
	Oid types[] = {get_array_type(type), UUIDARRAYOID, type};
	Datum values[] = {PointerGetDatum(old_names), PointerGetDatum(tenants), 0};
	int first = 1;
	bool isnull;
	uint64 rows;

	if (old_names == NULL)
		return 0;
	if (new_names == NULL)
	{
		if (has_rows(attached, types, values))
			refuse_nameless(attached, new_id);
		return 0;
	}
	values[2] =
		array_ref(new_names, 1, &first, -1, is_text ? -1 : UUID_LEN, false,
				  is_text ? TYPALIGN_INT : TYPALIGN_CHAR, &isnull);
	rows = run_on_table(
		psprintf("UPDATE %s SET %s = $3 WHERE %s", target_name(attached->table),
				 quote_identifier(
					 get_attname(attached->table, attached->owner, false)),
				 condition(attached)),
		attached->table, 3, types, values);
	if (attached->transfer && has_rows(attached, types, values))
		refuse_kept(attached);
	return rows;
}

/*
 * In every attached table with an owner, or only in those where a removal
 * hands over; what went is reported where a removal wants to know.
 */
static uint64
move_everywhere(const pg_uuid_t *old_id, const pg_uuid_t *new_id,
				ArrayType *tenants, bool by_removal)
{
	uint64 count = spi_latest(
		list_attached,
		ARG(OIDOID, ObjectIdGetDatum(attached_function(TRIGGER_COLUMNS))));
	SPITupleTable *tables = SPI_tuptable;
	uint64 total = 0;

	for (uint64 i = 0; i < count; i++)
	{
		Oid table = DatumGetObjectId(
			row_value((SpiRow){tables->vals[i], tables->tupdesc}, "relation"));
		Relation relation = try_relation_open(table, RowExclusiveLock);
		Attached attached;
		uint64 rows = 0;
		bool moves = relation != NULL && attached_read(relation, &attached) &&
					 attached.owner != 0 && (attached.transfer || !by_removal);
		bool is_text = moves && owner_is_text(relation, attached.owner);

		if (relation != NULL)
			relation_close(relation, NoLock);
		if (moves)
			rows = move_rows(&attached, is_text, old_id, new_id, tenants);
		if (rows > 0 && by_removal)
			member_report_handed(old_id, attached_name(table), rows);
		total += rows;
	}
	return total;
}

/*
 * AFTER DELETE trigger on the membership, per row.
 */
PG_FUNCTION_INFO_V1(membership_hand_over);
Datum
membership_hand_over(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	pg_uuid_t tenant_id = row_uuid(trigger_row(trigger), "tenant_id");
	pg_uuid_t user_id = row_uuid(trigger_row(trigger), "user_id");
	pg_uuid_t heir;

	SPI_connect();
	if (member_heir(&tenant_id, &user_id, &heir))
		(void) move_everywhere(&user_id, &heir, uuid_array(&tenant_id), true);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/*
 * Rows of tenants where the new account has no place stay where they are.
 */
static uint64
move_records(const pg_uuid_t *old_id, const pg_uuid_t *new_id)
{
	spi_latest(list_tenants, ARG_UUID(*new_id));
	return move_everywhere(
		old_id, new_id,
		DatumGetArrayTypePCopy(row_value(spi_row(0), "tenants")), false);
}

void
attach_init(void)
{
	activity_init();
	member_set_record_mover(move_records);
}
