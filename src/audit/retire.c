/*
 * retire.c
 *	  Remove old sealed events, and leave their seals and a tombstone.
 *
 * Whole seals go, from the beginning of the chain, and only if they verify: so
 * nothing that was forged is destroyed with them, and nothing goes that is not
 * sealed. The event audit.retired is the tombstone; the seals stay without
 * their lists and name it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "audit/audit.h"
#include "audit/verify.h"
#include "core/address.h"
#include "core/installation.h"
#include "core/slots.h"
#include "core/uuid.h"

SPI_QUERY(find_last,
		  "SELECT " SEAL_COLUMNS " FROM usermgmt.audit_seal AS s"
		  " WHERE s.members IS NOT NULL AND s.sealed_at < $1"
		  " ORDER BY s.seal_no DESC LIMIT 1",
		  TIMESTAMPTZOID);
SPI_QUERY(count_retired,
		  "SELECT min(seal_no) AS first_seal, sum(event_count)::bigint"
		  " AS events FROM usermgmt.audit_seal"
		  " WHERE members IS NOT NULL AND seal_no <= $1",
		  INT8OID);
SPI_QUERY(delete_events,
		  "DELETE FROM usermgmt.audit_event"
		  " WHERE (epoch, transaction_id, event_id) <= ($1, $2, $3)",
		  INT4OID, XID8OID, UUIDOID);
SPI_QUERY(delete_erasures,
		  "DELETE FROM usermgmt.audit_erasure AS r WHERE NOT EXISTS (SELECT"
		  " FROM usermgmt.audit_event AS e WHERE e.tenant_id = $1"
		  " AND e.event_id = r.erasure_id)",
		  UUIDOID);
SPI_QUERY(mark_seals,
		  "UPDATE usermgmt.audit_seal SET members = NULL, retired_by = $2"
		  " WHERE seal_no <= $1",
		  INT8OID, UUIDOID);

static void
require_intact(int64 upto)
{
	Verification verification = {.upto = upto};

	verify_chain(&verification);
	if (verification.problems > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the trail does not verify, so nothing is retired"),
				 errhint("SELECT * FROM usermgmt.audit_verify() names what is "
						 "wrong.")));
}

/*
 * The tombstone: what was removed, and the hash of the last seal.
 */
static pg_uuid_t
record_retirement(const AuditSeal *last, const char *reason)
{
	int64 first_seal;
	int64 events;
	Digest hash;
	char *document;

	spi_run(count_retired, ARG_BIGINT(last->seal_no));
	first_seal = DatumGetInt64(row_value(spi_row(0), "first_seal"));
	events = DatumGetInt64(row_value(spi_row(0), "events"));
	seal_hash(last, hash);
	document = psprintf(
		"{\"first_seal\": " INT64_FORMAT ", \"last_seal\": " INT64_FORMAT
		", \"events\": " INT64_FORMAT ", \"seal\": \"%s\"}",
		first_seal, last->seal_no, events, hex_of(hash, sizeof(hash)));
	return audit_write(&(AuditEvent){
		.action = "audit.retired",
		.object_type = "audit_seal",
		.object_id = psprintf(INT64_FORMAT, last->seal_no),
		.tenant_id = &uuid_nil,
		.after = DirectFunctionCall1(jsonb_in, CStringGetDatum(document)),
		.reason = reason});
}

static uint64
retire_upto(const AuditSeal *last, const char *reason)
{
	pg_uuid_t tombstone = record_retirement(last, reason);
	FullTransactionId transaction =
		FullTransactionIdFromU64(last->last.transaction_id);
	uint64 removed;

	audit_unlock();
	spi_run(mark_seals, ARG_BIGINT(last->seal_no), ARG_UUID(tombstone));
	removed = spi_run(delete_events, ARG_INT(last->last.epoch),
					  ARG(XID8OID, FullTransactionIdGetDatum(transaction)),
					  ARG_UUID(last->last.event_id));
	spi_run(delete_erasures, ARG_UUID(uuid_nil));
	audit_lock();
	return removed;
}

PG_FUNCTION_INFO_V1(audit_retire);
Datum
audit_retire(PG_FUNCTION_ARGS)
{
	LOCKTAG eraser = slot_tag(SLOT_ERASE, 0, false);
	LOCKTAG sealer = slot_tag(SLOT_SEAL, 0, false);
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	TimestampTz before;
	AuditSeal last;
	uint64 removed = 0;

	if (PG_ARGISNULL(0))
		refuse_null("before");
	before = PG_GETARG_TIMESTAMPTZ(0);
	if (TIMESTAMP_NOT_FINITE(before) || before > GetCurrentTimestamp())
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("before is no moment of the past")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
						errmsg("events can only be retired in a transaction "
							   "of the isolation level READ COMMITTED")));
	SPI_connect();
	begin_writing(fcinfo);
	(void) LockAcquire(&eraser, ExclusiveLock, false, false);
	(void) LockAcquire(&sealer, ExclusiveLock, false, false);
	PushActiveSnapshot(GetLatestSnapshot());
	if (spi_read(find_last, ARG_TIME(before)) > 0)
	{
		seal_of(spi_row(0), &last);
		require_intact(last.seal_no);
		removed = retire_upto(&last, reason);
	}
	PopActiveSnapshot();
	SPI_finish();
	PG_RETURN_INT32(Min(removed, PG_INT32_MAX));
}
