/*
 * history.c
 *	  Who had access to what, kept by trigger from every path.
 *
 * A trigger notes, beside each change, whose access it touches, by whom and
 * why; a deferred one then writes all that was noted, once, when the
 * transaction is about to commit. So only the final state is written, all of
 * a transaction has one instant, that is as near to its visibility as can be,
 * and a transaction that waited for another one has a later instant. Should
 * the clock stand still or step back, the instant is a microsecond after the
 * period that it ends. What was rolled back to a savepoint is not noted.
 *
 * The row of a change is locked until commit by the change itself, so each
 * period has one writer at a time.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "audit/audit.h"
#include "core/compat.h"
#include "core/notes.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "core/within.h"
#include "history/history.h"

#define NIL_ID "'00000000-0000-0000-0000-000000000000'"

/* What is true now of each thing noted, in the columns of the history. */
#define PRESENT                                                                \
	"SELECT m.role, m.status, m.is_primary_owner, NULL::text AS slug"          \
	" FROM usermgmt.membership AS m WHERE n.workspace_id = " NIL_ID            \
	" AND n.user_id <> " NIL_ID " AND m.tenant_id = n.tenant_id"               \
	" AND m.user_id = n.user_id"                                               \
	" UNION ALL SELECT p.role, 'active', false, NULL"                          \
	" FROM usermgmt.workspace_member AS p WHERE n.workspace_id <> " NIL_ID     \
	" AND n.user_id <> " NIL_ID " AND p.tenant_id = n.tenant_id"               \
	" AND p.workspace_id = n.workspace_id AND p.user_id = n.user_id"           \
	" UNION ALL SELECT NULL, CASE WHEN t.suspended_at IS NULL"                 \
	" THEN 'active' ELSE 'suspended' END, false, t.slug"                       \
	" FROM usermgmt.tenant AS t WHERE n.workspace_id = " NIL_ID                \
	" AND n.user_id = " NIL_ID " AND t.tenant_id = n.tenant_id"                \
	" UNION ALL SELECT NULL, CASE WHEN w.archived_at IS NULL"                  \
	" THEN 'active' ELSE 'archived' END, false, w.slug"                        \
	" FROM usermgmt.workspace AS w WHERE n.workspace_id <> " NIL_ID            \
	" AND n.user_id = " NIL_ID " AND w.tenant_id = n.tenant_id"                \
	" AND w.workspace_id = n.workspace_id"

SPI_QUERY(forget_reasons,
		  "UPDATE usermgmt.membership_history SET reason = NULL"
		  " WHERE reason IS NOT NULL AND (user_id = $1"
		  " OR usermgmt.names_address(reason, $2))",
		  UUIDOID, TEXTARRAYOID);
/* The periods of what is noted. $8 is this transaction if it has written
 * before: it amends what it wrote. What is held is locked even where nothing
 * changes: a fixed snapshot that shows an old period gives way (40001), say
 * when somebody is added whom a transaction unseen has removed meanwhile. */
