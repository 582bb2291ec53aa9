/*
 * tenant.h: tenants, as the other rooms need them.
 */
#ifndef USERMGMT_TENANT_H
#define USERMGMT_TENANT_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "core/address.h"
#include "core/compat.h"

typedef struct Tenant
{
	pg_uuid_t tenant_id;
	char *slug;
	char *name;
	Jsonb *settings;
	bool suspended;
	int32 owner_count;
} Tenant;

/* The tenant, which must exist. The SPI connection is open, and the result
 * lives as long as it. */
extern Tenant tenant_read(const pg_uuid_t *tenant_id);

/* As tenant_read(), its row locked until the end of the transaction: shared
 * keeps it from being suspended, exclusive also serializes changes of its
 * members. First in the lock order. */
extern Tenant tenant_lock_shared(const pg_uuid_t *tenant_id);
extern Tenant tenant_lock(const pg_uuid_t *tenant_id);

/* Founds a tenant with its owner; proven as in membership_found(). Raises
 * 23505 when the slug is taken. The caller's operation names the tenant. */
extern Tenant tenant_found(const pg_uuid_t *tenant_id, const char *slug,
						   const char *name, const pg_uuid_t *owner_id,
						   bool proven);

/* The tenant of this slug or id; false when there is none. */
extern bool tenant_find(const char *slug_or_id, pg_uuid_t *tenant_id);

/* Raises UM041 when the tenant is suspended. */
extern void tenant_require_open(const Tenant *tenant);

/* Adds to the count of the tenant's active owners; false when none would be
 * left. Nothing else changes the count. */
extern bool tenant_count_owner(const pg_uuid_t *tenant_id, int32 more);

/* Raises UM034 unless people of the address's domain may be invited. */
extern void tenant_require_domain(const Tenant *tenant, const Address *address);

/* Raises 23505: another tenant has the slug. */
pg_noreturn extern void refuse_slug(void);

extern void tenant_init(void);

#endif
