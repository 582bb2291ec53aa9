/*
 * relay.c
 *		Claim, send, report, wait: the loop.
 *
 * Only the database is waited for; transfers have threads of their own.  Each
 * lane holds one message at most, so a slow recipient holds up its own lane.
 * What was claimed and not begun goes back by itself if the connection to the
 * database is lost, since a claim lives no longer than that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "claims.h"
#include "lane.h"
#include "ledger.h"
#include "log.h"
#include "metrics.h"
#include "relay.h"
#include "service.h"
#include "stop.h"

#define MAINTENANCE_MS 60000
#define METRICS_MS 4000
#define LONGEST_SLEEP_MS 20000

typedef struct Relay
{
	const Config *config;
	Db db;
	Lane *lanes;
	struct pollfd *fds; /* of stop, database and lanes */

	Claims claims;
	Ledger ledger;
	Backoff database_trouble;
	int64_t connect_at;
	bool failed; /* the database was lost, or could not be reached */

	Pause pause;
	int64_t maintain_at;
	int64_t metrics_at;
	Figures figures;
} Relay;

static int
count_lanes(const Relay *relay, LaneState state)
{
	int count = 0;

	for (int i = 0; i < relay->config->connections; i++)
		count += relay->lanes[i].state == state;
	return count;
}

static Lane *
idle_lane(const Relay *relay)
{
	for (int i = 0; i < relay->config->connections; i++)
		if (relay->lanes[i].state == LANE_IDLE)
			return &relay->lanes[i];
	return NULL;
}

/* Looks whether the database was lost, and when to try again. */
static void
watch_database(Relay *relay)
{
	if (relay->db.connection || relay->connect_at)
		return;
	relay->failed = true;
	relay->connect_at = monotonic_ms() + backoff_next(&relay->database_trouble);
	claims_drop(&relay->claims);
}

static void
connect_database(Relay *relay)
{
	if (relay->db.connection || monotonic_ms() < relay->connect_at)
		return;
	relay->connect_at = 0;
	if (db_connect(&relay->db))
		relay->claims.again_at = 0;
	watch_database(relay);
}

/* Gives back what was claimed and not begun; it pays no attempt. */
static void
hand_back(Relay *relay, const char *why)
{
	int count = claims_hand_back(&relay->claims, why);

	relay->figures.outcomes[OUTCOME_PAUSE] += (unsigned long) count;
}

/* What follows from an outcome for the relay; the database is told later. */
static void
settle(Relay *relay, Lane *lane)
{
	Outcome outcome = lane->delivery.outcome;

	if (lane->state != LANE_ENDED)
		return;
	lane->state = LANE_IDLE;
	ledger_add(&relay->ledger, lane);
	figures_count(&relay->figures, outcome);
	if (outcome == OUTCOME_PAUSE || outcome == OUTCOME_SENDER)
		pause_begin(&relay->pause,
					outcome == OUTCOME_SENDER ? lane->sender : NULL,
					&lane->delivery);
	else if (lane->tried && outcome != OUTCOME_CANCELLED &&
			 outcome != OUTCOME_ABANDONED)
		pause_end(&relay->pause, lane->sender);
	if (outcome == OUTCOME_PAUSE)
		hand_back(relay, lane->delivery.reply);
}

/* Tells the database what it is owed and lets letters go on that wait for its
 * word; true when nothing is owed any more. */
static bool
settle_all(Relay *relay)
{
	bool any = ledger_settle_at(&relay->ledger) >= 0;
	bool told = ledger_settle(&relay->ledger);

	if (any && told)
		backoff_reset(&relay->database_trouble);
	for (int i = 0; i < relay->config->connections; i++)
		settle(relay, &relay->lanes[i]);
	return told;
}

static void
settle_in_time(Relay *relay)
{
	int64_t at = ledger_settle_at(&relay->ledger);

	if (at >= 0 && (stop_requested() || monotonic_ms() >= at))
		settle_all(relay);
}

