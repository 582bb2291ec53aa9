/*
 * count.c
 *	  How many members of which role, status and day of last log-in a tenant
 *	  and each of its workspaces has, kept and not counted.
 *
 * Who counts does so twice: by role and status (the day is "infinity"), and,
 * with access, by the day of the last log-in (the role is "any"). So a log-in
 * changes only days, of which whoever asks reads those since the threshold.
 *
 * A change adds rows with the difference and touches none, so nobody waits for
 * anybody and no snapshot is too old; the sum is exact at every instant.
 * run_maintenance() folds them. Activity changes by the passing of time alone:
 * it is a sum of days (UTC) and a look at the members of one.
 *
 * A place in a workspace counts by what the membership is. Whoever gives or
 * takes a place locks the membership FOR SHARE before looking at it, and
 * whoever changes the membership looks at the places as they are by then, not
 * at those of an old snapshot: so each sees the other. Where one statement does
 * both, only the places from before it move.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/typcache.h"

#include "core/day.h"
#include "core/errors.h"
#include "core/notes.h"
#include "core/row_insert.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "member/target.h"
#include "outbox/outbox.h"

SPI_QUERY(add_counts,
		  "INSERT INTO usermgmt.member_count (tenant_id, workspace_id, role,"
		  " status, logged_in_on, count_id, n) SELECT d.tenant_id,"
		  " d.workspace_id, d.role, d.status, d.logged_in_on, $7,"
		  " sum(d.n)::integer FROM unnest($1, $2, $3, $4, $5, $6)"
		  " AS d (tenant_id, workspace_id, role, status, logged_in_on, n)"
		  " GROUP BY 1, 2, 3, 4, 5 HAVING sum(d.n) <> 0",
		  UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, DATEARRAYOID,
		  INT4ARRAYOID, UUIDOID);
ROW_INSERT(add_count, "member_count",
		   "tenant_id, workspace_id, role, status, logged_in_on, count_id, n,"
		   " folded",
		   "$1, $2, $3, $4, $5, $6, $7, $8", UUIDOID, UUIDOID, TEXTOID, TEXTOID,
		   DATEOID, UUIDOID, INT4OID, BOOLOID);
/* All rows of what was added to; who else folds takes others. */
SPI_QUERY(fold_counts,
		  "WITH found AS (SELECT c.tenant_id, c.workspace_id, c.role, c.status,"
		  " c.logged_in_on, c.count_id FROM usermgmt.member_count AS c"
		  " WHERE (c.tenant_id, c.workspace_id, c.role, c.status,"
		  " c.logged_in_on) IN (SELECT f.tenant_id, f.workspace_id, f.role,"
		  " f.status, f.logged_in_on FROM usermgmt.member_count AS f"
		  " WHERE NOT f.folded) FOR UPDATE SKIP LOCKED),"
		  " gone AS (DELETE FROM usermgmt.member_count AS c USING found AS f"
		  " WHERE c.tenant_id = f.tenant_id AND c.workspace_id = f.workspace_id"
		  " AND c.role = f.role AND c.status = f.status"
		  " AND c.logged_in_on = f.logged_in_on"
		  " AND c.count_id = f.count_id RETURNING c.*)"
		  " INSERT INTO usermgmt.member_count (tenant_id, workspace_id, role,"
		  " status, logged_in_on, count_id, n, folded) SELECT g.tenant_id,"
		  " g.workspace_id, g.role, g.status, g.logged_in_on,"
		  " gen_random_uuid(), sum(g.n), true FROM gone AS g"
		  " WHERE $1 IS NOT NULL GROUP BY 1, 2, 3, 4, 5 HAVING sum(g.n) <> 0",
		  TIMESTAMPTZOID);
SPI_QUERY(clear_places,
		  "DELETE FROM usermgmt.member_count WHERE workspace_id <> $1",
		  UUIDOID);
SPI_QUERY(find_counted_place,
		  "SELECT FROM usermgmt.member_count WHERE workspace_id <> $1 LIMIT 1",
		  UUIDOID);
