/*
 * joiner.h: whoever comes in, as a new person or with an account.
 */
#ifndef USERMGMT_JOINER_H
#define USERMGMT_JOINER_H

#include "core/compat.h"
#include "password/password.h"
#include "session/session.h"

/* A new person with the hash of a chosen password, or a known one who was
 * proven by a bound session or the account's password. */
typedef struct Joiner
{
	const Address *address; /* set by the caller, as is the next */
	bool mailbox_proven;	/* by following a link mailed to the address */
	bool known;
	Account account;
	char *hash;		/* of a new person, or one who takes an account over */
	char *rehashed; /* of a known one, at a raised cost */
	bool proven_by_session;
	bool takes_over; /* an account whose address nobody had proven */
} Joiner;

/* Proves a known person, or hashes a new person's password; false when
 * start->outcome refuses. An account whose address was never proven belongs to
 * whoever proves the mailbox: with another password than the account's it is
 * taken over, so that nobody can squat on an address. name and tenant (or NULL)
 * give the words that a password must not be. Call it while no row lock is
 * held. */
extern bool joiner_prove(Joiner *joiner, const char *name, const Tenant *tenant,
						 const Password *password, SessionStart *start);

typedef enum JoinerResult
{
	JOINER_SETTLED,
	JOINER_CHANGED, /* the account, or the session, since it was proven */
	JOINER_TAKEN	/* the address, by somebody who was quicker */
} JoinerResult;

/* Locks the known account, or makes the new one; a proven mailbox makes its
 * address a verified one. joiner->account is valid when settled. */
extern JoinerResult joiner_settle(Joiner *joiner, const char *name);

/* Raises 40001: somebody was quicker. */
pg_noreturn extern void joiner_refuse_taken(void);

#endif
