/*
 * seal.h: sealing what can no longer change.
 */
#ifndef USERMGMT_AUDIT_SEAL_H
#define USERMGMT_AUDIT_SEAL_H

#include "postgres.h"

/* Seals the events of finished transactions, at most this many batches; the
 * number of events, 0 at once when somebody else seals. The SPI connection is
 * open. */
extern uint64 audit_seal_pending(int max_batches);

#endif
