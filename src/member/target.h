/*
 * target.h: a member about to change, as the files of the room share it.
 */
#ifndef USERMGMT_TARGET_H
#define USERMGMT_TARGET_H

#include "core/compat.h"
#include "member/member.h"
#include "tenant/tenant.h"

/* A member that is about to change, under all locks. */
typedef struct Target
{
	Caller caller;
	pg_uuid_t user_id;
	MemberRole role;
	bool active;
	Tenant tenant;
} Target;

/* Locks the tenant, the caller's own membership (admin at least) and the
 * member whose id is the first argument, before both the member's account
 * where with_account says so; raises UM002 when there is none. The SPI
 * connection is open. */
extern Target member_lock_target(FunctionCallInfo fcinfo, bool with_account);

/* The primary owner of the tenant. */
extern pg_uuid_t member_primary(const pg_uuid_t *tenant_id);

/* Tells a person by a mail of this kind (role_changed, deactivated, reactivated
 * or removed), where the tenant has that on. */
extern void member_notify(const Tenant *tenant, const pg_uuid_t *user_id,
						  const char *kind);

/* Registers the kinds of mail of this room. */
extern void member_mails_register(void);

/* Registers the counts of members; called once. */
extern void member_count_init(void);

/* The changed member as a row of the view. Ends the operation and the SPI
 * connection. */
extern Datum member_show(FunctionCallInfo fcinfo, const Target *target);

/* Raises UM037. */
pg_noreturn extern void member_refuse_inactive(void);

#endif
