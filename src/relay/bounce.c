/*
 * bounce.c
 *		A mail that came back: from the mail server's pipe into the database.
 *
 * Whatever is no report of ours is taken and ignored, since refusing it would
 * make the mail server bounce a bounce.  Only a database that is away makes the
 * mail server try again.  A report is believed if it names the id of a message,
 * of which 62 bits are random and which only its recipient has seen, and it
 * harms the address of that message alone.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "backoff.h"
#include "bounce.h"
#include "log.h"
#include "queue.h"
#include "redact.h"
#include "report.h"

#define KEPT_BYTES (1024 * 1024)
#define MOST_BYTES (64L * 1024 * 1024)
#define READ_MS 30000

/*
 * Reads standard input to its end, keeping the beginning; false when that takes
 * too long.  What is too much is left unread.
 */
static bool
read_input(char *bytes, size_t *length)
{
	int64_t deadline = monotonic_ms() + READ_MS;
	char rest[16384];
	long total = 0;

	*length = 0;
	while (total < MOST_BYTES)
	{
		struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
		int64_t left = deadline - monotonic_ms();
		bool keep = *length < KEPT_BYTES;
		ssize_t now;

		if (left <= 0 || poll(&wait, 1, (int) left) == 0)
			return false;
		now = read(STDIN_FILENO, keep ? bytes + *length : rest,
				   keep ? KEPT_BYTES - *length : sizeof(rest));
		if (now == 0)
			return true;
		if (now < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		if (now > 0)
		{
			total += now;
			*length += keep ? (size_t) now : 0;
		}
	}
	return true;
}

/* The id of the message that came back; false when the report names none. */
static bool
find_message(const Config *config, const Report *report, char *id)
{
	const char *recipient = config->bounce_recipient;

	/* Postfix's local(8) gives its commands the address so. */
	if (!recipient)
		recipient = getenv("ORIGINAL_RECIPIENT");
	if (recipient && report_tag(recipient, id))
		return true;
	snprintf(id, MESSAGE_ID_SIZE + 1, "%s",
			 *report->tag ? report->tag : report->name);
	return *id != '\0';
}

/*
 * The status as outbox_bounced() takes it: 5 stops further mail, 4 is a mere
 * delay, and a mail that came back after days of temporary trouble is neither.
 */
static void
put_status(const ReportRecipient *said, char *status, size_t size)
{
	const char *code = *said->status ? said->status : "5.0.0";

	if (strcasecmp(said->action, "delayed") == 0)
		snprintf(status, size, "%s", *code == '4' ? code : "4.0.0");
	else
		snprintf(status, size, *code == '5' ? "%s" : "failed (%s)", code);
}

/* Tells the database what the report says of one recipient. */
static int
record(Db *db, const char *id, const ReportRecipient *said)
{
	char header[64];
	char status[40];
	char detail[REPORT_DETAIL];
	DbAnswer answer;

	if (strcasecmp(said->action, "failed") != 0 &&
		strcasecmp(said->action, "delayed") != 0)
	{
		log_event(LOG_LEVEL_INFO, "message=%s to=%s report=%s ignored", id,
				  said->recipient, said->action);
		return EX_OK;
	}
	put_status(said, status, sizeof(status));
	memcpy(detail, said->detail, sizeof(detail));
	redact(detail);
	snprintf(header, sizeof(header), "<%s@bounce>", id);
	answer = queue_bounced(db, header, said->recipient, status, detail);
	if (answer == DB_TROUBLE)
		return EX_TEMPFAIL;
	log_event(answer == DB_YES ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
			  "message=%s to=%s report=%s status=\"%s\" %s", id,
			  said->recipient, said->action, status,
			  answer == DB_YES ? "recorded" : "is of no mail sent from here");
	return EX_OK;
}

int
bounce_run(const Config *config)
{
	Db db = {.conninfo = config->database, .statements = queue_statements};
	char *bytes = malloc(KEPT_BYTES);
	Report report;
	char id[MESSAGE_ID_SIZE + 1];
	size_t length;
	bool whole;
	int code = EX_OK;

	if (!bytes)
		abort();
	whole = read_input(bytes, &length);
	report_read(bytes, length, &report);
	free(bytes);
	if (!whole)
	{
		log_event(LOG_LEVEL_ERROR, "cannot read the report");
		return EX_TEMPFAIL;
	}
	if (report.count == 0 || !find_message(config, &report, id))
	{
		log_event(LOG_LEVEL_INFO, "not a delivery report about a mail of ours");
		return EX_OK;
	}
	if (!db_connect(&db))
		return EX_TEMPFAIL;
	for (int i = 0; i < report.count && code == EX_OK; i++)
		code = record(&db, id, &report.recipients[i]);
	db_close(&db);
	return code;
}
