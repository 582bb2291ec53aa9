/*
 * common.c
 *	  The passwords that everybody tries first (OWASP ASVS 5.0, 6.2.4).
 */
#include "postgres.h"

#include "sodium.h"

#include "password/password.h"

/* In front coding, sorted; made from common_passwords.txt. */
static const char list[] =
#include "password/common_passwords.inc"
	;

/*
 * Each entry is an octet that says how much it shares with the one before, and
 * the rest. The list is sorted, so the search ends where the password would
 * stand.
 */
bool
password_is_common(const Password *password)
{
	char entry[256] = "";
	char wanted[256];
	const char *at = list;
	int order = -1;

	if (password->length >= sizeof(wanted))
		return false;
	for (size_t i = 0; i < password->length; i++)
		wanted[i] = pg_ascii_tolower((unsigned char) password->secret[i]);
	wanted[password->length] = '\0';
	while (order < 0 && at < list + sizeof(list) - 1)
	{
		size_t shared = (unsigned char) *at++;

		strlcpy(entry + shared, at, sizeof(entry) - shared);
		at += strlen(at) + 1;
		order = strcmp(entry, wanted);
	}
	sodium_memzero(wanted, sizeof(wanted));
	return order == 0;
}
