/*
 * change.h: a workspace about to change, as the files of the room share it.
 */
#ifndef USERMGMT_WORKSPACE_CHANGE_H
#define USERMGMT_WORKSPACE_CHANGE_H

#include "workspace/workspace.h"

typedef struct WorkspaceChange
{
	Caller caller;
	pg_uuid_t workspace_id;
	bool archived;
} WorkspaceChange;

/* Locks the caller's own membership and the workspace whose id is the first
 * argument; an admin of the tenant may, or (by_its_admin) one of the workspace.
 * Raises UM002 and 42501. The SPI connection is open afterwards. */
extern WorkspaceChange workspace_begin_change(FunctionCallInfo fcinfo,
											  bool by_its_admin);

/* Locks (shared) the person's place in the workspace and gives its role. */
extern WorkspaceRole workspace_role_lock(const pg_uuid_t *tenant_id,
										 const pg_uuid_t *workspace_id,
										 const pg_uuid_t *user_id);

#endif
