/*
 * audit.c
 *	  Who did what, when, and why, in the transaction that did it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/xid8.h"

#include "audit/announce.h"
#include "audit/audit.h"
#include "audit/sink.h"
#include "audit/writer.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "core/within.h"

/* What the events of one statement have in common, and where they go. */
struct AuditBatch
{
	Datum database_role;
	Datum transaction_id;
	Datum epoch;
	TrailWriter writer;
	bool has_sink;
	Datum texts[EVENT_WIDTH]; /* of the event before, or 0 */
};

static AuditOperation operation;
static int operation_level; /* the transaction nesting level it began at */
static Within unlocked;

void
audit_operation(const AuditOperation *begun)
{
	operation = *begun;
	operation_level = GetCurrentTransactionNestLevel();
}

void
audit_operation_end(void)
{
	memset(&operation, 0, sizeof(operation));
}

const AuditOperation *
audit_operation_now(void)
{
	return &operation;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT)
		audit_operation_end();
}

/*
 * One that fails within the operation is the business of whatever the operation
 * sets off, such as a trigger of an attached table that handles an error.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB &&
		GetCurrentTransactionNestLevel() <= operation_level)
		audit_operation_end();
}

void
audit_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	audit_announce_init();
	sink_init();
}

/*
 * The tenant that an event belongs to.
 */
static pg_uuid_t
tenant_of(const AuditEvent *event, const Actor *actor)
{
	if (event->tenant_id != NULL)
		return *event->tenant_id;
	if (operation.tenant_id != NULL)
		return *operation.tenant_id;
	return actor != NULL ? actor->tenant_id : uuid_nil;
}

/*
 * The bound actor, unless the event is another tenant's: that tenant must not
 * learn of people who are none of its own.
 */
static const Actor *
visible_actor(const Actor *actor, const pg_uuid_t *tenant_id)
{
	if (actor == NULL || uuid_equal(tenant_id, &uuid_nil) ||
		uuid_equal(tenant_id, &actor->tenant_id))
		return actor;
	return NULL;
}

/*
 * The trail is locked before anything is read for an event: who erases a
 * person locks it out, and so either sees the event or is seen by it.
 */
AuditBatch *
audit_begin(void)
{
	AuditBatch *batch = palloc(sizeof(AuditBatch));

	writer_open(&batch->writer);
	batch->database_role =
		CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	batch->transaction_id =
		FullTransactionIdGetDatum(GetTopFullTransactionId());
	batch->epoch = Int32GetDatum(installation_epoch());
	batch->has_sink = sink_open();
	return batch;
}

MemoryContext
audit_memory(const AuditBatch *batch)
{
	return batch->writer.memory;
}

void
audit_end(AuditBatch *batch)
{
	writer_close(&batch->writer);
	pfree(DatumGetPointer(batch->database_role));
	pfree(batch);
}

static void
put(EventRow *row, int *n, Datum value)
{
	row->nulls[*n] = value == (Datum) 0;
	row->values[(*n)++] = value;
}

/*
 * Most texts are those of the event before.
 */
static void
put_text(AuditBatch *batch, EventRow *row, int *n, const char *value)
{
	Datum *last = &batch->texts[*n];
	size_t length = value != NULL ? strlen(value) : 0;

	if (value != NULL &&
		(*last == (Datum) 0 || VARSIZE_ANY_EXHDR(*last) != length ||
		 memcmp(VARDATA_ANY(*last), value, length) != 0))
		*last = PointerGetDatum(cstring_to_text_with_len(value, length));
	put(row, n, value != NULL ? *last : (Datum) 0);
}

static void
put_uuid(EventRow *row, int *n, const pg_uuid_t *value)
{
	pg_uuid_t *kept = NULL;

	if (value != NULL)
	{
		kept = palloc(sizeof(pg_uuid_t));
		*kept = *value;
	}
	put(row, n, PointerGetDatum(kept));
}

static void
put_always(EventRow *row, int *n, Datum value)
{
	row->nulls[*n] = false;
	row->values[(*n)++] = value;
}

pg_uuid_t
audit_add(AuditBatch *batch, const AuditEvent *event)
{
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t event_id =
		event->event_id != NULL ? *event->event_id : uuid_make(now);
	pg_uuid_t tenant_id = tenant_of(event, actor_bound());
	pg_uuid_t salt = uuid_random();
	const Actor *actor = visible_actor(actor_bound(), &tenant_id);
	const char *ip = operation.ip;
	MemoryContext outer = MemoryContextSwitchTo(batch->writer.memory);
	EventRow row;
	int n = 0;

	if (batch->writer.row_count == 0)
		memset(batch->texts, 0, sizeof(batch->texts));
	if (actor != NULL)
		ip = actor->ip[0] != '\0' ? actor->ip : NULL;
	put_uuid(&row, &n, &tenant_id);
	put_uuid(&row, &n, &event_id);
	put_always(&row, &n, TimestampTzGetDatum(now));
	put_uuid(&row, &n, actor != NULL ? &actor->user_id : operation.user_id);
	put_text(batch, &row, &n,
			 actor != NULL ? actor->email : operation.user_email);
	put(&row, &n, batch->database_role);
	put_uuid(&row, &n, actor != NULL ? &actor->session_id : NULL);
	put_text(batch, &row, &n, ip);
	put_text(batch, &row, &n, event->action);
	put_text(batch, &row, &n, event->object_type);
	put_text(batch, &row, &n, event->object_id);
	put_text(batch, &row, &n, event->subject_email);
	put(&row, &n, event->before);
	put(&row, &n, event->after);
	put_text(batch, &row, &n,
			 event->reason != NULL ? event->reason : operation.reason);
	put_always(&row, &n, batch->transaction_id);
	put_always(&row, &n, batch->epoch);
	put_uuid(&row, &n, &salt);
	Assert(n == EVENT_WIDTH);
	if (batch->has_sink)
		sink_put(&row);
	audit_announce(&event_id, &tenant_id, event);
	writer_add(&batch->writer, &row);
	MemoryContextSwitchTo(outer);
	return event_id;
}

pg_uuid_t
audit_write(const AuditEvent *event)
{
	AuditBatch *batch = audit_begin();
	pg_uuid_t event_id = audit_add(batch, event);

	audit_end(batch);
	return event_id;
}

void
audit_unlock(void)
{
	within_begin(&unlocked);
}

void
audit_lock(void)
{
	within_end(&unlocked);
}

/*
 * The trail is append-only: its BEFORE triggers refuse everything else, but
 * what audit_unlock() lets through.
 */
PG_FUNCTION_INFO_V1(audit_refuse);
Datum
audit_refuse(PG_FUNCTION_ARGS)
{
	if (within_holds(&unlocked))
		return PointerGetDatum(NULL);
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("the audit trail can not be changed")));
}
