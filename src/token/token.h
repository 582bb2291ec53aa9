/*
 * token.h: link tokens, derived and never stored; session tokens, stored as
 * hashes.
 *
 * A link token is base64url without padding of
 *     version, purpose, key id, tenant, object, generation, MAC
 * with the MAC a keyed BLAKE2b-256 over the bytes before it and the
 * installation id. A session token is "ums_" and base64url of
 *     version, tenant, session, 32 random bytes
 * of which the BLAKE2b-256 of the random bytes is stored.
 */
#ifndef USERMGMT_TOKEN_H
#define USERMGMT_TOKEN_H

#include "fmgr.h"
#include "utils/uuid.h"

#include "core/compat.h"

#define TOKEN_HASH_SIZE 32

typedef enum LinkPurpose
{
	LINK_NONE = 0,
	LINK_INVITATION,
	LINK_PASSWORD_RESET,
	LINK_INVITATION_BY_HAND, /* shown to an admin: proves no mailbox */
	LINK_EMAIL_CHANGE
} LinkPurpose;

typedef struct LinkToken
{
	LinkPurpose purpose;
	pg_uuid_t tenant_id;
	pg_uuid_t object_id;
	int32 generation;
} LinkToken;

/* The token for these, palloc'd. Makes the signing key at first use. The SPI
 * connection is open. */
extern char *link_token_make(const LinkToken *token);

/* The genuine token in text of one of these purposes. Raises UM010 for
 * everything else, NULL included, before any table of the rooms is read. The
 * SPI connection is open. */
extern LinkToken link_token_parse(text *token, LinkPurpose purpose,
								  LinkPurpose other);

/* Raises UM010. */
pg_noreturn extern void refuse_token(void);

typedef struct SessionToken
{
	pg_uuid_t tenant_id;
	pg_uuid_t session_id;
	unsigned char hash[TOKEN_HASH_SIZE];
} SessionToken;

/* A new secret for this session: its token, palloc'd, and the hash to store
 * as a palloc'd bytea. */
extern char *session_token_make(const pg_uuid_t *tenant_id,
								const pg_uuid_t *session_id, bytea **hash);

/* The parts of a session token; false when text is none. Raises nothing. */
extern bool session_token_parse(text *token, SessionToken *parts);

#endif
