/*
 * leaf.h: what of an event is sealed.
 *
 * The leaf of an event is BLAKE2b-256 over its fixed columns and a commitment:
 * BLAKE2b-256 over a random salt and the columns that may hold personal data.
 * Who erases a person replaces these columns and the salt; the leaf stays, and
 * the old commitment tells nothing. Values are hashed as an auditor reads
 * them (texts in UTF-8, jsonb as text), so a restore changes none.
 */
#ifndef USERMGMT_AUDIT_LEAF_H
#define USERMGMT_AUDIT_LEAF_H

#include "core/spi_query.h"

#define HASH_SIZE 32

typedef unsigned char Digest[HASH_SIZE];

/* Where an event stands in the order of sealing. */
typedef struct AuditPosition
{
	int32 epoch;
	uint64 transaction_id;
	pg_uuid_t event_id;
} AuditPosition;

extern int position_compare(const AuditPosition *a, const AuditPosition *b);

/* The columns of a row that leaf_of() takes, in this order; those from
 * actor_email to salt are under the commitment. */
#define LEAF_COLUMNS                                                           \
	"epoch, transaction_id, event_id, tenant_id, occurred_at,"                 \
	" actor_user_id, actor_db_role, session_id, action, object_type,"          \
	" actor_email, ip, object_id, subject_email, old, new, reason, salt"
#define LEAF_WIDTH 18

typedef struct AuditLeaf
{
	AuditPosition at;
	pg_uuid_t tenant_id;
	Digest commitment;
	Digest hash;
	Datum values[LEAF_WIDTH + 1]; /* and room for one column more */
	bool nulls[LEAF_WIDTH + 1];
} AuditLeaf;

/* The leaf of a row of LEAF_COLUMNS and at most one more; its values live as
 * long as the row. */
extern void leaf_of(SpiRow row, AuditLeaf *leaf);

/* The hash that the leaf has with this commitment in place of its own. */
extern void leaf_hash_with(const AuditLeaf *leaf,
						   const unsigned char *commitment,
						   unsigned char *hash);

/* The commitment to these values of the columns from actor_email to salt. */
extern void leaf_commit(const Datum *values, const bool *nulls,
						unsigned char *commitment);

/* The root of the Merkle tree (RFC 6962's shape) over count > 0 hashes, which
 * it overwrites. */
extern void merkle_root(Digest *hashes, int count, unsigned char *root);

#endif
