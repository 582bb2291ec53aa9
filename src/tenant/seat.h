/*
 * seat.h: seats are reserved before they are taken.
 *
 * An active member holds a seat, and so does an invitation from its making to
 * its end or expiry, so that whoever accepts in time always gets in. Triggers
 * on both tables report every change, on every path.
 */
#ifndef USERMGMT_SEAT_H
#define USERMGMT_SEAT_H

#include "tenant/tenant.h"

/* Before the locks of a function that may take a seat: where a limit of the
 * server came to hold for a tenant whose seats were never counted, they are
 * counted now, under a lock that must not be taken later. */
extern void seat_prepare(const Tenant *tenant);

/* Locks the counters of a tenant that has a limit: right after the tenant in
 * the lock order, before whatever takes or gives back a seat. */
extern void seat_lock(const Tenant *tenant);

/* Seats of members and of invitations are taken (or given back, below 0) by
 * rows that this transaction has changed. Raises UM035 above a limit. */
extern void seat_change(const pg_uuid_t *tenant_id, int members,
						int invitations);

/* The same by a row just inserted, whose foreign key to the tenant is checked
 * already, and holds the lock that seat_change() would take. */
extern void seat_take(const pg_uuid_t *tenant_id, int members, int invitations);

/* While true, seats of members are not compared with the limit: each takes
 * the place of an invitation that was accepted. An abort ends it too. */
extern void seat_set_transfer(bool transfer);

/* Counts the seats of a tenant from now on if by these settings it has a limit,
 * and forgets the counts if it has none. */
extern void seat_follow_settings(const pg_uuid_t *tenant_id, Jsonb *settings);

#endif
