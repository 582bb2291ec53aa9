/*
 * tenant.c
 *	  Tenants: found, locked first, and closed to everybody when suspended.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "audit/audit.h"
#include "core/actor.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/settings.h"
#include "core/spi_query.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "core/within.h"
#include "outbox/brand.h"
#include "outbox/outbox.h"
#include "session/revoke.h"
#include "tenant/seat.h"
#include "tenant/tenant.h"

/* clang-format off */
static const Transition transitions[] = {
	{"creating", "open", "active", NULL, "it has its first owner"},
	{NULL, NULL, NULL, NULL, NULL}
};
/* clang-format on */

#define TENANT_COLUMNS                                                         \
	"SELECT slug, name, settings, suspended_at IS NOT NULL AS suspended,"      \
	" owner_count FROM usermgmt.tenant WHERE tenant_id = $1"

SPI_QUERY(read_tenant, TENANT_COLUMNS, UUIDOID);
SPI_QUERY(share_tenant, TENANT_COLUMNS " FOR SHARE", UUIDOID);
SPI_QUERY(lock_tenant, TENANT_COLUMNS " FOR NO KEY UPDATE", UUIDOID);
SPI_QUERY(find_tenant,
		  "SELECT tenant_id FROM usermgmt.tenant WHERE tenant_id = $2"
		  " UNION ALL SELECT tenant_id FROM usermgmt.tenant"
		  " WHERE slug = $1 LIMIT 1",
		  TEXTOID, UUIDOID);

SPI_QUERY(count_owner,
		  "UPDATE usermgmt.tenant SET owner_count = owner_count + $2"
		  " WHERE tenant_id = $1"
		  " AND (owner_count + $2 >= 1 OR state = 'creating')",
		  UUIDOID, INT4OID);

static Within counting_owners; /* tenant_count_owner() is at work */

static Tenant
tenant_of_row(const pg_uuid_t *tenant_id, uint64 found)
{
	Tenant tenant = {.tenant_id = *tenant_id};
	SpiRow row;
	bool isnull;

	if (found == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("the tenant does not exist")));
	row = spi_row(0);
	tenant.slug = row_text(row, "slug");
	tenant.name = row_text(row, "name");
	tenant.settings = DatumGetJsonbP(row_datum(row, "settings", &isnull));
	tenant.suspended = row_bool(row, "suspended");
	tenant.owner_count = row_int(row, "owner_count");
	return tenant;
}

Tenant
tenant_read(const pg_uuid_t *tenant_id)
{
	return tenant_of_row(tenant_id,
						 spi_latest(read_tenant, ARG_UUID(*tenant_id)));
}

Tenant
tenant_lock_shared(const pg_uuid_t *tenant_id)
{
	return tenant_of_row(tenant_id,
						 spi_run(share_tenant, ARG_UUID(*tenant_id)));
}

Tenant
tenant_lock(const pg_uuid_t *tenant_id)
{
	return tenant_of_row(tenant_id, spi_run(lock_tenant, ARG_UUID(*tenant_id)));
}

bool
tenant_count_owner(const pg_uuid_t *tenant_id, int32 more)
{
	bool counted;

	within_begin(&counting_owners);
	counted = spi_run(count_owner, ARG_UUID(*tenant_id), ARG_INT(more)) == 1;
	within_end(&counting_owners);
	return counted;
}

bool
tenant_find(const char *slug_or_id, pg_uuid_t *tenant_id)
{
	pg_uuid_t id;
	bool is_id = uuid_parse(slug_or_id, &id);

	if (spi_latest(find_tenant, ARG_TEXT(slug_or_id),
				   ARG_OPT_UUID(is_id ? &id : NULL)) == 0)
		return false;
	*tenant_id = row_uuid(spi_row(0), "tenant_id");
	return true;
}

void
tenant_require_open(const Tenant *tenant)
{
	if (tenant->suspended)
		ereport(ERROR, (errcode(ERRCODE_UM_TENANT_SUSPENDED),
						errmsg("the tenant is suspended"),
						errhint("An operator opens it again with "
								"usermgmt.resume_tenant()."),
						errhidestmt(true)));
}

void
refuse_slug(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION), errmsg("the slug is taken"),
			 errhint("Choose another slug.")));
}

/*
 * For an operator: work in this tenant until disconnect.
 */
PG_FUNCTION_INFO_V1(use_tenant);
Datum
use_tenant(PG_FUNCTION_ARGS)
{
	pg_uuid_t *tenant_id = palloc(sizeof(pg_uuid_t));

	if (PG_ARGISNULL(0))
		refuse_null("tenant");
	SPI_connect();
	if (!tenant_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), tenant_id))
		ereport(
			ERROR,
			(errcode(ERRCODE_UM_NOT_FOUND), errmsg("there is no such tenant"),
			 errhint("usermgmt.tenants shows them all to an operator who has "
					 "not selected one.")));
	SPI_finish();
	actor_use_tenant(tenant_id);
	PG_RETURN_UUID_P(tenant_id);
}

/*
 * AFTER UPDATE trigger: suspension ends every session of the tenant and
 * cancels its mail, and
 * seats are counted only while there is a limit.
 */
PG_FUNCTION_INFO_V1(tenant_changed);
Datum
tenant_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	SpiRow before = trigger_row(trigger);
	SpiRow after = trigger_new_row(trigger);
	AuditChange change = {&before, &after};
	pg_uuid_t tenant_id = row_uuid(after, "tenant_id");

	SPI_connect();
	if (row_is_null(before, "suspended_at") &&
		!row_is_null(after, "suspended_at"))
	{
		session_end_tenant(&tenant_id, "tenant suspended");
		outbox_cancel_tenant(&tenant_id, "the tenant was suspended");
	}
	if (audit_differs(&change, "settings"))
		seat_follow_settings(&tenant_id,
							 DatumGetJsonbP(row_value(after, "settings")));
	SPI_finish();
	actor_signal();
	return PointerGetDatum(NULL);
}

/*
 * Raise 42501 unless the count of owners is as it was, or is being kept.
 */
static void
check_owner_count(TriggerData *trigger)
{
	int32 before = 0;
	SpiRow after = trigger_row(trigger);

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		before = row_int(after, "owner_count");
		after = trigger_new_row(trigger);
	}
	if (row_int(after, "owner_count") != before &&
		!within_holds(&counting_owners))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("owner_count is kept by the trigger on "
							   "membership")));
}

/*
 * BEFORE trigger: a tenant opens once, its settings and branding are ones that
 * fit, and its owners are counted, not set.
 */
PG_FUNCTION_INFO_V1(tenant_guard);
Datum
tenant_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW);
	SpiRow row = trigger_latest_row(trigger);
	bool isnull;
	Datum settings = row_datum(row, "settings", &isnull);
	Datum branding;

	check_owner_count(trigger);
	if (!isnull)
		settings_check(DatumGetJsonbP(settings));
	branding = row_datum(row, "branding", &isnull);
	if (!isnull)
		brand_check(DatumGetJsonbP(branding));
	return transition_guard(fcinfo, transitions, true);
}

static const char *
tenant_action(const AuditChange *change)
{
	bool was;
	bool is;

	if (change->before == NULL || change->after == NULL)
		return NULL;
	was = row_is_null(*change->before, "suspended_at");
	is = row_is_null(*change->after, "suspended_at");
	if (was != is)
		return is ? "tenant.resumed" : "tenant.suspended";
	return NULL;
}

void
tenant_init(void)
{
	audit_register("tenant", tenant_action);
}