/* Nothing is to be begun now: a whole pause, or a single probe ending it. */
static bool
is_held_up(const Relay *relay)
{
	if (stop_requested() || !relay->db.connection)
		return true;
	if (relay->config->once)
		return relay->failed || relay->claims.drained ||
			   pause_is_on(&relay->pause);
	return pause_of_all(&relay->pause) &&
		   (monotonic_ms() < pause_until(&relay->pause) ||
			count_lanes(relay, LANE_SENDING) > 0);
}

/* Gives every idle lane a message.  Nothing is claimed while something is owed,
 * or a message whose outcome a lost connection had kept back would be sent
 * again by another lane. */
static void
feed(Relay *relay)
{
	Message message;
	Lane *lane;

	while (!is_held_up(relay) && (lane = idle_lane(relay)))
	{
		if ((!claims_left(&relay->claims) || ledger_is_full(&relay->ledger)) &&
			!settle_all(relay))
			return;
		if (!claims_next(&relay->claims, &message))
			return;
		lane_start(lane, relay->config, &message, relay->db.generation);
		settle(relay, lane);
	}
}

/* While every lane is busy the next messages are claimed, so that the first one
 * to end need not wait for that.  Nothing is owed then, either. */
static void
claim_ahead(Relay *relay)
{
	if (!is_held_up(relay) && !pause_is_on(&relay->pause) &&
		!idle_lane(relay) && ledger_settle_at(&relay->ledger) < 0)
		claims_ahead(&relay->claims);
}

/* Once in a while the server does what time makes necessary. */
static void
maintain(Relay *relay)
{
	int64_t now = monotonic_ms();

	if (!relay->config->once && !stop_requested() && relay->db.connection &&
		now >= relay->maintain_at)
	{
		relay->maintain_at = now + MAINTENANCE_MS;
		queue_maintain(&relay->db);
	}
	if (relay->config->metrics && now >= relay->metrics_at)
	{
		relay->metrics_at = now + METRICS_MS;
		metrics_write(relay->config->metrics, &relay->figures, &relay->db,
					  &relay->pause);
	}
}

/* SIGHUP: new connections, which read passwords anew, and no more waiting. */
static void
reload(Relay *relay)
{
	log_event(LOG_LEVEL_INFO, "reloading");
	for (int i = 0; i < relay->config->connections; i++)
		relay->lanes[i].renew = true;
	pause_shorten(&relay->pause);
	relay->claims.again_at = 0;
	if (relay->connect_at)
		relay->connect_at = monotonic_ms();
}

static void
sooner(int64_t *until, int64_t moment)
{
	if (moment < *until)
		*until = moment;
}

/* The moment at which something is to be done even if nothing happens. */
static int64_t
next_moment(const Relay *relay)
{
	int64_t until = monotonic_ms() + LONGEST_SLEEP_MS;

	for (int i = 0; i < relay->config->connections; i++)
	{
		const Lane *lane = &relay->lanes[i];

		if (lane->state == LANE_SENDING && lane->transport->wait.until >= 0)
			sooner(&until, lane->transport->wait.until);
	}
	if (relay->db.connection && ledger_settle_at(&relay->ledger) >= 0)
		sooner(&until, ledger_settle_at(&relay->ledger));
	if (!relay->db.connection)
		sooner(&until, relay->connect_at);
	else if (!stop_requested() && idle_lane(relay))
	{
		bool all = pause_of_all(&relay->pause);

		if (!all)
			sooner(&until, relay->claims.again_at);
		else if (count_lanes(relay, LANE_SENDING) == 0)
			sooner(&until, pause_until(&relay->pause) > relay->claims.again_at
							   ? pause_until(&relay->pause)
							   : relay->claims.again_at);
		sooner(&until, relay->maintain_at);
	}
	if (relay->config->metrics)
		sooner(&until, relay->metrics_at);
	return until;
}

/* Claims at once after a notification.  One that came in with the answer to a
 * query is no longer on the socket, so waiting for that would miss it. */
static void
heed_notification(Relay *relay, bool readable)
{
	if (relay->db.connection && db_listen(&relay->db, readable) == DB_YES)
		relay->claims.again_at = 0;
}

