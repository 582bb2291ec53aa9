/*
 * history.h: who had access to what, and since when.
 */
#ifndef USERMGMT_HISTORY_H
#define USERMGMT_HISTORY_H

#include "utils/uuid.h"

/* Takes the reasons out of the periods of a person who is erased, and those
 * that hold an address (text[], in lower case) out of all; the SPI connection
 * is open. */
extern void history_forget(const pg_uuid_t *user_id, Datum addresses);

/* Called once, when the library is loaded. */
extern void history_init(void);

#endif
