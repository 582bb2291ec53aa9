/*
 * password.h: Argon2id, the policy, and the links that set a new password.
 */
#ifndef USERMGMT_PASSWORD_H
#define USERMGMT_PASSWORD_H

#include "account/account.h"
#include "core/settings.h"
#include "tenant/tenant.h"
#include "token/token.h"

/* A password in the form that is hashed: NFC, UTF-8. secret is palloc'd. */
typedef struct Password
{
	char *secret;
	size_t length;
} Password;

/* The password in the argument; NULL, texts over 1024 octets and texts that
 * are no UTF-8 give a secret of length 0, which fits no hash. The caller wipes
 * it. */
extern Password password_argument(FunctionCallInfo fcinfo, int n);
extern void password_wipe(Password *password);

/* Raises UM021, with the rule in DETAIL, unless the policy accepts it; account
 * and tenant give the words that it must not be, each may be NULL. */
extern void password_check(const Password *password, const char *email,
						   const char *name, const Tenant *tenant);

/* Whether it is on the shipped list of common ones, in any case of letters. */
extern bool password_is_common(const Password *password);

/* The hash to store; takes a hash slot, or raises UM022. Call it while no row
 * lock is held. */
extern char *password_hash(const Password *password);

/* As password_hash(), but NULL when no slot came free. */
extern char *password_rehash(const Password *password);

typedef enum PasswordVerdict
{
	PASSWORD_RIGHT,
	PASSWORD_RIGHT_REHASH, /* and its hash is of a lower cost than set */
	PASSWORD_WRONG,
	PASSWORD_BUSY /* no slot came free */
} PasswordVerdict;

/* Compares with a stored hash; with NULL it spends the same and says wrong.
 * Call it while no row lock is held. */
extern PasswordVerdict password_verify(const Password *password,
									   const char *stored);

/* Raises UM020 unless it is the account's password, and UM022 when it can not
 * be compared now; failures count as at a log-in. Call it while no row lock is
 * held. */
extern void password_prove(const Account *account, const Password *password);

/* Raises unless a mailed link in this state, that lives until expires_at, can
 * be used: UM011 expired, UM012 used, UM014 superseded, UM037 cancelled. */
extern void link_require_open(const char *state, TimestampTz expires_at);

/* Welcomes a new tenant's owner by mail, with a link to choose a password
 * unless the person has one and has proven the address. */
extern void password_welcome(const Tenant *tenant, const Account *account);

/* Queues a mail of this kind about a reset (or, for welcome, the person); it is
 * not sent any more after expires_at (0: never). */
extern void password_mail(const char *kind, const Tenant *tenant,
						  const Account *account, const pg_uuid_t *subject_id,
						  TimestampTz expires_at);

/* Voids the person's open links of every tenant, and their mails. */
extern void password_reset_void(const pg_uuid_t *user_id, const char *why);

/* Cancels the person's open links of this tenant, and their mails. */
extern void password_reset_cancel(const pg_uuid_t *tenant_id,
								  const pg_uuid_t *user_id);

/* Registers the kinds of mail of this room. */
extern void password_mails_register(void);

extern void password_init(void);

#endif
