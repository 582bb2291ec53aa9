/*
 * relay.c
 *		Claim, send, report, wait.
 *
 * No transaction is open while a letter is on the wire.  What the server said
 * is reported at once; if the database is gone just then, that one outcome is
 * kept and reported after reconnecting, and the fence decides whether it still
 * counts.  All other claimed messages go back by themselves, since a claim
 * lives no longer than its connection.
 */
#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "db.h"
#include "log.h"
#include "relay.h"
#include "stop.h"

#define IDLE_CONNECTION_MS 30000
#define MAINTENANCE_MS 60000
#define LONGEST_HURRY_MS 256

/* What to tell the database about one message. */
typedef struct Report
{
	char id[40];
	char fence[24];
	Outcome outcome;
	char reply[REPLY_SIZE];
} Report;

typedef struct Relay
{
	const Config *config;
	Transport *transport;
	Db db;
	Backoff database_trouble;
	Backoff pause;
	bool paused;	   /* the last letter met a fault of the whole relay */
	Report unreported; /* its id is empty when there is none */
	int64_t last_send; /* 0 when no connection is kept */
	int hurry_ms;	   /* how long to wait if something is due already */
	int64_t next_maintenance;
} Relay;

/* Tells the database what became of a message. */
static DbAnswer
report(Relay *relay, const Report *report)
{
	switch (report->outcome)
	{
		case OUTCOME_SENT:
			return db_sent(&relay->db, report->id, report->fence,
						   report->reply);
		case OUTCOME_LATER:
			return db_failed(&relay->db, report->id, report->fence, "false",
							 report->reply);
		case OUTCOME_NEVER:
			return db_failed(&relay->db, report->id, report->fence, "true",
							 report->reply);
		case OUTCOME_PAUSE:
			return db_failed(&relay->db, report->id, report->fence, NULL,
							 report->reply);
		case OUTCOME_CANCELLED:
			return DB_YES;
		case OUTCOME_ABANDONED:
			break;
	}
	return DB_TROUBLE;
}

/*
 * Reports the outcome that a lost connection had kept back.  Nothing is
 * claimed before that, or a report that keeps failing would send the same
 * message over and over.
 */
static bool
report_kept(Relay *relay)
{
	DbAnswer answer;

	if (!*relay->unreported.id)
		return true;
	answer = report(relay, &relay->unreported);
	if (answer == DB_TROUBLE)
		return false;
	log_event(LOG_LEVEL_INFO, "message=%s kept outcome reported: %s",
			  relay->unreported.id,
			  answer == DB_YES ? "accepted" : "somebody else took over");
	relay->unreported.id[0] = '\0';
	return true;
}

/* What the fence needs to know. */
typedef struct Look
{
	Db *db;
	const Message *message;
} Look;

static FenceAnswer
ask_fence(void *context)
{
	const Look *look = context;

	switch (db_sending(look->db, look->message->id, look->message->fence))
	{
		case DB_YES:
			return FENCE_GO;
		case DB_NO:
			return FENCE_CANCELLED;
		case DB_TROUBLE:
			break;
	}
	return FENCE_LOST;
}

/* Sends one message, or finds that it never can be. */
static void
send_message(Relay *relay, const Message *message, Delivery *delivery)
{
	Look look = {.db = &relay->db, .message = message};
	Fence fence = {.ask = ask_fence, .context = &look};
	Letter letter;
	char reason[REPLY_SIZE];

	if (!message_render(message, &letter, reason, sizeof(reason)))
	{
		delivery_set(delivery, OUTCOME_NEVER, "%s", reason);
		return;
	}
	relay->transport->send(relay->transport, &letter, &fence, delivery);
	letter_free(&letter);
	relay->last_send = monotonic_ms();
	relay->paused = delivery->outcome == OUTCOME_PAUSE;
	if (!relay->paused)
		backoff_reset(&relay->pause);
}

/* Tells the database about one message; false when the database is gone. */
static bool
settle(Relay *relay, const Message *message, const Delivery *delivery)
{
	static const char *const names[] = {
		[OUTCOME_SENT] = "sent",		   [OUTCOME_LATER] = "later",
		[OUTCOME_NEVER] = "never",		   [OUTCOME_PAUSE] = "handed back",
		[OUTCOME_CANCELLED] = "cancelled", [OUTCOME_ABANDONED] = "abandoned"};
	Report now = {.outcome = delivery->outcome};
	DbAnswer answer;

	snprintf(now.id, sizeof(now.id), "%s", message->id);
	snprintf(now.fence, sizeof(now.fence), "%s", message->fence);
	memcpy(now.reply, delivery->reply, sizeof(now.reply));
	log_event(now.outcome == OUTCOME_PAUSE ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
			  "message=%s kind=%s attempt=%s to=%s outcome=%s reply=\"%s\"",
			  message->id, message->kind, message->attempt, message->recipient,
			  names[now.outcome], now.reply);

	answer = report(relay, &now);
	if (answer == DB_NO)
		log_event(LOG_LEVEL_WARNING, "message=%s somebody else took over",
				  message->id);
	if (answer == DB_TROUBLE && now.outcome != OUTCOME_PAUSE &&
		now.outcome != OUTCOME_ABANDONED)
		relay->unreported = now;
	return answer != DB_TROUBLE;
}

