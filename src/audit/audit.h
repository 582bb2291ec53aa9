/*
 * audit.h: the trail of every change, written in the changing transaction.
 *
 * One trigger function serves every audited table, so a bare UPDATE in psql
 * leaves the same trail as a function. A room names the actions of its table
 * (audit_register); a function in progress may name its own action and say
 * on whose behalf it acts (audit_operation).
 */
#ifndef USERMGMT_AUDIT_H
#define USERMGMT_AUDIT_H

#include "core/actor.h"
#include "core/spi_query.h"

/* A changed row; before is NULL for an insert, after for a delete. */
typedef struct AuditChange
{
	const SpiRow *before;
	const SpiRow *after;
} AuditChange;

/* The action of a change, or NULL for <object type>.created, .updated,
 * .deleted. */
typedef const char *(*AuditNamer)(const AuditChange *change);

/* Called once per object type, when the library is loaded. */
extern void audit_register(const char *object_type, AuditNamer namer);

/* Whether the value of this column differs between before and after. */
extern bool audit_differs(const AuditChange *change, const char *column);

/* The function in progress: its action names changes of object_type, its
 * reason goes into every event; tenant_id is for rows that have none; the
 * person acts when no session is bound. Pointers live until the end. */
typedef struct AuditOperation
{
	const char *object_type;
	const char *action;
	const char *reason;
	const pg_uuid_t *tenant_id;
	const pg_uuid_t *user_id;
	const char *user_email;
	const char *ip;
} AuditOperation;

/* Begins an operation; an abort ends it as well. */
extern void audit_operation(const AuditOperation *operation);
extern void audit_operation_end(void);
extern const AuditOperation *audit_operation_now(void);

/* An event that no row change makes. Members left NULL are taken from the
 * operation, the actor, or stay NULL. The SPI connection is open. */
typedef struct AuditEvent
{
	const pg_uuid_t *event_id; /* its id, or NULL for a new one */
	const char *action;
	const char *object_type;
	const char *object_id;
	const pg_uuid_t *tenant_id;
	const char *subject_email;
	Datum before; /* jsonb, or 0 */
	Datum after;  /* jsonb, or 0 */
	const char *reason;
} AuditEvent;

/* Writes it; the id of the event. */
extern pg_uuid_t audit_write(const AuditEvent *event);

/* The same for many events: between begin and end, the SPI connection and the
 * memory context stay. From begin on the trail is locked against erasing. What
 * an event points to stays until the end, or is in the memory of the batch,
 * which audit_add() empties whenever it stored what came. */
typedef struct AuditBatch AuditBatch;
extern AuditBatch *audit_begin(void);
extern MemoryContext audit_memory(const AuditBatch *batch);
extern pg_uuid_t audit_add(AuditBatch *batch, const AuditEvent *event);
extern void audit_end(AuditBatch *batch);

/* Between the two, statements of the same subtransaction may change the trail;
 * for erasing and retiring only. */
extern void audit_unlock(void);
extern void audit_lock(void);

/* The columns of a row that are included, as jsonb. */
extern Datum row_to_jsonb(TupleDesc desc, const Datum *values,
						  const bool *nulls, const bool *include);

/* Between the two, or until an error, values are written in full and in the one
 * way that every session reads alike, whatever this one likes to see. */
extern int plain_values_begin(void);
extern void plain_values_end(int level);

/* Registers the callbacks; called once, when the library is loaded. */
extern void audit_init(void);

#endif
