/*
 * leaf.c
 *	  The bytes of an event that are hashed, and the tree over the hashes.
 */
#include "postgres.h"

#include "sodium.h"

#include "access/htup_details.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/xid8.h"

#include "audit/leaf.h"
#include "core/uuid.h"

/* What is hashed begins with the kind of thing it is. */
#define LEAF_DOMAIN 0x00
#define NODE_DOMAIN 0x01
#define COMMITMENT_DOMAIN 0x02

#define FIRST_COMMITTED 10 /* actor_email */

typedef enum Shape
{
	SHAPE_INT,
	SHAPE_BIGINT,
	SHAPE_UUID,
	SHAPE_TEXT,
	SHAPE_JSONB
} Shape;

static const Shape shapes[LEAF_WIDTH] = {
	SHAPE_INT,	 SHAPE_BIGINT, SHAPE_UUID, SHAPE_UUID, SHAPE_BIGINT,
	SHAPE_UUID,	 SHAPE_TEXT,   SHAPE_UUID, SHAPE_TEXT, SHAPE_TEXT,
	SHAPE_TEXT,	 SHAPE_TEXT,   SHAPE_TEXT, SHAPE_TEXT, SHAPE_JSONB,
	SHAPE_JSONB, SHAPE_TEXT,   SHAPE_UUID};

int
position_compare(const AuditPosition *a, const AuditPosition *b)
{
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	if (a->transaction_id != b->transaction_id)
		return a->transaction_id < b->transaction_id ? -1 : 1;
	return memcmp(a->event_id.data, b->event_id.data, UUID_LEN);
}

static void
put_text(StringInfo bytes, const char *text, int length)
{
	char *utf8 = pg_server_to_any(text, length, PG_UTF8);

	if (utf8 != text)
		length = strlen(utf8);
	pq_sendint32(bytes, length);
	pq_sendbytes(bytes, utf8, length);
}

/*
 * The text is written where it is wanted, its length before it afterwards.
 */
static void
put_jsonb(StringInfo bytes, Datum value)
{
	Jsonb *document = DatumGetJsonbP(value);
	int begin = bytes->len;
	char *text;
	char *utf8;
	int length;

	pq_sendint32(bytes, 0);
	JsonbToCString(bytes, &document->root, VARSIZE(document));
	text = bytes->data + begin + sizeof(int32);
	length = bytes->len - begin - sizeof(int32);
	utf8 = pg_server_to_any(text, length, PG_UTF8);
	if (utf8 != text)
		length = strlen(utf8);
	bytes->len = begin;
	pq_sendint32(bytes, length);
	if (utf8 == text)
		bytes->len += length;
	else
		pq_sendbytes(bytes, utf8, length);
}

/*
 * One value: whether there is one, its length where that varies, its bytes.
 */
static void
put_value(StringInfo bytes, Shape shape, Datum value, bool isnull)
{
	text *packed;

	pq_sendbyte(bytes, isnull ? 0 : 1);
	if (isnull)
		return;
	switch (shape)
	{
		case SHAPE_INT:
			pq_sendint32(bytes, DatumGetInt32(value));
			break;
		case SHAPE_BIGINT:
			pq_sendint64(bytes, DatumGetInt64(value));
			break;
		case SHAPE_UUID:
			pq_sendbytes(bytes, (char *) DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case SHAPE_TEXT:
			packed = DatumGetTextPP(value);
			put_text(bytes, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
			break;
		case SHAPE_JSONB:
			put_jsonb(bytes, value);
			break;
	}
}

static void
hash_bytes(const StringInfo bytes, unsigned char *hash)
{
	crypto_generichash(hash, HASH_SIZE, (unsigned char *) bytes->data,
					   bytes->len, NULL, 0);
}

void
leaf_commit(const Datum *values, const bool *nulls, unsigned char *commitment)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	pq_sendbyte(&bytes, COMMITMENT_DOMAIN);
	for (int i = 0; i < LEAF_WIDTH - FIRST_COMMITTED; i++)
		put_value(&bytes, shapes[FIRST_COMMITTED + i], values[i], nulls[i]);
	hash_bytes(&bytes, commitment);
	pfree(bytes.data);
}

void
leaf_hash_with(const AuditLeaf *leaf, const unsigned char *commitment,
			   unsigned char *hash)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	pq_sendbyte(&bytes, LEAF_DOMAIN);
	for (int i = 0; i < FIRST_COMMITTED; i++)
		put_value(&bytes, shapes[i], leaf->values[i], leaf->nulls[i]);
	pq_sendbytes(&bytes, (const char *) commitment, HASH_SIZE);
	hash_bytes(&bytes, hash);
	pfree(bytes.data);
}

void
leaf_of(SpiRow row, AuditLeaf *leaf)
{
	if (row.desc->natts < LEAF_WIDTH || row.desc->natts > LEAF_WIDTH + 1)
		elog(ERROR, "%d columns make no leaf", row.desc->natts);
	heap_deform_tuple(row.tuple, row.desc, leaf->values, leaf->nulls);
	leaf->at.epoch = DatumGetInt32(leaf->values[0]);
	leaf->at.transaction_id =
		U64FromFullTransactionId(DatumGetFullTransactionId(leaf->values[1]));
	leaf->at.event_id = *DatumGetUUIDP(leaf->values[2]);
	leaf->tenant_id = *DatumGetUUIDP(leaf->values[3]);
	leaf_commit(leaf->values + FIRST_COMMITTED, leaf->nulls + FIRST_COMMITTED,
				leaf->commitment);
	leaf_hash_with(leaf, leaf->commitment, leaf->hash);
}

static void
hash_node(const unsigned char *left, const unsigned char *right,
		  unsigned char *hash)
{
	unsigned char bytes[1 + 2 * HASH_SIZE];

	bytes[0] = NODE_DOMAIN;
	memcpy(bytes + 1, left, HASH_SIZE);
	memcpy(bytes + 1 + HASH_SIZE, right, HASH_SIZE);
	crypto_generichash(hash, HASH_SIZE, bytes, sizeof(bytes), NULL, 0);
}

/*
 * Level by level; an odd one goes up as it is.
 */
void
merkle_root(Digest *hashes, int count, unsigned char *root)
{
	while (count > 1)
	{
		int above = 0;

		for (int i = 0; i + 1 < count; i += 2)
			hash_node(hashes[i], hashes[i + 1], hashes[above++]);
		if (count % 2 == 1)
			memmove(hashes[above++], hashes[count - 1], HASH_SIZE);
		count = above;
	}
	memcpy(root, hashes[0], HASH_SIZE);
}
