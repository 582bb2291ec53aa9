/*
 * role.h: the three roles of a tenant.
 */
#ifndef USERMGMT_ROLE_H
#define USERMGMT_ROLE_H

#include "core/compat.h"

typedef enum MemberRole
{
	ROLE_NONE = 0,
	ROLE_MEMBER,
	ROLE_ADMIN,
	ROLE_OWNER
} MemberRole;

/* The role of this name, or ROLE_NONE. */
extern MemberRole role_parse(const char *name);

/* The role of this name; raises 22023 when there is none. */
extern MemberRole role_require(const char *name);

extern const char *role_name(MemberRole role);

/* Raises 42501: the caller's role is below least. */
pg_noreturn extern void refuse_role(MemberRole least);

#endif
