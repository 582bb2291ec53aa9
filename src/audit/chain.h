/*
 * chain.h: the sealed batches, each linked to the one before.
 *
 * The signed header of a seal holds its number, time, the first and last
 * position and the count of its events, the Merkle root over their leaves, the
 * digest of the list of members, the hash of the seal before, the public key,
 * and the event that recorded a change of key. The list of members says which
 * events a batch holds, so that verification can name the one that is wrong.
 */
#ifndef USERMGMT_AUDIT_CHAIN_H
#define USERMGMT_AUDIT_CHAIN_H

#include "sodium.h"

#include "audit/leaf.h"

#define SEAL_BATCH 1024 /* most events of one seal */

/* One event in the list of a seal's members. */
typedef struct SealMember
{
	pg_uuid_t event_id;
	unsigned char tenant[8]; /* the beginning of the tenant's hash */
	unsigned char leaf[8];	 /* the beginning of the leaf */
} SealMember;

typedef struct AuditSeal
{
	int64 seal_no;
	TimestampTz sealed_at;
	int32 event_count;
	AuditPosition first;
	AuditPosition last;
	Digest root;
	Digest members_digest;
	Digest previous;
	unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
	pg_uuid_t key_event_id; /* nil: the key is that of the seal before */
	unsigned char signature[crypto_sign_BYTES];
	bool is_whole;	   /* every value has its proper size */
	bytea *members;	   /* NULL when the events were retired */
	pg_uuid_t retired; /* the event that recorded that, or nil */
} AuditSeal;

#define SEAL_COLUMNS                                                           \
	"seal_no, sealed_at, event_count, first_epoch, first_transaction_id,"      \
	" first_event_id, last_epoch, last_transaction_id, last_event_id, root,"   \
	" members, members_digest, previous, public_key, key_event_id,"            \
	" signature, retired_by"

/* The seal of a row of SEAL_COLUMNS; members is palloc'd. */
extern void seal_of(SpiRow row, AuditSeal *seal);

/* The last seal; false when nothing is sealed. */
extern bool seal_last(AuditSeal *seal, SpiView view);

/* What the next seal names as its previous; zeros for the first. */
extern void seal_hash(const AuditSeal *seal, unsigned char *hash);

extern bool seal_is_genuine(const AuditSeal *seal);

/* The key pair that seals, derived from the signing key of the installation.
 * The caller wipes it. */
typedef struct SealKey
{
	unsigned char public[crypto_sign_PUBLICKEYBYTES];
	unsigned char secret[crypto_sign_SECRETKEYBYTES];
} SealKey;

extern void seal_key(SealKey *key);

extern void seal_sign(AuditSeal *seal, const SealKey *key);

/* Inserts it, and moves the head of the chain to it. */
extern void seal_store(const AuditSeal *seal);

extern void member_of(const AuditLeaf *leaf, SealMember *member);
extern void member_tenant(const pg_uuid_t *tenant_id, unsigned char *tag);

/* A bytea of these bytes, palloc'd. */
extern bytea *bytea_of(const void *bytes, size_t size);

/* Hexadecimal digits, palloc'd. */
extern char *hex_of(const void *bytes, size_t size);

#endif
