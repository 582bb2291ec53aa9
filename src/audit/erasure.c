/*
 * erasure.c
 *	  The records of erasures, and whether they explain an event that is not
 *	  what was sealed.
 */
#include "postgres.h"

#include "audit/erase.h"
#include "audit/reader.h"
#include "core/uuid.h"

#define MOST_ERASURES 100 /* of one event; each has one more person in it */

SPI_QUERY(list_erasures,
		  "SELECT DISTINCT erasure_id FROM usermgmt.audit_erasure");
SPI_QUERY(list_erased,
		  "SELECT tenant_id, event_id, before, after"
		  " FROM usermgmt.audit_erasure WHERE erasure_id = $1"
		  " ORDER BY tenant_id, event_id",
		  UUIDOID);
SPI_QUERY(find_record,
		  "SELECT FROM usermgmt.audit_event WHERE tenant_id = $1"
		  " AND event_id = $2 AND action = 'person.erased'"
		  " AND new ->> 'digest' = $3",
		  UUIDOID, UUIDOID, TEXTOID);
SPI_QUERY(find_before,
		  "SELECT erasure_id, before FROM usermgmt.audit_erasure"
		  " WHERE event_id = $1 AND tenant_id = $2 AND after = $3",
		  UUIDOID, UUIDOID, BYTEAOID);

static void
add_bytes(crypto_generichash_state *hash, SpiRow row, const char *column)
{
	bytea *bytes = DatumGetByteaPP(row_value(row, column));

	crypto_generichash_update(hash, (unsigned char *) VARDATA_ANY(bytes),
							  VARSIZE_ANY_EXHDR(bytes));
}

void
erasure_digest(const pg_uuid_t *erasure_id, SpiView view, unsigned char *digest)
{
	RowReader rows =
		reader_open(SPI_OPEN(view, list_erased, ARG_UUID(*erasure_id)), 500);
	crypto_generichash_state hash;
	SpiRow row;

	crypto_generichash_init(&hash, NULL, 0, HASH_SIZE);
	while (reader_next(&rows, &row))
	{
		pg_uuid_t tenant_id = row_uuid(row, "tenant_id");
		pg_uuid_t event_id = row_uuid(row, "event_id");

		crypto_generichash_update(&hash, tenant_id.data, UUID_LEN);
		crypto_generichash_update(&hash, event_id.data, UUID_LEN);
		add_bytes(&hash, row, "before");
		add_bytes(&hash, row, "after");
	}
	reader_close(&rows);
	crypto_generichash_final(&hash, digest, HASH_SIZE);
}

List *
judge_erasures(Verification *verification)
{
	RowReader erasures =
		reader_open(SPI_OPEN(SPI_VIEW_QUERY, list_erasures), 100);
	List *bad = NIL;
	SpiRow row;

	while (reader_next(&erasures, &row))
	{
		pg_uuid_t *erasure_id = palloc(sizeof(pg_uuid_t));
		Digest digest;

		*erasure_id = row_uuid(row, "erasure_id");
		erasure_digest(erasure_id, SPI_VIEW_QUERY, digest);
		if (spi_read(find_record, ARG_UUID(uuid_nil), ARG_UUID(*erasure_id),
					 ARG_TEXT(hex_of(digest, HASH_SIZE))) > 0)
			continue;
		verify_report(verification, 0, erasure_id,
					  "the records of the erasure do not fit its event, or "
					  "the event is gone");
		bad = lappend(bad, erasure_id);
	}
	reader_close(&erasures);
	return bad;
}

/*
 * The commitment before the erasure that led to this one; false when there is
 * none that counts.
 */
static bool
step_back(const List *bad_erasures, const AuditLeaf *leaf, Digest commitment)
{
	bytea *before;
	pg_uuid_t erasure_id;
	ListCell *cell;

	if (spi_read(find_before, ARG_UUID(leaf->at.event_id),
				 ARG_UUID(leaf->tenant_id),
				 ARG(BYTEAOID,
					 PointerGetDatum(bytea_of(commitment, HASH_SIZE)))) == 0)
		return false;
	erasure_id = row_uuid(spi_row(0), "erasure_id");
	foreach (cell, bad_erasures)
		if (uuid_equal(lfirst(cell), &erasure_id))
			return false;
	before = DatumGetByteaPP(row_value(spi_row(0), "before"));
	if (VARSIZE_ANY_EXHDR(before) != HASH_SIZE)
		return false;
	memcpy(commitment, VARDATA_ANY(before), HASH_SIZE);
	return true;
}

bool
erasure_explains(const List *bad_erasures, const AuditLeaf *leaf,
				 const SealMember *member, unsigned char *hash)
{
	Digest commitment;

	memcpy(commitment, leaf->commitment, HASH_SIZE);
	for (int i = 0; i < MOST_ERASURES; i++)
	{
		if (!step_back(bad_erasures, leaf, commitment))
			return false;
		leaf_hash_with(leaf, commitment, hash);
		if (memcmp(hash, member->leaf, sizeof(member->leaf)) == 0)
			return true;
	}
	return false;
}
