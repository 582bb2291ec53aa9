/*
 * revoke.h: the end of sessions that others decide.
 */
#ifndef USERMGMT_REVOKE_H
#define USERMGMT_REVOKE_H

#include "utils/uuid.h"

/* End every open session of a person (but the one that is kept, or NULL), of a
 * person in one tenant, or of a tenant. Each raises 40001 when the
 * transaction's snapshot is too old to see one of them. The SPI connection is
 * open. */
extern void session_end_person(const pg_uuid_t *user_id, const pg_uuid_t *kept,
							   const char *why);
extern void session_end_member(const pg_uuid_t *tenant_id,
							   const pg_uuid_t *user_id, const char *why);
extern void session_end_tenant(const pg_uuid_t *tenant_id, const char *why);

/* Delete the open sessions of somebody who belongs to no tenant any more, as
 * the foreign keys are about to. To end them first would not do: a foreign key
 * looks again at a row that the same transaction inserted. */
extern void session_delete_person(const pg_uuid_t *user_id);

/* As session_end_member(), but one session (or NULL) goes on, and those that
 * have expired are left as they are; how many ended. */
extern int32 session_end_others(const pg_uuid_t *tenant_id,
								const pg_uuid_t *user_id, const pg_uuid_t *kept,
								const char *why);

#endif
