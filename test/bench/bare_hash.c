/*
 * bare_hash.c
 *	  A password hash at the default cost in a backend, and nothing else.
 */
#include "postgres.h"

#include "sodium.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bare_hash);
Datum
bare_hash(PG_FUNCTION_ARGS)
{
	static const char password[] = "seven quiet lanterns on the bridge";
	char stored[crypto_pwhash_STRBYTES];

	if (sodium_init() < 0)
		elog(ERROR, "libsodium cannot be used");
	PG_RETURN_BOOL(crypto_pwhash_str_alg(stored, password, strlen(password), 3,
										 64 * 1024 * 1024,
										 crypto_pwhash_ALG_ARGON2ID13) == 0);
}
