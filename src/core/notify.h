/*
 * notify.h: NOTIFY that never fails its transaction.
 */
#ifndef USERMGMT_NOTIFY_H
#define USERMGMT_NOTIFY_H

/* Whether the server's queue of notifications takes more; a full one would
 * fail the commit. Whoever is not told finds out when he looks next. */
extern bool notify_has_room(void);

#endif
