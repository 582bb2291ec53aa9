/*
 * audit.c
 *	  Who did what, when, and why, in the transaction that did it.
 */
#include "postgres.h"

#include "sodium.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/xid8.h"

#include "audit/announce.h"
#include "audit/audit.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "core/within.h"

SPI_QUERY(insert_event,
		  "INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at,"
		  " actor_user_id, actor_email, actor_db_role, session_id, ip, action,"
		  " object_type, object_id, subject_email, old, new, reason,"
		  " transaction_id, epoch, salt) VALUES ($1, $2, $3, $4, $5, $6, $7,"
		  " $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTOID, TEXTOID, UUIDOID,
		  TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID,
		  TEXTOID, XID8OID, INT4OID, UUIDOID);

static AuditOperation operation;
static Within unlocked;

void
audit_operation(const AuditOperation *begun)
{
	operation = *begun;
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

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		audit_operation_end();
}

void
audit_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	audit_announce_init();
}

static SpiArg
jsonb_or_null(Datum value)
{
	if (value == (Datum) 0)
		return ARG_NULL(JSONBOID);
	return ARG(JSONBOID, value);
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

pg_uuid_t
audit_write(const AuditEvent *event)
{
	pg_uuid_t salt;
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t event_id = uuid_make(now);
	pg_uuid_t tenant_id = tenant_of(event, actor_bound());
	const Actor *actor = visible_actor(actor_bound(), &tenant_id);
	const char *reason =
		event->reason != NULL ? event->reason : operation.reason;
	const char *ip = operation.ip;

	randombytes_buf(salt.data, UUID_LEN);
	if (actor != NULL)
		ip = actor->ip[0] != '\0' ? actor->ip : NULL;
	spi_run(insert_event, ARG_UUID(tenant_id), ARG_UUID(event_id),
			ARG_TIME(now),
			ARG_OPT_UUID(actor != NULL ? &actor->user_id : operation.user_id),
			ARG_TEXT(actor != NULL ? actor->email : operation.user_email),
			ARG_TEXT(GetUserNameFromId(GetSessionUserId(), false)),
			ARG_OPT_UUID(actor != NULL ? &actor->session_id : NULL),
			ARG_TEXT(ip), ARG_TEXT(event->action), ARG_TEXT(event->object_type),
			ARG_TEXT(event->object_id), ARG_TEXT(event->subject_email),
			jsonb_or_null(event->before), jsonb_or_null(event->after),
			ARG_TEXT(reason),
			ARG(XID8OID, FullTransactionIdGetDatum(GetTopFullTransactionId())),
			ARG_INT(installation_epoch()), ARG_UUID(salt));
	audit_announce(&event_id, &tenant_id, event);
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