SPI_QUERY(find_places,
		  "SELECT workspace_id FROM usermgmt.workspace_member"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(lock_member,
		  "SELECT tenant_id, role, status, last_login_at"
		  " FROM usermgmt.membership WHERE tenant_id = $1 AND user_id = $2"
		  " FOR SHARE",
		  UUIDOID, UUIDOID);

/* One more or less, of a role and status or of a day. */
typedef struct Difference
{
	Note note;
	pg_uuid_t tenant_id;
	pg_uuid_t workspace_id; /* nil: the tenant */
	const char *role;
	const char *status;
	DateADT logged_in_on; /* DATEVAL_NOBEGIN: never; NOEND: whenever */
	int32 n;
} Difference;

/* What a membership counts as. */
typedef struct Class
{
	pg_uuid_t tenant_id;
	const char *role;
	bool active;
	DateADT logged_in_on;
} Class;

static const pg_uuid_t nil; /* in place of a workspace: the tenant */
static Notes differences = {.size = sizeof(Difference)};

static Class
class_of(SpiRow row)
{
	Class class = {.role = role_name(role_require(row_text(row, "role")))};

	class.tenant_id = row_uuid(row, "tenant_id");
	class.active = strcmp(row_text(row, "status"), "active") == 0;
	if (row_is_null(row, "last_login_at"))
		DATE_NOBEGIN(class.logged_in_on);
	else
		class.logged_in_on = utc_day(row_time(row, "last_login_at"));
	return class;
}

static void
note(const Class *class, const pg_uuid_t *workspace_id, const char *role,
	 DateADT day, int32 n)
{
	Difference *difference = notes_add(&differences);

	difference->tenant_id = class->tenant_id;
	difference->workspace_id = *workspace_id;
	difference->role = role;
	difference->status = class->active ? "active" : "deactivated";
	difference->logged_in_on = day;
	difference->n = n;
}

static void
note_role(const Class *class, const pg_uuid_t *workspace_id, int32 n)
{
	DateADT whenever;

	DATE_NOEND(whenever);
	note(class, workspace_id, class->role, whenever, n);
}

static void
note_day(const Class *class, const pg_uuid_t *workspace_id, int32 n)
{
	if (class->active)
		note(class, workspace_id, "any", class->logged_in_on, n);
}

static void
note_both(const Class *class, const pg_uuid_t *workspace_id, int32 n)
{
	note_role(class, workspace_id, n);
	note_day(class, workspace_id, n);
}

/*
 * Note what became of a membership; after is NULL when it is gone.
 */
static void
note_change(const Class *before, const Class *after,
			const pg_uuid_t *workspace_id)
{
	bool moved = after == NULL || before->active != after->active;

	if (moved || strcmp(before->role, after->role) != 0)
	{
		note_role(before, workspace_id, -1);
		if (after != NULL)
			note_role(after, workspace_id, 1);
	}
	if (moved || before->logged_in_on != after->logged_in_on)
	{
		note_day(before, workspace_id, -1);
		if (after != NULL)
			note_day(after, workspace_id, 1);
	}
}

/*
 * Note it for the tenant, and for each workspace where the person works.
 */
static void
note_everywhere(const Class *before, const Class *after, SpiRow member)
{
	pg_uuid_t user_id = row_uuid(member, "user_id");
	uint64 places;

	note_change(before, after, &nil);
	SPI_connect();
	places =
		spi_before(find_places, ARG_UUID(before->tenant_id), ARG_UUID(user_id));
	for (uint64 i = 0; i < places; i++)
	{
		pg_uuid_t workspace_id = row_uuid(spi_row(i), "workspace_id");

		note_change(before, after, &workspace_id);
	}
	SPI_finish();
}

static bool
is_same(const Class *before, const Class *after)
{
	return before->active == after->active &&
		   strcmp(before->role, after->role) == 0 &&
		   (before->logged_in_on == after->logged_in_on || !after->active);
}

/*
 * AFTER INSERT trigger, per row; who is new has no place yet.
 */
PG_FUNCTION_INFO_V1(member_count_join);
Datum
member_count_join(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	Class joined = class_of(trigger_row(trigger));

	note_both(&joined, &nil, 1);
	return PointerGetDatum(NULL);
}

/*
 * AFTER UPDATE trigger, per row: note the difference, mostly none.
 */
PG_FUNCTION_INFO_V1(member_count_move);
Datum
member_count_move(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	Class before = class_of(trigger_row(trigger));
	Class after = class_of(trigger_new_row(trigger));

	if (!is_same(&before, &after))
		note_everywhere(&before, &after, trigger_row(trigger));
	return PointerGetDatum(NULL);
}

/*
 * BEFORE DELETE trigger, per row: the places go with the membership.
 */
PG_FUNCTION_INFO_V1(member_count_leave);
Datum
member_count_leave(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW);
	Class left = class_of(trigger_row(trigger));

	note_everywhere(&left, NULL, trigger_row(trigger));
	return PointerGetDatum(trigger->tg_trigtuple);
}

/*
 * Note a place; of somebody who leaves the tenant it is noted already.
 */
