/*
 * role.c
 *	  The three roles of a tenant, each above the one before.
 */
#include "postgres.h"

#include "core/address.h"
#include "core/role.h"

static const char *const role_names[] = {
	[ROLE_NONE] = "none",
	[ROLE_MEMBER] = "member",
	[ROLE_ADMIN] = "admin",
	[ROLE_OWNER] = "owner",
};

MemberRole
role_parse(const char *name)
{
	for (MemberRole role = ROLE_MEMBER; role <= ROLE_OWNER; role++)
		if (strcmp(name, role_names[role]) == 0)
			return role;
	return ROLE_NONE;
}

MemberRole
role_require(const char *name)
{
	MemberRole role;

	if (name == NULL)
		refuse_null("role");
	role = role_parse(name);
	if (role == ROLE_NONE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("role is not one of owner, admin, member")));
	return role;
}

const char *
role_name(MemberRole role)
{
	return role_names[role];
}

void
refuse_role(MemberRole least)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied: the role %s is required",
						   role_names[least]),
					errhint("Ask an %s of the tenant.", role_names[least])));
}
