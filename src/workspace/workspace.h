/*
 * workspace.h: workspaces, as the other rooms need them.
 */
#ifndef USERMGMT_WORKSPACE_H
#define USERMGMT_WORKSPACE_H

#include "core/actor.h"
#include "core/compat.h"
#include "core/spi_query.h"

typedef enum WorkspaceRole
{
	WORKSPACE_NONE = 0,
	WORKSPACE_VIEWER,
	WORKSPACE_MEMBER,
	WORKSPACE_ADMIN
} WorkspaceRole;

/* The role of this name, or WORKSPACE_NONE. */
extern WorkspaceRole workspace_role_parse(const char *name);

/* The role of this name; raises 22023 when there is none. */
extern WorkspaceRole workspace_role_require(const char *name);

extern const char *workspace_role_name(WorkspaceRole role);

/* A place in a workspace that an invitation offers. */
typedef struct WorkspacePlace
{
	pg_uuid_t workspace_id;
	WorkspaceRole role;
} WorkspacePlace;

/* The places in the jsonb argument of this number: an object of roles by slug
 * or id, or an array of slugs or ids (role member); a List of WorkspacePlace,
 * NIL when null or empty. Raises 22023, UM002 for what is no workspace of the
 * tenant, UM036 for an archived one. The SPI connection is open. */
extern List *workspace_places_argument(FunctionCallInfo fcinfo, int n,
									   const pg_uuid_t *tenant_id);

/* Gives the person the places that the invitation offers; workspaces that
 * were archived meanwhile are passed over. */
extern void workspace_join(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
						   const pg_uuid_t *invitation_id);

/* The role of a person in a workspace, be it archived; WORKSPACE_NONE for
 * whoever does not work there. */
extern WorkspaceRole workspace_role_lookup(const pg_uuid_t *tenant_id,
										   const pg_uuid_t *workspace_id,
										   const pg_uuid_t *user_id);

extern bool workspace_exists(const pg_uuid_t *tenant_id,
							 const pg_uuid_t *workspace_id);

/* Raises UM002: there is no such workspace in this tenant. */
pg_noreturn extern void refuse_workspace(void);

/* Raises UM036: the workspace is archived. */
pg_noreturn extern void refuse_archived(void);

extern void workspace_init(void);

#endif