static void
note_place(SpiRow place, int32 n)
{
	pg_uuid_t tenant_id = row_uuid(place, "tenant_id");
	pg_uuid_t user_id = row_uuid(place, "user_id");
	pg_uuid_t workspace_id = row_uuid(place, "workspace_id");
	Class class;

	if (spi_run(lock_member, ARG_UUID(tenant_id), ARG_UUID(user_id)) == 0)
		return;
	class = class_of(spi_row(0));
	note_both(&class, &workspace_id, n);
}

/*
 * AFTER trigger on the places, per row.
 */
PG_FUNCTION_INFO_V1(member_count_place);
Datum
member_count_place(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);

	SPI_connect();
	note_place(trigger_row(trigger),
			   TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? 1 : -1);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		note_place(trigger_new_row(trigger), 1);
	SPI_finish();
	return PointerGetDatum(NULL);
}

static SpiArg
array_of(Oid array, const Datum *values, int count, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, 0);

	return ARG(array, PointerGetDatum(construct_array(
						  (Datum *) values, count, type, entry->typlen,
						  entry->typbyval, entry->typalign)));
}

/*
 * Write one, as a log-in does with two: cheaper than to add up.
 */
static void
write_difference(const Difference *difference)
{
	pg_uuid_t id = uuid_make(GetCurrentTimestamp());

	row_insert(add_count, ARG_UUID(difference->tenant_id),
			   ARG_UUID(difference->workspace_id), ARG_TEXT(difference->role),
			   ARG_TEXT(difference->status),
			   ARG(DATEOID, DateADTGetDatum(difference->logged_in_on)),
			   ARG_UUID(id), ARG_INT(difference->n), ARG_BOOL(false));
}

/*
 * Write those from this index on, added up.
 */
static void
write_differences(int first)
{
	int count = differences.count - first;
	Datum *tenants = palloc(count * sizeof(Datum));
	Datum *workspaces = palloc(count * sizeof(Datum));
	Datum *roles = palloc(count * sizeof(Datum));
	Datum *statuses = palloc(count * sizeof(Datum));
	Datum *days = palloc(count * sizeof(Datum));
	Datum *numbers = palloc(count * sizeof(Datum));
	pg_uuid_t id = uuid_make(GetCurrentTimestamp());

	for (int i = 0; i < count; i++)
	{
		Difference *difference = notes_item(&differences, first + i);

		tenants[i] = UUIDPGetDatum(&difference->tenant_id);
		workspaces[i] = UUIDPGetDatum(&difference->workspace_id);
		roles[i] = CStringGetTextDatum(difference->role);
		statuses[i] = CStringGetTextDatum(difference->status);
		days[i] = DateADTGetDatum(difference->logged_in_on);
		numbers[i] = Int32GetDatum(difference->n);
	}
	spi_run(add_counts, array_of(UUIDARRAYOID, tenants, count, UUIDOID),
			array_of(UUIDARRAYOID, workspaces, count, UUIDOID),
			array_of(TEXTARRAYOID, roles, count, TEXTOID),
			array_of(TEXTARRAYOID, statuses, count, TEXTOID),
			array_of(DATEARRAYOID, days, count, DATEOID),
			array_of(INT4ARRAYOID, numbers, count, INT4OID), ARG_UUID(id));
}

/*
 * AFTER trigger, per statement: write what its rows noted. Of a statement that
 * goes on outside this subtransaction, that one writes.
 */
PG_FUNCTION_INFO_V1(member_count_write);
Datum
member_count_write(PG_FUNCTION_ARGS)
{
	int first = notes_first_own(&differences);

	trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	if (first == differences.count)
		return PointerGetDatum(NULL);
	SPI_connect();
	if (differences.count - first > 2)
		write_differences(first);
	else
		for (int i = first; i < differences.count; i++)
			write_difference(notes_item(&differences, i));
	SPI_finish();
	notes_forget(&differences, first);
	return PointerGetDatum(NULL);
}

/*
 * AFTER TRUNCATE trigger on the places, of which an old snapshot may miss some.
 */
PG_FUNCTION_INFO_V1(member_count_clear);
Datum
member_count_clear(PG_FUNCTION_ARGS)
{
	trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	SPI_connect();
	spi_run(clear_places, ARG_UUID(nil));
	if (spi_latest(find_counted_place, ARG_UUID(nil)) > 0)
		refuse_concurrent("change of the places");
	SPI_finish();
	return PointerGetDatum(NULL);
}

void
member_count_init(void)
{
	notes_register(&differences);
	maintenance_register("member_counts_folded", &fold_counts);
}
