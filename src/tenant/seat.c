/*
 * seat.c
 *	  Seat limit and pending limit, never oversold at any isolation level.
 *
 * The seats taken are counters in a row of their own (seat_count), changed by
 * one conditional UPDATE; counting rows at each use would oversell under
 * concurrency and scan the tenant. The row is no part of the tenant's, which
 * log-ins lock, and exists only where there is a limit: without one,
 * invitations of a tenant do not wait for each other. Every change takes the
 * tenant's row FOR KEY SHARE before it looks for the counters (a new row by its
 * foreign key, of which the trigger's name sorts before ours), and the first
 * count takes it FOR UPDATE, so none is missed by it.
 *
 * Functions lock the counters right after the tenant (seat_lock), so that no
 * two of them wait for each other. An expired invitation gives its seat back
 * when somebody needs it.
 */
#include "postgres.h"

#include "core/actor.h"
#include "core/errors.h"
#include "core/settings.h"
#include "core/spi_query.h"
#include "core/within.h"
#include "tenant/seat.h"

SPI_QUERY(share_key,
		  "SELECT FROM usermgmt.tenant WHERE tenant_id = $1 FOR KEY SHARE",
		  UUIDOID);
SPI_QUERY(lock_exclusively,
		  "SELECT FROM usermgmt.tenant WHERE tenant_id = $1 FOR UPDATE",
		  UUIDOID);
SPI_QUERY(lock_counts,
		  "SELECT FROM usermgmt.seat_count WHERE tenant_id = $1"
		  " FOR NO KEY UPDATE",
		  UUIDOID);
SPI_QUERY(read_counts,
		  "SELECT t.settings, s.members, s.invitations"
		  " FROM usermgmt.tenant AS t LEFT JOIN usermgmt.seat_count AS s"
		  " ON s.tenant_id = t.tenant_id WHERE t.tenant_id = $1",
		  UUIDOID);
SPI_QUERY(count_seats,
		  "SELECT (SELECT count(*)::integer FROM usermgmt.membership"
		  " WHERE tenant_id = $1 AND status = 'active') AS members,"
		  " (SELECT count(*)::integer FROM usermgmt.invitation"
		  " WHERE tenant_id = $1 AND state = 'pending' AND holds_seat)"
		  " AS invitations",
		  UUIDOID);