#define WRITE_PERIODS(noted)                                                   \
	"WITH noted AS " noted ", held AS MATERIALIZED (SELECT h.*"                \
	" FROM noted AS n JOIN usermgmt.membership_history AS h"                   \
	" ON h.tenant_id = n.tenant_id AND h.user_id = n.user_id"                  \
	" AND h.workspace_id = n.workspace_id AND upper_inf(h.valid)"              \
	" FOR UPDATE OF h), changed AS (SELECT n.*, p.role,"                       \
	" coalesce(p.status, 'removed') AS status,"                                \
	" coalesce(p.is_primary_owner, false) AS is_primary_owner, p.slug,"        \
	" h.valid, h.transaction_id IS NOT DISTINCT FROM $8 AS mine"               \
	" FROM noted AS n LEFT JOIN LATERAL (" PRESENT ") AS p ON true"            \
	" LEFT JOIN held AS h"                                                     \
	" ON h.tenant_id = n.tenant_id AND h.user_id = n.user_id"                  \
	" AND h.workspace_id = n.workspace_id"                                     \
	" WHERE CASE WHEN h.valid IS NULL THEN p.status IS NOT NULL"               \
	" ELSE (h.role, h.status, h.is_primary_owner, h.slug)"                     \
	" IS DISTINCT FROM (p.role, coalesce(p.status, 'removed'),"                \
	" coalesce(p.is_primary_owner, false), p.slug) END),"                      \
	" moment AS (SELECT greatest($6, max(lower(c.valid)"                       \
	" + interval '1 microsecond') FILTER (WHERE NOT c.mine)) AS at"            \
	" FROM changed AS c),"                                                     \
	" amended AS (UPDATE usermgmt.membership_history AS h"                     \
	" SET role = c.role, status = c.status,"                                   \
	" is_primary_owner = c.is_primary_owner, slug = c.slug,"                   \
	" changed_by = c.changed_by, reason = c.reason"                            \
	" FROM changed AS c WHERE c.mine AND h.tenant_id = c.tenant_id"            \
	" AND h.user_id = c.user_id AND h.workspace_id = c.workspace_id"           \
	" AND upper_inf(h.valid)),"                                                \
	" closed AS (UPDATE usermgmt.membership_history AS h"                      \
	" SET valid = tstzrange(lower(h.valid), m.at)"                             \
	" FROM changed AS c CROSS JOIN moment AS m WHERE NOT c.mine"               \
	" AND h.tenant_id = c.tenant_id AND h.user_id = c.user_id"                 \
	" AND h.workspace_id = c.workspace_id AND upper_inf(h.valid)"              \
	" RETURNING 1),"                                                           \
	" opened AS (INSERT INTO usermgmt.membership_history (tenant_id, user_id," \
	" workspace_id, valid, role, status, is_primary_owner, slug, changed_by,"  \
	" database_role, reason, transaction_id) SELECT c.tenant_id, c.user_id,"   \
	" c.workspace_id, tstzrange(m.at, NULL), c.role, c.status,"                \
	" c.is_primary_owner, c.slug, c.changed_by, $7, c.reason, $9"              \
	" FROM changed AS c CROSS JOIN moment AS m"                                \
	" CROSS JOIN (SELECT count(*) FROM closed) AS first"                       \
	" WHERE NOT c.mine OR c.valid IS NULL)"                                    \
	" SELECT m.at FROM moment AS m"

/* Of many things, each as noted last; of one, where the plan is to have no
 * doubt that one row of the history is to be found by the index. */
SPI_QUERY(write_periods,
		  WRITE_PERIODS("(SELECT DISTINCT ON (n.tenant_id, n.user_id,"
						" n.workspace_id) n.* FROM unnest($1, $2, $3, $4, $5)"
						" WITH ORDINALITY AS n (tenant_id, user_id,"
						" workspace_id, changed_by, reason, place)"
						" ORDER BY n.tenant_id, n.user_id, n.workspace_id,"
						" n.place DESC)"),
		  UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID,
		  TIMESTAMPTZOID, TEXTOID, XID8OID, XID8OID);
SPI_QUERY(write_period,
		  WRITE_PERIODS("NOT MATERIALIZED (SELECT $1 AS tenant_id,"
						" $2 AS user_id, $3 AS workspace_id,"
						" $4 AS changed_by, $5 AS reason)"),
		  UUIDOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TEXTOID,
		  XID8OID, XID8OID);
SPI_QUERY(find_open,
		  "SELECT tenant_id, user_id, workspace_id"
		  " FROM usermgmt.membership_history WHERE upper_inf(valid)"
		  " AND status <> 'removed' AND (workspace_id <> " NIL_ID ") = $1"
		  " AND (user_id <> " NIL_ID ") = $2",
		  BOOLOID, BOOLOID);

/* Whose access changed, by whom and why. */
typedef struct Changed
{
	Note note;
	bool known_by;
	pg_uuid_t tenant_id;
	pg_uuid_t user_id;
	pg_uuid_t workspace_id;
	pg_uuid_t changed_by;
	const char *reason; /* in the memory of a subtransaction that noted it */
} Changed;