/* Waits, then lets the lanes go on that have something to do. */
static void
wait_and_proceed(Relay *relay)
{
	int lanes = relay->config->connections;
	struct pollfd *fds = relay->fds;
	int64_t left;

	heed_notification(relay, false);
	left = next_moment(relay) - monotonic_ms();
	fds[0] = (struct pollfd){.fd = stop_requested() ? -1 : stop_fd(),
							 .events = POLLIN};
	fds[1] = (struct pollfd){.fd = -1, .events = POLLIN};
	if (relay->db.connection)
		fds[1].fd = PQsocket(relay->db.connection);
	for (int i = 0; i < lanes; i++)
		for (int n = 0; n < WAIT_SOCKETS; n++)
			fds[2 + i * WAIT_SOCKETS + n] =
				relay->lanes[i].state == LANE_SENDING
					? relay->lanes[i].transport->wait.fds[n]
					: (struct pollfd){.fd = -1};
	poll(fds, (nfds_t) (2 + lanes * WAIT_SOCKETS), left > 0 ? (int) left : 0);

	for (int i = 0; i < lanes; i++)
	{
		Lane *lane = &relay->lanes[i];

		if (lane->state == LANE_SENDING)
		{
			memcpy(lane->transport->wait.fds, &fds[2 + i * WAIT_SOCKETS],
				   sizeof(lane->transport->wait.fds));
			lane_proceed(lane);
			settle(relay, lane);
		}
		lane_rest(lane, monotonic_ms());
	}
	heed_notification(relay, fds[1].revents != 0);
}

/* There is nothing more to do for this program. */
static bool
is_over(const Relay *relay)
{
	bool ending =
		stop_requested() ||
		(relay->config->once && (relay->failed || relay->claims.drained ||
								 pause_is_on(&relay->pause)));

	return ending && count_lanes(relay, LANE_SENDING) == 0 &&
		   (relay->ledger.count == 0 || !relay->db.connection);
}

static void
open_lanes(Relay *relay, Transport *(*make)(const Config *) )
{
	size_t count = (size_t) relay->config->connections;

	relay->lanes = calloc(count, sizeof(Lane));
	relay->fds = calloc(2 + count * WAIT_SOCKETS, sizeof(struct pollfd));
	if (!relay->lanes || !relay->fds)
		abort();
	for (size_t i = 0; i < count; i++)
		relay->lanes[i].transport = make(relay->config);
	ledger_open(&relay->ledger, &relay->db, relay->lanes, (int) count);
}

static void
close_lanes(Relay *relay)
{
	for (int i = 0; i < relay->config->connections; i++)
	{
		Transport *transport = relay->lanes[i].transport;

		transport->close(transport);
	}
	ledger_close(&relay->ledger);
	free(relay->lanes);
	free(relay->fds);
}

int
relay_run(const Config *config, Transport *(*make)(const Config *) )
{
	Relay relay = {
		.config = config,
		.db = {.conninfo = config->database, .statements = queue_statements},
		.database_trouble = {.first_ms = 250, .cap_ms = 5000},
		.pause = pause_none(),
		.claims = {.config = config}};

	relay.claims.db = &relay.db;
	relay.claims.pause = &relay.pause;
	relay.claims.trouble = &relay.database_trouble;
	open_lanes(&relay, make);
	service_ready();
	while (!is_over(&relay))
	{
		if (reload_requested())
			reload(&relay);
		connect_database(&relay);
		if (stop_requested() || (config->once && pause_is_on(&relay.pause)))
			hand_back(&relay, "the relay stops");
		feed(&relay);
		settle_in_time(&relay);
		claim_ahead(&relay);
		maintain(&relay);
		watch_database(&relay);
		service_alive(relay.db.connection, pause_reason(&relay.pause));
		if (!is_over(&relay))
			wait_and_proceed(&relay);
		watch_database(&relay);
	}
	service_stopping();
	if (config->metrics)
		metrics_write(config->metrics, &relay.figures, &relay.db, &relay.pause);
	close_lanes(&relay);
	claims_drop(&relay.claims);
	db_close(&relay.db);
	return config->once && (relay.failed || pause_is_on(&relay.pause))
			   ? EXIT_SYSTEM_FAILED
			   : EXIT_STOPPED;
}
