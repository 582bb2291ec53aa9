/*
 * kept_check.h: the CHECK constraints of our tables are read once.
 */
#ifndef USERMGMT_KEPT_CHECK_H
#define USERMGMT_KEPT_CHECK_H

/* From now on, in this backend. */
extern void kept_check_init(void);

#endif