SPI_QUERY(count_overdue,
		  "SELECT count(*)::integer AS n FROM usermgmt.invitation"
		  " WHERE tenant_id = $1 AND state = 'pending' AND holds_seat"
		  " AND expires_at <= $2",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(insert_counts,
		  "INSERT INTO usermgmt.seat_count (tenant_id, members, invitations)"
		  " VALUES ($1, $2, $3)",
		  UUIDOID, INT4OID, INT4OID);
SPI_QUERY(add,
		  "UPDATE usermgmt.seat_count SET members = members + $2,"
		  " invitations = invitations + $3 WHERE tenant_id = $1"
		  " AND ($4 = 0 OR $2 + $3 <= 0"
		  " OR members + invitations + $2 + $3 <= $4)"
		  " AND ($5 = 0 OR $3 <= 0 OR invitations + $3 <= $5)",
		  UUIDOID, INT4OID, INT4OID, INT4OID, INT4OID);
/* Others may be giving back some of the same; each takes what is free. */
SPI_QUERY(give_back_expired,
		  "UPDATE usermgmt.invitation SET holds_seat = false"
		  " WHERE ctid = ANY (ARRAY(SELECT ctid FROM usermgmt.invitation"
		  " WHERE tenant_id = $1 AND state = 'pending' AND holds_seat"
		  " AND expires_at <= $2 FOR NO KEY UPDATE SKIP LOCKED))",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(delete_counts, "DELETE FROM usermgmt.seat_count WHERE tenant_id = $1",
		  UUIDOID);

typedef struct Seats
{
	int seat_limit;	   /* 0: none */
	int pending_limit; /* 0: none */
	bool counted;
	int members;
	int invitations;
} Seats;

static Within transferring;

void
seat_set_transfer(bool transfer)
{
	if (transfer)
		within_begin(&transferring);
	else
		within_end(&transferring);
}

static bool
is_limited(const Seats *seats)
{
	return seats->seat_limit > 0 || seats->pending_limit > 0;
}

static void
read_limits(Jsonb *settings, Seats *seats)
{
	seats->seat_limit = setting_limit(SETTING_SEAT_LIMIT, settings);
	seats->pending_limit = setting_limit(SETTING_PENDING_LIMIT, settings);
}

/*
 * Limits and counters as they are now, whatever the transaction's snapshot.
 */
static Seats
read_seats(const pg_uuid_t *tenant_id)
{
	Seats seats = {0};
	bool isnull;

	if (spi_latest(read_counts, ARG_UUID(*tenant_id)) == 0)
		return seats;
	read_limits(DatumGetJsonbP(row_datum(spi_row(0), "settings", &isnull)),
				&seats);
	seats.counted = !row_is_null(spi_row(0), "members");
	if (seats.counted)
	{
		seats.members = row_int(spi_row(0), "members");
		seats.invitations = row_int(spi_row(0), "invitations");
	}
	return seats;
}

/*
 * Count for the first time; what this transaction has changed is included.
 */
static void
begin_counting(const pg_uuid_t *tenant_id)
{
	int members;
	int invitations;

	spi_run(lock_exclusively, ARG_UUID(*tenant_id));
	if (read_seats(tenant_id).counted)
		return;
	spi_latest(count_seats, ARG_UUID(*tenant_id));
	members = row_int(spi_row(0), "members");
	invitations = row_int(spi_row(0), "invitations");
	spi_run(insert_counts, ARG_UUID(*tenant_id), ARG_INT(members),
			ARG_INT(invitations));
}

void
seat_prepare(const Tenant *tenant)
{
	Seats seats = {0};

	read_limits(tenant->settings, &seats);
	if (is_limited(&seats) && !read_seats(&tenant->tenant_id).counted)
		begin_counting(&tenant->tenant_id);
}

void
seat_lock(const Tenant *tenant)
{
	Seats seats = {0};

	read_limits(tenant->settings, &seats);
	if (is_limited(&seats))
		spi_run(lock_counts, ARG_UUID(tenant->tenant_id));
}

/*
 * Whether this many more still fit; fewer always do.
 */
static bool
fits(const Seats *seats, int members, int invitations)
{
	return (seats->seat_limit == 0 || members + invitations <= 0 ||
			seats->members + seats->invitations + members + invitations <=
				seats->seat_limit) &&
		   (seats->pending_limit == 0 || invitations <= 0 ||
			seats->invitations + invitations <= seats->pending_limit);
}

static void
refuse_seat(const Seats *seats)
{
	if (seats->seat_limit > 0 &&
		seats->members + seats->invitations >= seats->seat_limit)
		ereport(
			ERROR,
			(errcode(ERRCODE_UM_LIMIT_REACHED),
			 errmsg("all %d seats of the tenant are taken", seats->seat_limit),
			 errdetail("%d by members, %d by open invitations.", seats->members,
					   seats->invitations),
			 errhint("Deactivate a member, revoke an invitation, or ask "
					 "an owner to raise seat_limit.")));
	ereport(ERROR, (errcode(ERRCODE_UM_LIMIT_REACHED),
					errmsg_plural("the limit of %d open invitation is reached",
								  "the limit of %d open invitations is "
								  "reached",
								  seats->pending_limit, seats->pending_limit),
					errhint("Revoke an invitation, or ask an owner to raise "
							"pending_limit.")));
}

static bool
try_add(const pg_uuid_t *tenant_id, const Seats *seats, int members,
		int invitations)
{
	return spi_run(add, ARG_UUID(*tenant_id), ARG_INT(members),
				   ARG_INT(invitations),
				   ARG_INT(within_holds(&transferring) ? 0 : seats->seat_limit),
				   ARG_INT(seats->pending_limit)) == 1;
}

/*
 * A transaction with a fixed snapshot may not see the counters as they are.
 */
static void
refuse_old_snapshot(void)
{
	refuse_concurrent("change of the seats taken");
}

void
seat_change(const pg_uuid_t *tenant_id, int members, int invitations)
{
	spi_run(share_key, ARG_UUID(*tenant_id));
	seat_take(tenant_id, members, invitations);
}

void
seat_take(const pg_uuid_t *tenant_id, int members, int invitations)
{
	Seats seats = read_seats(tenant_id);

	if (!seats.counted && !is_limited(&seats))
		return;
	if (!seats.counted)
	{
		begin_counting(tenant_id);
		spi_run(add, ARG_UUID(*tenant_id), ARG_INT(-members),
				ARG_INT(-invitations), ARG_INT(0), ARG_INT(0));
		seats = read_seats(tenant_id);
	}
	if (try_add(tenant_id, &seats, members, invitations))
		return;
	seats = read_seats(tenant_id);
	if (!seats.counted)
		return; /* the limit was lifted meanwhile */
	if (fits(&seats, members, invitations))
		refuse_old_snapshot();
	spi_run(give_back_expired, ARG_UUID(*tenant_id),
			ARG_TIME(GetCurrentTimestamp()));
	seats = read_seats(tenant_id);
	if (!try_add(tenant_id, &seats, members, invitations))
		refuse_seat(&seats);
}

void
seat_follow_settings(const pg_uuid_t *tenant_id, Jsonb *settings)
{
	Seats seats = {0};

	read_limits(settings, &seats);
	if (!is_limited(&seats))
		spi_run(delete_counts, ARG_UUID(*tenant_id));
	else if (!read_seats(tenant_id).counted)
		begin_counting(tenant_id);
}

/*
 * For the views: whether one more invitation would fit into the caller's
 * tenant.
 */
PG_FUNCTION_INFO_V1(seat_is_free);
Datum
seat_is_free(PG_FUNCTION_ARGS)
{
	pg_uuid_t tenant_id;
	Seats seats;
	bool free = true;

	if (!caller_tenant(&tenant_id))
		PG_RETURN_NULL();
	SPI_connect();
	seats = read_seats(&tenant_id);
	if (is_limited(&seats))
	{
		if (!seats.counted)
		{
			spi_latest(count_seats, ARG_UUID(tenant_id));
			seats.members = row_int(spi_row(0), "members");
			seats.invitations = row_int(spi_row(0), "invitations");
		}
		spi_latest(count_overdue, ARG_UUID(tenant_id),
				   ARG_TIME(GetCurrentTimestamp()));
		seats.invitations -= row_int(spi_row(0), "n");
		free = fits(&seats, 0, 1);
	}
	SPI_finish();
	PG_RETURN_BOOL(free);
}
