/*
 * announce.h: events for outside listeners and the server log.
 */
#ifndef USERMGMT_ANNOUNCE_H
#define USERMGMT_ANNOUNCE_H

#include "audit/audit.h"

/* Announces the event when its transaction commits, as the settings
 * notify_events and log_events ask. */
extern void audit_announce(const pg_uuid_t *event_id,
						   const pg_uuid_t *tenant_id, const AuditEvent *event);

extern void audit_announce_init(void);

#endif
