/*
 * target.h: a member about to change, as the files of the room share it.
 */
#ifndef USERMGMT_TARGET_H
#define USERMGMT_TARGET_H

#include "member/member.h"

/* A member that is about to change, under all locks. */
typedef struct Target
{
	Caller caller;
	pg_uuid_t user_id;
	MemberRole role;
	bool active;
	int32 owner_count; /* of the tenant */
} Target;

/* Locks the tenant, the caller's own membership (admin at least) and the
 * member whose id is the first argument; raises UM002 when there is none. The
 * SPI connection is open. */
extern Target member_lock_target(FunctionCallInfo fcinfo);

/* The changed member as a row of the view. Ends the operation and the SPI
 * connection. */
extern Datum member_show(FunctionCallInfo fcinfo, const Target *target);

/* Raises UM037. */
extern void member_refuse_inactive(void) pg_attribute_noreturn();

#endif
