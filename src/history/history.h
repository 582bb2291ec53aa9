/*
 * history.h: who had access to what, and since when.
 */
#ifndef USERMGMT_HISTORY_H
#define USERMGMT_HISTORY_H

/* Called once, when the library is loaded. */
extern void history_init(void);

#endif
