/*
 * member.h: who belongs to a tenant, and in which role.
 */
#ifndef USERMGMT_MEMBER_H
#define USERMGMT_MEMBER_H

#include "core/actor.h"
#include "core/compat.h"
#include "core/spi_query.h"

/* Adds a member, who takes the seat of an accepted invitation and signs in
 * right away; false when the person is one already, whatever the status. */
extern bool membership_join(const pg_uuid_t *tenant_id,
							const pg_uuid_t *user_id, MemberRole role,
							TimestampTz now);

/* Adds a new tenant's first and primary owner. Who is not proven, being named
 * by address alone, gets in only once a link mailed to it was followed. */
extern bool membership_found(const pg_uuid_t *tenant_id,
							 const pg_uuid_t *user_id, bool proven);

/* Raises UM032: the person is a member already. */
pg_noreturn extern void refuse_member(void);

/* Raises UM030: the tenant must keep an owner. */
pg_noreturn extern void refuse_last_owner(void);

/* Whether the person has a membership of any status in the tenant. */
extern bool membership_exists(const pg_uuid_t *tenant_id,
							  const pg_uuid_t *user_id);

/* Raises UM002 unless the person has a membership in the tenant. */
extern void membership_require(const pg_uuid_t *tenant_id,
							   const pg_uuid_t *user_id);

/* Locks the membership (shared); raises UM002 when there is none, and UM037
 * when it is not active. */
extern void membership_require_active(const pg_uuid_t *tenant_id,
									  const pg_uuid_t *user_id);

/* Locks the membership (shared) and gives its role; ROLE_NONE when there is
 * none or it is not active. */
extern MemberRole membership_share(const pg_uuid_t *tenant_id,
								   const pg_uuid_t *user_id);

/* Reads the caller's own membership again and locks it (shared), so that a
 * concurrent demotion and what needs the old role are serialized. Updates
 * caller->role; raises UM001 when it is gone and 42501 below least. */
extern void caller_lock(Caller *caller, MemberRole least);

/* Who gets what a member owned who is being removed: the one whom the call
 * names, else the tenant's primary owner; false when it has no owner left. */
extern bool member_heir(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
						pg_uuid_t *heir);

/* Adds to what the removal of this person, if one is in progress, tells of. */
extern void member_report_handed(const pg_uuid_t *user_id, const char *table,
								 uint64 rows);

/* Hands what a closed account still owns to another one; how many rows. A later
 * room installs it, when the library is loaded. */
typedef uint64 (*RecordMover)(const pg_uuid_t *old_id, const pg_uuid_t *new_id);
extern void member_set_record_mover(RecordMover mover);

extern void member_init(void);

#endif
