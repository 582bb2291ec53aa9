/*
 * count.c
 *	  How many invitations of a tenant are open, by the day on which they
 *	  expire, kept and not counted.
 *
 * As with members (member/count.c), a change adds rows with the difference and
 * touches none, so nobody waits for anybody, and the sum is exact at every
 * instant; run_maintenance() folds them. An invitation expires by the passing
 * of time alone, so how many can still be accepted is a sum of later days and
 * a look at the invitations of the present one (UTC), by index. Days that are
 * over for good are folded into one, so that they do not become more and more.
 */
#include "postgres.h"

#include "core/day.h"
#include "core/row_insert.h"
#include "core/uuid.h"
#include "invitation/invitation.h"
#include "outbox/outbox.h"

ROW_INSERT(add_count, "invitation_count",
		   "tenant_id, expires_on, count_id, n, folded", "$1, $2, $3, $4, $5",
		   UUIDOID, DATEOID, UUIDOID, INT4OID, BOOLOID);
/* All rows of the tenants that have new ones; who else folds takes others. A
 * week is for a clock that is set back. */
SPI_QUERY(fold_counts,
		  "WITH found AS (SELECT c.tenant_id, c.expires_on, c.count_id"
		  " FROM usermgmt.invitation_count AS c WHERE c.tenant_id IN"
		  " (SELECT f.tenant_id FROM usermgmt.invitation_count AS f"
		  " WHERE NOT f.folded) FOR UPDATE SKIP LOCKED),"
		  " gone AS (DELETE FROM usermgmt.invitation_count AS c"
		  " USING found AS f WHERE c.tenant_id = f.tenant_id"
		  " AND c.expires_on = f.expires_on AND c.count_id = f.count_id"
		  " RETURNING c.tenant_id, CASE WHEN c.expires_on < ($1 AT TIME ZONE"
		  " 'UTC')::date - 7 THEN '-infinity' ELSE c.expires_on END"
		  " AS expires_on, c.n)"
		  " INSERT INTO usermgmt.invitation_count (tenant_id, expires_on,"
		  " count_id, n, folded) SELECT g.tenant_id, g.expires_on,"
		  " gen_random_uuid(), sum(g.n), true FROM gone AS g"
		  " GROUP BY 1, 2 HAVING sum(g.n) <> 0",
		  TIMESTAMPTZOID);

static bool
is_open(SpiRow row)
{
	return strcmp(row_text(row, "state"), "pending") == 0;
}

static DateADT
last_day(SpiRow row)
{
	return utc_day(row_time(row, "expires_at"));
}

static void
add(SpiRow row, int32 n)
{
	pg_uuid_t tenant_id = row_uuid(row, "tenant_id");
	pg_uuid_t id = uuid_make(GetCurrentTimestamp());

	row_insert(add_count, ARG_UUID(tenant_id),
			   ARG(DATEOID, DateADTGetDatum(last_day(row))), ARG_UUID(id),
			   ARG_INT(n), ARG_BOOL(false));
}

void
invitation_count_open(SpiRow made)
{
	if (is_open(made))
		add(made, 1);
}

void
invitation_count_change(SpiRow before, SpiRow after)
{
	if (is_open(before) && is_open(after) &&
		last_day(before) == last_day(after))
		return;
	if (is_open(before))
		add(before, -1);
	invitation_count_open(after);
}

void
invitation_count_init(void)
{
	maintenance_register("invitation_counts_folded", &fold_counts);
}
