/*
 * chain.c
 *	  A seal as a row, as signed bytes, and as a link of the chain.
 *
 * The key pair is derived from the key that signs links: one secret to guard,
 * in signing_key or in the key file, and in no dump. A copy therefore seals
 * with a key of its own.
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "utils/xid8.h"

#include "audit/chain.h"
#include "core/uuid.h"
#include "token/key.h"

#define SEAL_FORMAT "usermgmt audit seal 1"
#define KEY_PURPOSE "usermgmt audit seal key 1"

SPI_QUERY(read_last, "SELECT " SEAL_COLUMNS " FROM usermgmt.audit_seal"
					 " ORDER BY seal_no DESC LIMIT 1");
SPI_QUERY(insert_seal,
		  "INSERT INTO usermgmt.audit_seal (" SEAL_COLUMNS ") VALUES ($1, $2,"
		  " $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
		  " NULL)",
		  INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID, XID8OID, UUIDOID, INT4OID,
		  XID8OID, UUIDOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID,
		  UUIDOID, BYTEAOID);
SPI_QUERY(move_head,
		  "INSERT INTO usermgmt.audit_head (seal_no) VALUES ($1)"
		  " ON CONFLICT (one_row) DO UPDATE SET seal_no = EXCLUDED.seal_no",
		  INT8OID);

bytea *
bytea_of(const void *bytes, size_t size)
{
	bytea *stored = palloc(VARHDRSZ + size);

	SET_VARSIZE(stored, VARHDRSZ + size);
	memcpy(VARDATA(stored), bytes, size);
	return stored;
}

char *
hex_of(const void *bytes, size_t size)
{
	char *hex = palloc(2 * size + 1);

	return sodium_bin2hex(hex, 2 * size + 1, bytes, size);
}

static AuditPosition
position_of(SpiRow row, const char *epoch, const char *transaction,
			const char *event)
{
	return (AuditPosition){row_int(row, epoch),
						   U64FromFullTransactionId(DatumGetFullTransactionId(
							   row_value(row, transaction))),
						   row_uuid(row, event)};
}

/*
 * Copy a bytea of exactly this size; false when it has another.
 */
static bool
copy_bytes(SpiRow row, const char *column, unsigned char *target, size_t size)
{
	bytea *bytes = DatumGetByteaPP(row_value(row, column));

	memset(target, 0, size);
	if (VARSIZE_ANY_EXHDR(bytes) != size)
		return false;
	memcpy(target, VARDATA_ANY(bytes), size);
	return true;
}

static pg_uuid_t
uuid_or_nil(SpiRow row, const char *column)
{
	return row_is_null(row, column) ? uuid_nil : row_uuid(row, column);
}

void
seal_of(SpiRow row, AuditSeal *seal)
{
	bool isnull;
	Datum members = row_datum(row, "members", &isnull);

	seal->seal_no = DatumGetInt64(row_value(row, "seal_no"));
	seal->sealed_at = row_time(row, "sealed_at");
	seal->event_count = row_int(row, "event_count");
	seal->first = position_of(row, "first_epoch", "first_transaction_id",
							  "first_event_id");
	seal->last =
		position_of(row, "last_epoch", "last_transaction_id", "last_event_id");
	seal->is_whole = copy_bytes(row, "root", seal->root, HASH_SIZE);
	seal->is_whole &=
		copy_bytes(row, "members_digest", seal->members_digest, HASH_SIZE);
	seal->is_whole &= copy_bytes(row, "previous", seal->previous, HASH_SIZE);
	seal->is_whole &= copy_bytes(row, "public_key", seal->public_key,
								 sizeof(seal->public_key));
	seal->is_whole &=
		copy_bytes(row, "signature", seal->signature, sizeof(seal->signature));
	seal->key_event_id = uuid_or_nil(row, "key_event_id");
	seal->retired = uuid_or_nil(row, "retired_by");
	seal->members = isnull ? NULL : DatumGetByteaPCopy(members);
}

bool
seal_last(AuditSeal *seal, SpiView view)
{
	if (SPI_CALL(view, read_last) == 0)
		return false;
	seal_of(spi_row(0), seal);
	return true;
}

static void
put_position(StringInfo bytes, const AuditPosition *position)
{
	pq_sendint32(bytes, position->epoch);
	pq_sendint64(bytes, position->transaction_id);
	pq_sendbytes(bytes, (const char *) position->event_id.data, UUID_LEN);
}

