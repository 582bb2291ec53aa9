/*
 * announce.c
 *	  Tell outside listeners and the server log, once it has happened.
 *
 * NOTIFY carries the event's id and nothing else. A log line has ids, but no
 * address and no secret; lines wait for the commit, and an abort, also of a
 * subtransaction, drops them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "utils/memutils.h"

#include "audit/announce.h"
#include "core/settings.h"
#include "core/uuid.h"

typedef struct Line
{
	int level; /* nesting level of the transaction that wrote it */
	char *text;
	struct Line *earlier;
} Line;

static Line *lines; /* in the memory of the transaction, latest first */

static void
keep_line(const char *text)
{
	MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
	Line *line = palloc(sizeof(Line));

	line->level = GetCurrentTransactionNestLevel();
	line->text = pstrdup(text);
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

	if (notify_events)
		Async_Notify("usermgmt_event", uuid_text(event_id));
	if (log_events)
		keep_line(psprintf("action=%s tenant=%s %s=%s", event->action,
						   uuid_text(tenant_id), event->object_type,
						   nameless ? "-" : event->object_id));
}

/*
 * Log the lines in the order of the events.
 */
static void
log_lines(void)
{
	Line *first = NULL;

	while (lines != NULL)
	{
		Line *line = lines;

		lines = line->earlier;
		line->earlier = first;
		first = line;
	}
	for (; first != NULL; first = first->earlier)
		ereport(LOG, (errmsg("usermgmt event: %s", first->text),
					  errhidestmt(true), errhidecontext(true)));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
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
			lines = lines->earlier;
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
