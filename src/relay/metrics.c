/*
 * metrics.c
 *		Figures for Prometheus, as a file for node_exporter's textfile
 *collector.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "metrics.h"

#define PREFIX "usermgmt_relay_"

void
figures_count(Figures *figures, Outcome outcome)
{
	figures->outcomes[outcome]++;
	if (outcome == OUTCOME_SENT)
		figures->last_sent = time(NULL);
}

static void
put_number(FILE *out, const char *name, const char *help, double number)
{
	fprintf(out,
			"# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s gauge\n" PREFIX
			"%s %.15g\n",
			name, help, name, name, number);
}

static void
put_outcomes(FILE *out, const Figures *figures)
{
	static const struct
	{
		const char *label;
		Outcome outcomes[2];
	} rows[] = {
		{"sent", {OUTCOME_SENT, OUTCOME_SENT}},
		{"deferred", {OUTCOME_LATER, OUTCOME_LATER}},
		{"failed", {OUTCOME_NEVER, OUTCOME_NEVER}},
		{"handed_back", {OUTCOME_PAUSE, OUTCOME_SENDER}},
		{"cancelled", {OUTCOME_CANCELLED, OUTCOME_CANCELLED}},
		{"abandoned", {OUTCOME_ABANDONED, OUTCOME_ABANDONED}},
	};

	fputs("# HELP " PREFIX "messages_total Messages by what became of them.\n"
		  "# TYPE " PREFIX "messages_total counter\n",
		  out);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		unsigned long count = figures->outcomes[rows[i].outcomes[0]];

		if (rows[i].outcomes[1] != rows[i].outcomes[0])
			count += figures->outcomes[rows[i].outcomes[1]];
		fprintf(out, PREFIX "messages_total{outcome=\"%s\"} %lu\n",
				rows[i].label, count);
	}
}

/* The queue's figures and the server's; left out without the database. */
static void
put_queue(FILE *out, const PGresult *queue)
{
	static const struct
	{
		const char *column;
		const char *name;
		const char *help;
	} rows[] = {
		{"queued", "queue_messages", "Messages waiting."},
		{"due", "queue_due_messages", "Messages that could be sent now."},
		{"in_flight", "queue_in_flight_messages", "Messages a relay holds."},
		{"dead", "queue_dead_messages", "Messages given up."},
		{"oldest_seconds", "queue_oldest_due_seconds",
		 "For how long the oldest waiting message has been due."},
		{"last_error_at", "queue_last_error_timestamp_seconds",
		 "When an attempt last failed, or 0."},
		{"hashing", "hashing", "Password hashes that run now."},
		{"waiting_to_hash", "waiting_to_hash",
		 "Connections that wait for a hash slot."},
		{"unsealed_events", "unsealed_events",
		 "Events of the trail that are not sealed, at most 10000."},
		{"oldest_unsealed_seconds", "oldest_unsealed_seconds",
		 "How old the first of them is."},
		{"failed_log_ins", "failed_log_ins",
		 "Failed log-ins that the throttle remembers."},
		{"throttled_addresses", "throttled_addresses",
		 "Addresses whose next try does not count yet."},
		{"notify_queue_usage", "notify_queue_usage_ratio",
		 "How full the server's queue of notifications is."},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_number(
			out, rows[i].name, rows[i].help,
			atof(PQgetvalue(queue, 0, PQfnumber(queue, rows[i].column))));
	put_number(out, "queue_paused", "1 while an operator's pause holds mail.",
			   !PQgetisnull(queue, 0, PQfnumber(queue, "paused")));
}

static void
put_all(FILE *out, const Figures *figures, const PGresult *queue,
		const Pause *pause)
{
	fputs("# HELP " PREFIX "info The version.\n# TYPE " PREFIX
		  "info gauge\n" PREFIX "info{version=\"" USERMGMT_VERSION "\"} 1\n",
		  out);
	put_outcomes(out, figures);
	put_number(out, "last_sent_timestamp_seconds",
			   "When the last message was sent, or 0.",
			   (double) figures->last_sent);
	put_number(out, "written_timestamp_seconds", "When this was written.",
			   (double) time(NULL));
	put_number(out, "database_up", "1 while the database answers.",
			   queue != NULL);
	put_number(out, "paused",
			   "1 while the mail server or a sender's set-up holds mail.",
			   pause_is_on(pause));
	if (queue)
		put_queue(out, queue);
}

/*
 * Writes beside the file and renames: a reader sees all of it or the last.
 * Whoever collects figures may read them, whatever the umask.
 */
static bool
replace_file(const char *path, const char *text, size_t length)
{
	char temporary[4096];
	bool written;
	int file;

	if (snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path,
				 (long) getpid()) >= (int) sizeof(temporary))
		return false;
	unlink(temporary);
	file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				0644);
	if (file < 0)
		return false;
	written = fchmod(file, 0644) == 0 &&
			  write(file, text, length) == (ssize_t) length;
	if (close(file) == 0 && written && rename(temporary, path) == 0)
		return true;
	unlink(temporary);
	return false;
}

void
metrics_write(const char *path, const Figures *figures, Db *db,
			  const Pause *pause)
{
	static bool complained;
	PGresult *queue = queue_statistics(db);
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	bool written;

	if (!out)
		abort();
	if (queue && PQntuples(queue) != 1)
	{
		PQclear(queue);
		queue = NULL;
	}
	put_all(out, figures, queue, pause);
	PQclear(queue);
	if (fclose(out) != 0)
		abort();
	written = replace_file(path, text, length);
	if (!written && !complained)
		log_event(LOG_LEVEL_ERROR, "cannot write %s: %s", path,
				  strerror(errno));
	complained = !written;
	free(text);
}
