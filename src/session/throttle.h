/*
 * throttle.h: growing waits after wrong passwords, per address.
 */
#ifndef USERMGMT_THROTTLE_H
#define USERMGMT_THROTTLE_H

#include "core/address.h"
#include "utils/uuid.h"

/* Waits until no other transaction guesses at the address; false when that took
 * longer than hash_wait. It holds until the end of the transaction. */
extern bool throttle_begin(const Address *address);

/* Lets others guess before the end of the transaction: there is no failure that
 * they would have to see. */
extern void throttle_end(const Address *address);

/* Seconds until the address may be tried again, 0 for now. */
extern int throttle_wait(const Address *address);

/* Counts a wrong password. The row is the same whether or not the address
 * belongs to anybody. */
extern void throttle_failure(const Address *address);

/* Counts it although the caller is about to raise an error; waits for the
 * worker that writes it down. */
extern void throttle_failure_apart(const pg_uuid_t *user_id,
								   const Address *address);

/* Counts it in this backend alone, if the transaction is rolled back. */
extern void throttle_remember(const Address *address);

/* Forgets the failures of an address as typed: it has a new password. */
extern void throttle_clear(const char *email);

/* Called once, when the library is loaded. */
extern void throttle_init(void);

#endif
