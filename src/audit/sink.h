/*
 * sink.h: the same events in an audit table that the application already has.
 */
#ifndef USERMGMT_AUDIT_SINK_H
#define USERMGMT_AUDIT_SINK_H

#include "audit/writer.h"

/* Whether events go to a sink too. Costs a memory read where there is none.
 * Raises 42P01 when the table is gone. The SPI connection is open. */
extern bool sink_open(void);

/* Inserts the event there, as the owner of the table. */
extern void sink_put(const EventRow *row);

extern void sink_init(void);

#endif