static Notes notes = {.size = sizeof(Changed)};
static Within written; /* in this subtransaction, so many notes */
static int written_count;
static Within writing;				  /* write_all() is at work */
static LocalTransactionId written_in; /* the last transaction that wrote */
static TimestampTz moment;			  /* its instant */

/*
 * The person who acts, unless the change is another tenant's; as the audit.
 */
static void
note_actor(Changed *changed)
{
	const AuditOperation *operation = audit_operation_now();
	const Actor *actor = actor_bound();

	if (actor != NULL && uuid_equal(&actor->tenant_id, &changed->tenant_id))
	{
		changed->changed_by = actor->user_id;
		changed->known_by = true;
	}
	else if (operation->user_id != NULL)
	{
		changed->changed_by = *operation->user_id;
		changed->known_by = true;
	}
}

/*
 * The reason of the function in progress; the one of the row before if that is
 * the same, so that a bulk change keeps one copy.
 */
static const char *
note_reason(void)
{
	const char *reason = audit_operation_now()->reason;
	const Changed *last;

	if (reason == NULL)
		return NULL;
	if (notes.count > 1)
	{
		last = notes_item(&notes, notes.count - 2);
		if (last->reason != NULL && strcmp(last->reason, reason) == 0)
			return last->reason;
	}
	return MemoryContextStrdup(CurTransactionContext, reason);
}

static pg_uuid_t
key_of(SpiRow row, const char *column)
{
	return column[0] != '\0' ? row_uuid(row, column) : uuid_nil;
}

static void
note_row(const Trigger *declared, SpiRow row)
{
	Changed *changed = notes_add(&notes);

	changed->tenant_id = row_uuid(row, "tenant_id");
	changed->workspace_id = key_of(row, declared->tgargs[0]);
	changed->user_id = key_of(row, declared->tgargs[1]);
	note_actor(changed);
	changed->reason = note_reason();
}

static bool
same_thing(const Changed *a, const Changed *b)
{
	return uuid_equal(&a->tenant_id, &b->tenant_id) &&
		   uuid_equal(&a->workspace_id, &b->workspace_id) &&
		   uuid_equal(&a->user_id, &b->user_id);
}

/*
 * AFTER trigger, per row: a key that moved is two.
 */
PG_FUNCTION_INFO_V1(history_note);
Datum
history_note(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);

	note_row(trigger->tg_trigger, trigger_row(trigger));
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		note_row(trigger->tg_trigger, trigger_new_row(trigger));
		if (same_thing(notes_item(&notes, notes.count - 1),
					   notes_item(&notes, notes.count - 2)))
			notes.count--;
	}
	return PointerGetDatum(NULL);
}

/*
 * One column of the notes as an array, NULL where nothing is known.
 */
static SpiArg
column_of(Oid array, size_t offset)
{
	Datum *values = palloc(notes.count * sizeof(Datum));
	bool *nulls = palloc0(notes.count * sizeof(bool));
	bool is_text = array == TEXTARRAYOID;
	int dimension = notes.count;
	int bound = 1;

	for (int i = 0; i < notes.count; i++)
	{
		Changed *changed = notes_item(&notes, i);
		char *member = (char *) changed + offset;

		if (is_text)
			nulls[i] = changed->reason == NULL;
		else
			nulls[i] =
				offset == offsetof(Changed, changed_by) && !changed->known_by;
		if (nulls[i])
			continue;
		values[i] = is_text ? CStringGetTextDatum(changed->reason)
							: UUIDPGetDatum((pg_uuid_t *) member);
	}
	return ARG(array, PointerGetDatum(construct_md_array(
						  values, nulls, 1, &dimension, &bound,
						  is_text ? TEXTOID : UUIDOID, is_text ? -1 : UUID_LEN,
						  false, is_text ? TYPALIGN_INT : TYPALIGN_CHAR)));
}

/*
 * Write the periods of everything noted, and forget it.
 */
