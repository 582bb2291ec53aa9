/*
 * installation.h: which database this installation is live in.
 */
#ifndef USERMGMT_INSTALLATION_H
#define USERMGMT_INSTALLATION_H

#include "fmgr.h"
#include "utils/uuid.h"

/* Registers the callback; called once, when the library is loaded. */
extern void installation_init(void);

/* Called first by every function that writes, with the SPI connection open:
 * refuses a read-only transaction (25006, naming the function), and arms the
 * installation where that is still to be done; a restored copy is adopted,
 * its mail paused, with a WARNING. Costs a memory read afterwards. */
extern void begin_writing(FunctionCallInfo fcinfo);

/* Whether this database is the one that the installation is live in; false in
 * a copy and before activation. Costs a memory read; needs no privileges. */
extern bool installation_is_live(void);

/* The id that every link token is bound to; false before activation. */
extern bool installation_id(pg_uuid_t *id);

/* How many databases this installation has lived in before this one. */
extern int32 installation_epoch(void);

#endif
