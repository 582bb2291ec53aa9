/*
 * seal.c
 *	  Seal what can no longer change: the events of finished transactions.
 *
 * Events are sealed in the order (epoch, transaction, event id), up to the
 * oldest transaction that runs: below it, prepared ones included, all have
 * ended, so no event can come late. Those of earlier epochs were written in
 * other databases. One sealer works at a time; another returns at once. A
 * call looks at what is committed now; in REPEATABLE READ and above it gives
 * way (40001) to a seal made since its snapshot.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/xid8.h"

#include "audit/audit.h"
#include "audit/chain.h"
#include "audit/reader.h"
#include "audit/seal.h"
#include "core/installation.h"
#include "core/slots.h"
#include "core/uuid.h"

SPI_QUERY(read_horizon, "SELECT pg_catalog.pg_snapshot_xmin("
						"pg_catalog.pg_current_snapshot()) AS horizon");
SPI_QUERY(list_unsealed,
		  "SELECT " LEAF_COLUMNS " FROM usermgmt.audit_event"
		  " WHERE (epoch, transaction_id, event_id) > ($1, $2, $3)"
		  " AND (epoch, transaction_id) < ($4, $5)"
		  " ORDER BY epoch, transaction_id, event_id",
		  INT4OID, XID8OID, UUIDOID, INT4OID, XID8OID);

/* The events of the seal in the making. */
typedef struct Batch
{
	int count;
	AuditPosition first;
	AuditPosition last;
	Digest *leaves;
	SealMember *members;
} Batch;

/*
 * Read the next events; false when there is none.
 */
static bool
fill(Batch *batch, RowReader *events, MemoryContext each)
{
	SpiRow row;

	batch->count = 0;
	while (batch->count < SEAL_BATCH && reader_next(events, &row))
	{
		MemoryContext outer = MemoryContextSwitchTo(each);
		AuditLeaf leaf;

		leaf_of(row, &leaf);
		if (batch->count == 0)
			batch->first = leaf.at;
		batch->last = leaf.at;
		memcpy(batch->leaves[batch->count], leaf.hash, HASH_SIZE);
		member_of(&leaf, &batch->members[batch->count++]);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(each);
	}
	return batch->count > 0;
}

/*
 * Record in the trail that another key seals from here on.
 */
static pg_uuid_t
record_key(const AuditSeal *previous, const SealKey *key)
{
	char *before = hex_of(previous->public_key, sizeof(previous->public_key));
	char *document = psprintf("{\"public_key\": \"%s\"}", before);

	return audit_write(&(AuditEvent){
		.action = "audit.key_changed",
		.object_type = "audit_key",
		.object_id = hex_of(key->public, sizeof(key->public)),
		.tenant_id = &uuid_nil,
		.before = DirectFunctionCall1(jsonb_in, CStringGetDatum(document))});
}

/*
 * Seal the batch after the seal, which becomes the new one.
 */
static void
seal_batch(Batch *batch, AuditSeal *seal, const SealKey *key)
{
	size_t size = batch->count * sizeof(SealMember);
	AuditSeal previous = *seal;

	memset(seal, 0, sizeof(*seal));
	seal->seal_no = previous.seal_no + 1;
	seal->sealed_at = GetCurrentTimestamp();
	seal->event_count = batch->count;
	seal->first = batch->first;
	seal->last = batch->last;
	seal->members = bytea_of(batch->members, size);
	crypto_generichash(seal->members_digest, HASH_SIZE,
					   (unsigned char *) batch->members, size, NULL, 0);
	merkle_root(batch->leaves, batch->count, seal->root);
	if (previous.seal_no > 0)
	{
		seal_hash(&previous, seal->previous);
		if (memcmp(previous.public_key, key->public, sizeof(key->public)) != 0)
			seal->key_event_id = record_key(&previous, key);
	}
	seal_sign(seal, key);
	seal_store(seal);
	pfree(seal->members);
}

static RowReader
open_unsealed(const AuditSeal *last)
{
	FullTransactionId horizon;
	FullTransactionId after =
		FullTransactionIdFromU64(last->last.transaction_id);
	int32 after_epoch = last->seal_no > 0 ? last->last.epoch : -1;

	spi_latest(read_horizon);
	horizon = DatumGetFullTransactionId(row_value(spi_row(0), "horizon"));
	return reader_open(
		SPI_OPEN(SPI_VIEW_LATEST, list_unsealed, ARG_INT(after_epoch),
				 ARG(XID8OID, FullTransactionIdGetDatum(after)),
				 ARG_UUID(last->last.event_id), ARG_INT(installation_epoch()),
				 ARG(XID8OID, FullTransactionIdGetDatum(horizon))),
		SEAL_BATCH);
}

uint64
audit_seal_pending(int max_batches)
{
	LOCKTAG sealer = slot_tag(SLOT_SEAL, 0, false);
	MemoryContext each;
	RowReader events;
	SealKey key;
	AuditSeal seal = {0};
	Batch batch = {.leaves = palloc(SEAL_BATCH * sizeof(Digest)),
				   .members = palloc(SEAL_BATCH * sizeof(SealMember))};
	uint64 sealed = 0;

	if (LockAcquire(&sealer, ExclusiveLock, false, true) ==
		LOCKACQUIRE_NOT_AVAIL)
		return 0;
	seal_last(&seal, SPI_VIEW_LATEST);
	events = open_unsealed(&seal);
	each = AllocSetContextCreate(CurrentMemoryContext, "sealed event",
								 ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < max_batches && fill(&batch, &events, each); i++)
	{
		if (i == 0)
			seal_key(&key); /* makes one at first use */
		seal_batch(&batch, &seal, &key);
		sealed += batch.count;
	}
	sodium_memzero(&key, sizeof(key));
	reader_close(&events);
	MemoryContextDelete(each);
	return sealed;
}

PG_FUNCTION_INFO_V1(audit_seal);
Datum
audit_seal(PG_FUNCTION_ARGS)
{
	uint64 sealed;

	SPI_connect();
	begin_writing(fcinfo);
	sealed = audit_seal_pending(PG_INT32_MAX);
	SPI_finish();
	PG_RETURN_INT32(Min(sealed, PG_INT32_MAX));
}
