/*
 * account.h: people; one account, many tenants.
 */
#ifndef USERMGMT_ACCOUNT_H
#define USERMGMT_ACCOUNT_H

#include "core/address.h"
#include "core/spi_query.h"

typedef struct Account
{
	pg_uuid_t user_id;
	char *email;
	char *name;			 /* or NULL */
	char *password_hash; /* or NULL: has never chosen one */
	int32 password_version;
	bool verified; /* somebody followed a link mailed to the address */
} Account;

/* The open account of this address or id; false when there is none. What is
 * read lives until SPI_finish(). */
extern bool account_find(const Address *address, Account *account);
extern bool account_read(const pg_uuid_t *user_id, Account *account);

/* The account of this address, made without a password if there is none, and
 * locked against closing. */
extern Account account_find_or_create(const Address *address, const char *name);

/* A new account with this password hash; false when the address is taken, also
 * by a transaction that this one had to wait for. */
extern bool account_create(const Address *address, const char *name,
						   const char *password_hash, bool verified,
						   Account *account);

/* Closes the account of a person who belongs to no tenant any more: the address
 * is free, the password erased, the id stays. */
extern void account_close(const pg_uuid_t *user_id);

/* Locks an open account against every change; false when there is none. */
extern bool account_lock(const pg_uuid_t *user_id);

/* Locks the account against closing and a change of password or address, if it
 * still is open, has this version of its password and this address; email is
 * spelled as it is now afterwards. rehashed, unless NULL, is stored as another
 * hash of the same password. */
extern bool account_lock_unchanged(Account *account, const char *rehashed);

/* Notes that a link mailed to the address was followed; the caller has locked
 * the account. */
extern void account_set_verified(const pg_uuid_t *user_id);

/* Stores a new password, of the next version, in an account that the caller
 * has locked; its address is verified by that, for the link was mailed. Ends
 * every session of the person. */
extern void account_set_password(const pg_uuid_t *user_id,
								 const char *password_hash);

/* As account_set_password(), for a person who proved the present one: the
 * address is as verified as it was, and the one session goes on. */
extern void account_change_password(const pg_uuid_t *user_id,
									const char *password_hash,
									const pg_uuid_t *kept);

extern void account_init(void);

#endif