/* Sends all that was claimed, or hands back what cannot be sent now. */
static bool
deliver(Relay *relay, const PGresult *claimed)
{
	Delivery delivery = {.outcome = OUTCOME_SENT};

	for (int row = 0; row < PQntuples(claimed); row++)
	{
		Message message;

		db_message(claimed, row, &message);
		if (stop_requested())
			delivery_set(&delivery, OUTCOME_PAUSE, "the relay stops");
		else if (delivery.outcome != OUTCOME_PAUSE)
			send_message(relay, &message, &delivery);
		if (!settle(relay, &message, &delivery))
			return false;
	}
	if (delivery.outcome == OUTCOME_PAUSE && !stop_requested())
	{
		int wait = backoff_next(&relay->pause);

		log_event(LOG_LEVEL_ERROR, "paused for %.1f s, nothing can be sent: %s",
				  wait / 1000.0, delivery.reply);
		if (!relay->config->once)
			stop_wait(wait);
	}
	return true;
}

/* Waits until something is due or the mail connection has been idle enough. */
static bool
wait_for_mail(Relay *relay)
{
	int limit = relay->config->poll_ms;
	int due;

	if (relay->last_send)
	{
		int64_t idle = monotonic_ms() - relay->last_send;

		if (idle >= IDLE_CONNECTION_MS)
		{
			relay->transport->disconnect(relay->transport);
			relay->last_send = 0;
		}
		else if (IDLE_CONNECTION_MS - idle < limit)
			limit = (int) (IDLE_CONNECTION_MS - idle);
	}

	due = db_next_due(&relay->db, limit);
	if (due < 0)
		return false;

	/* Due, and yet nothing was claimed: look again at once, then less often. */
	if (due > 0)
		relay->hurry_ms = 0;
	else
	{
		due = relay->hurry_ms;
		relay->hurry_ms = due == 0 ? 1 : due * 2;
		if (relay->hurry_ms > LONGEST_HURRY_MS)
			relay->hurry_ms = LONGEST_HURRY_MS;
	}
	db_wait(&relay->db, due);
	return true;
}

/* Once in a while the server does what time makes necessary. */
static bool
maintain(Relay *relay)
{
	if (relay->config->once || stop_requested() ||
		monotonic_ms() < relay->next_maintenance)
		return true;
	relay->next_maintenance = monotonic_ms() + MAINTENANCE_MS;
	return db_maintain(&relay->db);
}

/*
 * One round: claim and send, or wait.  False on database trouble; done is set
 * when the queue was empty.
 */
static bool
one_round(Relay *relay, bool *done)
{
	PGresult *claimed;
	bool healthy;

	if (!relay->db.connection && !db_connect(&relay->db))
		return false;
	if (!report_kept(relay))
		return false;
	claimed = db_claim(&relay->db, relay->paused ? 1 : relay->config->batch);
	if (!claimed)
		return false;
	backoff_reset(&relay->database_trouble);

	*done = PQntuples(claimed) == 0;
	if (!*done)
		relay->hurry_ms = 0;
	healthy = deliver(relay, claimed) && maintain(relay);
	if (*done && healthy && !relay->config->once)
		healthy = wait_for_mail(relay);
	PQclear(claimed);
	return healthy;
}

int
relay_run(const Config *config, Transport *transport)
{
	Relay relay = {
		.config = config,
		.transport = transport,
		.db = {.conninfo = config->database, .worker = config->worker_name},
		.database_trouble = {.first_ms = 250, .cap_ms = 10000},
		.pause = {.first_ms = 1000, .cap_ms = 60000}};
	int code = -1;

	while (code < 0 && !stop_requested())
	{
		bool done = false;
		bool healthy = one_round(&relay, &done);

		if (config->once && (!healthy || relay.paused))
			code = EXIT_SYSTEM_FAILED;
		else if (config->once && done)
			code = EXIT_STOPPED;
		else if (!healthy)
			stop_wait(backoff_next(&relay.database_trouble));
	}
	if (*relay.unreported.id)
		log_event(LOG_LEVEL_WARNING, "message=%s its outcome is not reported",
				  relay.unreported.id);
	db_close(&relay.db);
	return code < 0 ? EXIT_STOPPED : code;
}