static StringInfoData
header_of(const AuditSeal *seal)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	pq_sendbytes(&bytes, SEAL_FORMAT, sizeof(SEAL_FORMAT));
	pq_sendint64(&bytes, seal->seal_no);
	pq_sendint64(&bytes, seal->sealed_at);
	pq_sendint32(&bytes, seal->event_count);
	put_position(&bytes, &seal->first);
	put_position(&bytes, &seal->last);
	pq_sendbytes(&bytes, (const char *) seal->root, HASH_SIZE);
	pq_sendbytes(&bytes, (const char *) seal->members_digest, HASH_SIZE);
	pq_sendbytes(&bytes, (const char *) seal->previous, HASH_SIZE);
	pq_sendbytes(&bytes, (const char *) seal->public_key,
				 sizeof(seal->public_key));
	pq_sendbytes(&bytes, (const char *) seal->key_event_id.data, UUID_LEN);
	return bytes;
}

void
seal_hash(const AuditSeal *seal, unsigned char *hash)
{
	StringInfoData header = header_of(seal);

	crypto_generichash(hash, HASH_SIZE, (unsigned char *) header.data,
					   header.len, NULL, 0);
	pfree(header.data);
}

bool
seal_is_genuine(const AuditSeal *seal)
{
	StringInfoData header = header_of(seal);
	bool genuine =
		seal->is_whole && crypto_sign_verify_detached(
							  seal->signature, (unsigned char *) header.data,
							  header.len, seal->public_key) == 0;

	pfree(header.data);
	return genuine;
}

void
seal_key(SealKey *key)
{
	SigningKey root;
	unsigned char seed[crypto_sign_SEEDBYTES];

	signing_key(&root);
	crypto_generichash(seed, sizeof(seed), (const unsigned char *) KEY_PURPOSE,
					   sizeof(KEY_PURPOSE), root.bytes, sizeof(root.bytes));
	crypto_sign_seed_keypair(key->public, key->secret, seed);
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(&root, sizeof(root));
}

void
seal_sign(AuditSeal *seal, const SealKey *key)
{
	StringInfoData header;

	memcpy(seal->public_key, key->public, sizeof(seal->public_key));
	header = header_of(seal);
	crypto_sign_detached(seal->signature, NULL, (unsigned char *) header.data,
						 header.len, key->secret);
	pfree(header.data);
}

static SpiArg
arg_bytes(const void *bytes, size_t size)
{
	return ARG(BYTEAOID, PointerGetDatum(bytea_of(bytes, size)));
}

static SpiArg
arg_xid(uint64 transaction_id)
{
	return ARG(XID8OID, FullTransactionIdGetDatum(
							FullTransactionIdFromU64(transaction_id)));
}

void
seal_store(const AuditSeal *seal)
{
	bool same_key = uuid_equal(&seal->key_event_id, &uuid_nil);

	spi_run(insert_seal, ARG_BIGINT(seal->seal_no), ARG_TIME(seal->sealed_at),
			ARG_INT(seal->event_count), ARG_INT(seal->first.epoch),
			arg_xid(seal->first.transaction_id), ARG_UUID(seal->first.event_id),
			ARG_INT(seal->last.epoch), arg_xid(seal->last.transaction_id),
			ARG_UUID(seal->last.event_id), arg_bytes(seal->root, HASH_SIZE),
			ARG(BYTEAOID, PointerGetDatum(seal->members)),
			arg_bytes(seal->members_digest, HASH_SIZE),
			arg_bytes(seal->previous, HASH_SIZE),
			arg_bytes(seal->public_key, sizeof(seal->public_key)),
			ARG_OPT_UUID(same_key ? NULL : &seal->key_event_id),
			arg_bytes(seal->signature, sizeof(seal->signature)));
	spi_run(move_head, ARG_BIGINT(seal->seal_no));
}

/*
 * Mostly it is the tenant of the event before.
 */
void
member_tenant(const pg_uuid_t *tenant_id, unsigned char *tag)
{
	static pg_uuid_t last;
	static Digest hash;
	static bool is_known = false;

	if (!is_known || !uuid_equal(tenant_id, &last))
		crypto_generichash(hash, sizeof(hash), tenant_id->data, UUID_LEN, NULL,
						   0);
	is_known = true;
	last = *tenant_id;
	memcpy(tag, hash, sizeof(((SealMember *) NULL)->tenant));
}

void
member_of(const AuditLeaf *leaf, SealMember *member)
{
	member->event_id = leaf->at.event_id;
	member_tenant(&leaf->tenant_id, member->tenant);
	memcpy(member->leaf, leaf->hash, sizeof(member->leaf));
}