static void
write_all(void)
{
	FullTransactionId transaction = GetTopFullTransactionId();
	SpiArg mine = ARG(XID8OID, FullTransactionIdGetDatum(transaction));
	bool again = written_in == MY_TRANSACTION;
	SpiArg before = again ? mine : ARG_NULL(XID8OID);
	SpiArg role = ARG_TEXT(GetUserNameFromId(GetSessionUserId(), false));
	Changed *first = notes_item(&notes, 0);

	if (!again)
		moment = GetCurrentTimestamp();
	within_begin(&writing);
	if (notes.count == 1)
		spi_run(write_period, ARG_UUID(first->tenant_id),
				ARG_UUID(first->user_id), ARG_UUID(first->workspace_id),
				ARG_OPT_UUID(first->known_by ? &first->changed_by : NULL),
				ARG_TEXT(first->reason), ARG_TIME(moment), role, before, mine);
	else
		spi_run(write_periods,
				column_of(UUIDARRAYOID, offsetof(Changed, tenant_id)),
				column_of(UUIDARRAYOID, offsetof(Changed, user_id)),
				column_of(UUIDARRAYOID, offsetof(Changed, workspace_id)),
				column_of(UUIDARRAYOID, offsetof(Changed, changed_by)),
				column_of(TEXTARRAYOID, offsetof(Changed, reason)),
				ARG_TIME(moment), role, before, mine);
	within_end(&writing);
	moment = row_time(spi_row(0), "at");
	written_in = MY_TRANSACTION;
	if (notes_first_own(&notes) == 0)
		notes_forget(&notes, 0);
	else
	{
		within_begin(&written);
		written_count = notes.count;
	}
}

/*
 * Whether this subtransaction has written everything noted. Notes of an outer
 * one are kept, lest a rollback to the savepoint forgets them; to write again
 * what is written changes nothing.
 */
static bool
is_written(void)
{
	return notes.count == 0 ||
		   (within_holds(&written) && written_count == notes.count);
}

/*
 * Deferred AFTER trigger, per row; the first one writes for all.
 */
PG_FUNCTION_INFO_V1(history_write);
Datum
history_write(PG_FUNCTION_ARGS)
{
	trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	if (!is_written())
	{
		SPI_connect();
		write_all();
		SPI_finish();
	}
	return PointerGetDatum(NULL);
}

/*
 * AFTER TRUNCATE trigger: no row trigger fired, so everything open is looked
 * at, here and now.
 */
PG_FUNCTION_INFO_V1(history_truncated);
Datum
history_truncated(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	const char **columns = (const char **) trigger->tg_trigger->tgargs;
	uint64 count;

	SPI_connect();
	count = spi_run(find_open, ARG_BOOL(columns[0][0] != '\0'),
					ARG_BOOL(columns[1][0] != '\0'));
	for (uint64 i = 0; i < count; i++)
	{
		Changed *changed = notes_add(&notes);
		SpiRow row = spi_row(i);

		changed->tenant_id = row_uuid(row, "tenant_id");
		changed->user_id = row_uuid(row, "user_id");
		changed->workspace_id = row_uuid(row, "workspace_id");
		note_actor(changed);
		changed->reason = note_reason();
	}
	if (notes.count > 0)
		write_all();
	SPI_finish();
	return PointerGetDatum(NULL);
}

/*
 * BEFORE trigger: nobody else writes the history.
 */
PG_FUNCTION_INFO_V1(history_refuse);
Datum
history_refuse(PG_FUNCTION_ARGS)
{
	if (!within_holds(&writing))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("the history of access can not be changed"),
						errhint("It follows the memberships by itself.")));
	return PointerGetDatum(NULL);
}

void
history_forget(const pg_uuid_t *user_id, Datum addresses)
{
	within_begin(&writing);
	spi_run(forget_reasons, ARG_UUID(*user_id), ARG(TEXTARRAYOID, addresses));
	within_end(&writing);
}

void
history_init(void)
{
	notes_register(&notes);
}
