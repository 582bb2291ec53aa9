/*
 * announce.c
 *	  Tell outside listeners and the server log, once it has happened.
 *
 * NOTIFY carries the event's id and nothing else. A log line has ids, but no
 * address and no secret. Both wait for the end of the transaction, and an
 *abort, also of a subtransaction, drops them: NOTIFY is sent just before the
 *commit, so that nothing holds its lock longer. A prepared transaction logs its
 *lines and sends no NOTIFY.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "utils/memutils.h"

#include "audit/announce.h"
#include "core/notify.h"
#include "core/settings.h"
#include "core/uuid.h"

typedef struct Line
{
	int level; /* nesting level of the transaction that wrote it */
	bool notify;
	pg_uuid_t event_id;
	char *text; /* for the log, or NULL */
	struct Line *earlier;
} Line;

static Line *lines; /* in the memory of the transaction, latest first */

static void
keep_line(const pg_uuid_t *event_id, const char *text)
{
	MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
	Line *line = palloc(sizeof(Line));

	line->level = GetCurrentTransactionNestLevel();
	line->notify = notify_events;
	line->event_id = *event_id;
	line->text = text != NULL ? pstrdup(text) : NULL;
	line->earlier = lines;
	lines = line;
	MemoryContextSwitchTo(outer);
}

void
audit_announce(const pg_uuid_t *event_id, const pg_uuid_t *tenant_id,
			   const AuditEvent *event)
{
	bool nameless =
		event->object_id == NULL || strchr(event->object_id, '@') != NULL;

	if (log_events)
		keep_line(event_id, psprintf("action=%s tenant=%s %s=%s", event->action,
									 uuid_text(tenant_id), event->object_type,
									 nameless ? "-" : event->object_id));
	else if (notify_events)
		keep_line(event_id, NULL);
}

/*
 * Forget the latest line, and free it.
 */
static void
drop_line(void)
{
	Line *line = lines;

	lines = line->earlier;
	if (line->text != NULL)
		pfree(line->text);
	pfree(line);
}

/*
 * Put the lines in the order of the events.
 */
static Line *
in_order(void)
{
	Line *first = NULL;

	while (lines != NULL)
	{
		Line *line = lines;

		lines = line->earlier;
		line->earlier = first;
		first = line;
	}
	return first;
}

static void
notify_lines(void)
{
	Line *first = in_order();
	bool room = first != NULL && notify_has_room();

	for (Line *line = first; line != NULL; line = line->earlier)
		if (line->notify && room)
			Async_Notify("usermgmt_event", uuid_text(&line->event_id));
	lines = first;
	lines = in_order(); /* latest first again */
}

static void
log_lines(void)
{
	for (Line *line = in_order(); line != NULL; line = line->earlier)
		if (line->text != NULL)
			ereport(LOG, (errmsg("usermgmt event: %s", line->text),
						  errhidestmt(true), errhidecontext(true)));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT)
		notify_lines();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		log_lines();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_ABORT)
		lines = NULL;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (lines != NULL && lines->level >= level)
			drop_line();
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (Line *line = lines; line != NULL && line->level >= level;
			 line = line->earlier)
			line->level = level - 1;
}

void
audit_announce_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
