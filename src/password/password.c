/*
 * password.c
 *	  Argon2id, bounded by slots, and the policy for new passwords.
 *
 * A hash can not be interrupted and takes tens of megabytes, so at most
 * hash_slots run at once; whoever waits for a slot can be cancelled. Stored
 * parameters above the ceiling are refused, so that no planted hash can
 * exhaust the server.
 */
#include "postgres.h"

#include "sodium.h"

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "core/errors.h"
#include "core/slots.h"
#include "password/password.h"

#define PASSWORD_MAX 1024
#define CEILING_MEMORY 1048576 /* kB */
#define CEILING_PASSES 100

/*
 * Normalize UTF-8 to NFC; a secret that is all ASCII stays as it is.
 */
static Password
normalize(const char *utf8, size_t length)
{
	Password password;
	pg_wchar *wide = palloc((length + 1) * sizeof(pg_wchar));
	pg_wchar *composed;
	unsigned char *out;
	size_t count = 0;

	for (size_t i = 0; i < length; count++)
	{
		wide[count] = utf8_to_unicode((const unsigned char *) utf8 + i);
		i += pg_utf_mblen((const unsigned char *) utf8 + i);
	}
	wide[count] = 0;
	composed = unicode_normalize(UNICODE_NFC, wide);
	for (count = 0; composed[count] != 0; count++)
		;
	password.secret = palloc(count * 4 + 1);
	out = (unsigned char *) password.secret;
	for (size_t i = 0; i < count; i++)
	{
		unicode_to_utf8(composed[i], out);
		out += pg_utf_mblen(out);
	}
	*out = '\0';
	password.length = (char *) out - password.secret;
	sodium_memzero(wide, (length + 1) * sizeof(pg_wchar));
	sodium_memzero(composed, count * sizeof(pg_wchar));
	return password;
}

Password
password_argument(FunctionCallInfo fcinfo, int n)
{
	Password password = {pstrdup(""), 0};
	text *argument;
	char *utf8;

	if (PG_ARGISNULL(n))
		return password;
	argument = PG_GETARG_TEXT_PP(n);
	if (VARSIZE_ANY_EXHDR(argument) > PASSWORD_MAX ||
		(GetDatabaseEncoding() == PG_SQL_ASCII &&
		 !pg_verify_mbstr(PG_UTF8, VARDATA_ANY(argument),
						  VARSIZE_ANY_EXHDR(argument), true)))
		return password;
	utf8 = pg_server_to_any(text_to_cstring(argument),
							VARSIZE_ANY_EXHDR(argument), PG_UTF8);
	password = normalize(utf8, strlen(utf8));
	sodium_memzero(utf8, strlen(utf8));
	return password;
}

void
password_wipe(Password *password)
{
	sodium_memzero(password->secret, password->length);
	password->length = 0;
}

static void
reject(const char *rule)
{
	ereport(ERROR,
			(errcode(ERRCODE_UM_PASSWORD_REJECTED),
			 errmsg("the password is not accepted"), errdetail("%s", rule),
			 errhint("A few unrelated words make a good one."),
			 errhidestmt(true)));
}

static bool
is_word(const Password *password, const char *word, size_t length)
{
	return password->length == length &&
		   pg_strncasecmp(password->secret, word, length) == 0;
}

void
password_check(const Password *password, const char *email, const char *name,
			   const Tenant *tenant)
{
	const char *at = strchr(email, '@');

	if (password->length < password_min_length)
		reject(psprintf("It must have %d to %d octets.", password_min_length,
						PASSWORD_MAX));
	if (is_word(password, email, strlen(email)) ||
		is_word(password, email, at - email))
		reject("It must not be the e-mail address.");
	if (name != NULL && is_word(password, name, strlen(name)))
		reject("It must not be the name of the person.");
	if (tenant != NULL &&
		(is_word(password, tenant->name, strlen(tenant->name)) ||
		 is_word(password, tenant->slug, strlen(tenant->slug))))
		reject("It must not be the name of the tenant.");
	if (is_word(password, "usermgmt", strlen("usermgmt")))
		reject("It must not be the name of this product.");
	if (password_is_common(password))
		reject("It must not be one of the common passwords, which are tried "
			   "first.");
}

/*
 * Hash within a slot that is already held.
 */
static char *
hash_now(const Password *password)
{
	char *stored = palloc(crypto_pwhash_STRBYTES);

	if (crypto_pwhash_str_alg(stored, password->secret, password->length,
							  hash_passes, (size_t) hash_memory * 1024,
							  crypto_pwhash_ALG_ARGON2ID13) != 0)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("not enough memory to hash a password"),
						errhidestmt(true)));
	return stored;
}

char *
password_hash(const Password *password)
{
	LOCKTAG slot = hash_slot_take();
	char *stored = hash_now(password);

	hash_slot_release(&slot);
	return stored;
}

char *
password_rehash(const Password *password)
{
	LOCKTAG slot;
	char *stored = NULL;

	if (hash_slot_try(&slot))
	{
		stored = hash_now(password);
		hash_slot_release(&slot);
	}
	return stored;
}

/*
 * Whether a stored hash stays below the ceiling.
 */
static bool
is_bearable(const char *stored)
{
	unsigned int memory;
	unsigned int passes;

	return sscanf(stored, "$argon2id$v=19$m=%u,t=%u,", &memory, &passes) == 2 &&
		   memory <= CEILING_MEMORY && passes <= CEILING_PASSES;
}

PasswordVerdict
password_verify(const Password *password, const char *stored)
{
	PasswordVerdict verdict = PASSWORD_WRONG;
	LOCKTAG slot;

	if (!hash_slot_try(&slot))
		return PASSWORD_BUSY;
	if (stored == NULL || !is_bearable(stored))
		hash_now(password);
	else if (crypto_pwhash_str_verify(stored, password->secret,
									  password->length) == 0)
		verdict = crypto_pwhash_str_needs_rehash(
					  stored, hash_passes, (size_t) hash_memory * 1024) == 0
					  ? PASSWORD_RIGHT
					  : PASSWORD_RIGHT_REHASH;
	hash_slot_release(&slot);
	return verdict;
}
