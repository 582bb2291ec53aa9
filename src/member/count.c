/*
 * count.c
 *	  How many members of which role, status and day of last log-in there are,
 *	  kept and not counted.
 *
 * A change adds rows with the difference and touches none, so nobody waits for
 * anybody and no snapshot is too old; the sum is exact at every instant.
 * run_maintenance() folds them. The day of the last log-in (UTC) is part of
 * it, so that activity, which changes by the passing of time alone, is a sum
 * of days and a look at the members of one: member_statistics does that. A
 * log-in adds rows once a day and member.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/lsyscache.h"

#include "core/notes.h"
#include "core/row_insert.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "member/target.h"
#include "outbox/outbox.h"

SPI_QUERY(add_counts,
		  "INSERT INTO usermgmt.member_count (tenant_id, role, status,"
		  " logged_in_on, count_id, n) SELECT d.tenant_id, d.role, d.status,"
		  " d.logged_in_on, $6, sum(d.n)::integer"
		  " FROM unnest($1, $2, $3, $4, $5)"
		  " AS d (tenant_id, role, status, logged_in_on, n)"
		  " GROUP BY 1, 2, 3, 4 HAVING sum(d.n) <> 0",
		  UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, DATEARRAYOID, INT4ARRAYOID,
		  UUIDOID);
ROW_INSERT(add_count, "member_count",
		   "tenant_id, role, status, logged_in_on, count_id, n, folded",
		   "$1, $2, $3, $4, $5, $6, $7", UUIDOID, TEXTOID, TEXTOID, DATEOID,
		   UUIDOID, INT4OID, BOOLOID);
/* All rows of what was added to; who else folds takes others. */
SPI_QUERY(fold_counts,
		  "WITH found AS (SELECT c.tenant_id, c.role, c.status,"
		  " c.logged_in_on, c.count_id FROM usermgmt.member_count AS c"
		  " WHERE (c.tenant_id, c.role, c.status, c.logged_in_on) IN"
		  " (SELECT f.tenant_id, f.role, f.status, f.logged_in_on"
		  " FROM usermgmt.member_count AS f WHERE NOT f.folded)"
		  " FOR UPDATE SKIP LOCKED),"
		  " gone AS (DELETE FROM usermgmt.member_count AS c USING found AS f"
		  " WHERE c.tenant_id = f.tenant_id AND c.role = f.role"
		  " AND c.status = f.status AND c.logged_in_on = f.logged_in_on"
		  " AND c.count_id = f.count_id RETURNING c.*)"
		  " INSERT INTO usermgmt.member_count (tenant_id, role, status,"
		  " logged_in_on, count_id, n, folded) SELECT g.tenant_id, g.role,"
		  " g.status, g.logged_in_on, gen_random_uuid(), sum(g.n), true"
		  " FROM gone AS g WHERE $1 IS NOT NULL GROUP BY 1, 2, 3, 4"
		  " HAVING sum(g.n) <> 0",
		  TIMESTAMPTZOID);

/* One more or less. */
typedef struct Difference
{
	Note note;
	pg_uuid_t tenant_id;
	bool active;
	MemberRole role;
	DateADT logged_in_on; /* DATEVAL_NOBEGIN: never */
	int32 n;
} Difference;

static Notes differences = {.size = sizeof(Difference)};

/*
 * The day in UTC, rounded down also before 2000.
 */
static DateADT
day_of(TimestampTz at)
{
	DateADT day;

	if (TIMESTAMP_IS_NOBEGIN(at))
		day = DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE; /* no "never" */
	else if (TIMESTAMP_IS_NOEND(at))
		DATE_NOEND(day);
	else
	{
		day = at / USECS_PER_DAY;
		if (at < 0 && at % USECS_PER_DAY != 0)
			day--;
	}
	return day;
}

static Difference
class_of(SpiRow row, int32 n)
{
	Difference difference = {.n = n};

	difference.tenant_id = row_uuid(row, "tenant_id");
	difference.role = role_require(row_text(row, "role"));
	difference.active = strcmp(row_text(row, "status"), "active") == 0;
	if (row_is_null(row, "last_login_at"))
		DATE_NOBEGIN(difference.logged_in_on);
	else
		difference.logged_in_on = day_of(row_time(row, "last_login_at"));
	return difference;
}

static void
note(const Difference *difference)
{
	Difference *noted = notes_add(&differences);
	Note mine = noted->note;

	*noted = *difference;
	noted->note = mine;
}

/*
 * AFTER trigger, per row: note the difference, mostly none.
 */
PG_FUNCTION_INFO_V1(member_count_note);
Datum
member_count_note(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	Difference before;
	Difference after;

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		before = class_of(trigger_row(trigger), -1);
		after = class_of(trigger_new_row(trigger), 1);
		if (before.role == after.role && before.active == after.active &&
			before.logged_in_on == after.logged_in_on)
			return PointerGetDatum(NULL);
		note(&before);
		note(&after);
		return PointerGetDatum(NULL);
	}
	after = class_of(trigger_row(trigger),
					 TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? 1 : -1);
	note(&after);
	return PointerGetDatum(NULL);
}

static SpiArg
array_of(Oid array, const Datum *values, int count, Oid type)
{
	int16 length;
	bool by_value;
	char align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return ARG(array, PointerGetDatum(
						  construct_array((Datum *) values, differences.count,
										  type, length, by_value, align)));
}

static const char *
status_of(const Difference *difference)
{
	return difference->active ? "active" : "deactivated";
}

/*
 * Write one, as a log-in does with two: cheaper than to add up.
 */
static void
write_difference(const Difference *difference)
{
	pg_uuid_t id = uuid_make(GetCurrentTimestamp());

	row_insert(add_count, ARG_UUID(difference->tenant_id),
			   ARG_TEXT(role_name(difference->role)),
			   ARG_TEXT(status_of(difference)),
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
	Datum *roles = palloc(count * sizeof(Datum));
	Datum *statuses = palloc(count * sizeof(Datum));
	Datum *days = palloc(count * sizeof(Datum));
	Datum *numbers = palloc(count * sizeof(Datum));
	pg_uuid_t id = uuid_make(GetCurrentTimestamp());

	for (int i = 0; i < count; i++)
	{
		Difference *difference = notes_item(&differences, first + i);

		tenants[i] = UUIDPGetDatum(&difference->tenant_id);
		roles[i] = CStringGetTextDatum(role_name(difference->role));
		statuses[i] = CStringGetTextDatum(status_of(difference));
		days[i] = DateADTGetDatum(difference->logged_in_on);
		numbers[i] = Int32GetDatum(difference->n);
	}
	spi_run(add_counts, array_of(UUIDARRAYOID, tenants, count, UUIDOID),
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

void
member_count_init(void)
{
	notes_register(&differences);
	maintenance_register("member_counts_folded", &fold_counts);
}
