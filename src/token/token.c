/*
 * token.c
 *	  Tokens in links and tokens of sessions.
 *
 * Purpose, tenant and installation are inside the MAC, so a reset token is no
 * invitation, tenant A's is none of tenant B's, and none opens in a copy.
 * Errors never repeat a token, and keep the statement out of the log.
 */
#include "postgres.h"

#include "sodium.h"

#include "utils/builtins.h"

#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "token/key.h"
#include "token/token.h"

#define TOKEN_VERSION 1
#define MAC_SIZE 32
#define SECRET_SIZE 32
#define SESSION_PREFIX "ums_"
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

typedef struct LinkBytes
{
	unsigned char version;
	unsigned char purpose;
	unsigned char key_id[4];
	unsigned char tenant_id[UUID_LEN];
	unsigned char object_id[UUID_LEN];
	unsigned char generation[4];
	unsigned char mac[MAC_SIZE];
} LinkBytes;

typedef struct SessionBytes
{
	unsigned char version;
	unsigned char tenant_id[UUID_LEN];
	unsigned char session_id[UUID_LEN];
	unsigned char secret[SECRET_SIZE];
} SessionBytes;

void
refuse_token(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_NOT_GENUINE),
					errmsg("the token is not genuine"),
					errhint("Use the whole link from the newest mail."),
					errhidestmt(true)));
}

static void
put_uint32(unsigned char *bytes, uint32 value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char) (value >> (24 - 8 * i));
}

static uint32
get_uint32(const unsigned char *bytes)
{
	return (uint32) bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static char *
encode(const void *bytes, size_t size)
{
	size_t length = sodium_base64_encoded_len(size, BASE64);
	char *encoded = palloc(length);

	return sodium_bin2base64(encoded, length, bytes, size, BASE64);
}

/*
 * Whether text is the one encoding of exactly size bytes.
 */
static bool
decode(const char *text, size_t length, void *bytes, size_t size)
{
	size_t decoded;

	return length == sodium_base64_encoded_len(size, BASE64) - 1 &&
		   sodium_base642bin(bytes, size, text, length, NULL, &decoded, NULL,
							 BASE64) == 0 &&
		   decoded == size;
}

/*
 * The MAC of everything before it, bound to this installation.
 */
static void
sign(const LinkBytes *link, const pg_uuid_t *installation,
	 const SigningKey *key, unsigned char *mac)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, key->bytes, KEY_SIZE, MAC_SIZE);
	crypto_generichash_update(&state, (const unsigned char *) link,
							  offsetof(LinkBytes, mac));
	crypto_generichash_update(&state, installation->data, UUID_LEN);
	crypto_generichash_final(&state, mac, MAC_SIZE);
	sodium_memzero(&state, sizeof(state));
}

char *
link_token_make(const LinkToken *token)
{
	LinkBytes link;
	SigningKey key;
	pg_uuid_t installation;
	char *encoded;

	if (!installation_id(&installation))
		elog(ERROR, "the installation is not active");
	signing_key(&key);
	link.version = TOKEN_VERSION;
	link.purpose = token->purpose;
	put_uint32(link.key_id, key.key_id);
	memcpy(link.tenant_id, token->tenant_id.data, UUID_LEN);
	memcpy(link.object_id, token->object_id.data, UUID_LEN);
	put_uint32(link.generation, token->generation);
	sign(&link, &installation, &key, link.mac);
	encoded = encode(&link, sizeof(link));
	sodium_memzero(&key, sizeof(key));
	sodium_memzero(&link, sizeof(link));
	return encoded;
}

/*
 * Whether the link was signed here, with a key that we have.
 */
static bool
is_genuine(const LinkBytes *link)
{
	SigningKey key;
	pg_uuid_t installation;
	unsigned char mac[MAC_SIZE];
	bool genuine;

	if (!installation_is_live() || !installation_id(&installation) ||
		!verifying_key(get_uint32(link->key_id), &key))
		return false;
	sign(link, &installation, &key, mac);
	genuine = sodium_memcmp(mac, link->mac, MAC_SIZE) == 0;
	sodium_memzero(&key, sizeof(key));
	sodium_memzero(mac, sizeof(mac));
	return genuine;
}

LinkToken
link_token_parse(text *token, LinkPurpose purpose, LinkPurpose other)
{
	LinkBytes link;
	LinkToken parts;

	if (token == NULL ||
		!decode(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), &link,
				sizeof(link)) ||
		link.version != TOKEN_VERSION ||
		(link.purpose != purpose && link.purpose != other) ||
		!is_genuine(&link))
		refuse_token();
	parts.purpose = link.purpose;
	memcpy(parts.tenant_id.data, link.tenant_id, UUID_LEN);
	memcpy(parts.object_id.data, link.object_id, UUID_LEN);
	parts.generation = (int32) get_uint32(link.generation);
	sodium_memzero(&link, sizeof(link));
	return parts;
}

char *
session_token_make(const pg_uuid_t *tenant_id, const pg_uuid_t *session_id,
				   bytea **hash)
{
	SessionBytes session;
	char *encoded;
	char *token;

	session.version = TOKEN_VERSION;
	memcpy(session.tenant_id, tenant_id->data, UUID_LEN);
	memcpy(session.session_id, session_id->data, UUID_LEN);
	randombytes_buf(session.secret, SECRET_SIZE);
	*hash = palloc(VARHDRSZ + TOKEN_HASH_SIZE);
	SET_VARSIZE(*hash, VARHDRSZ + TOKEN_HASH_SIZE);
	crypto_generichash((unsigned char *) VARDATA(*hash), TOKEN_HASH_SIZE,
					   session.secret, SECRET_SIZE, NULL, 0);
	encoded = encode(&session, sizeof(session));
	token = psprintf("%s%s", SESSION_PREFIX, encoded);
	sodium_memzero(encoded, strlen(encoded));
	sodium_memzero(&session, sizeof(session));
	return token;
}

bool
session_token_parse(text *token, SessionToken *parts)
{
	SessionBytes session;
	const size_t prefix = strlen(SESSION_PREFIX);

	if (token == NULL || VARSIZE_ANY_EXHDR(token) <= prefix ||
		memcmp(VARDATA_ANY(token), SESSION_PREFIX, prefix) != 0 ||
		!decode(VARDATA_ANY(token) + prefix, VARSIZE_ANY_EXHDR(token) - prefix,
				&session, sizeof(session)) ||
		session.version != TOKEN_VERSION)
		return false;
	memcpy(parts->tenant_id.data, session.tenant_id, UUID_LEN);
	memcpy(parts->session_id.data, session.session_id, UUID_LEN);
	crypto_generichash(parts->hash, TOKEN_HASH_SIZE, session.secret,
					   SECRET_SIZE, NULL, 0);
	sodium_memzero(&session, sizeof(session));
	return true;
}
