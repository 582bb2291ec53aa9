/*
 * kept_check.h: the CHECK constraints of our tables are read once.
 */
#ifndef USERMGMT_KEPT_CHECK_H
#define USERMGMT_KEPT_CHECK_H

#include "utils/relcache.h"

/* From now on, in this backend. */
extern void kept_check_init(void);

/* Whether the constraints of this table mean the same until it is altered. */
extern bool kept_check_lasts(Relation relation);

#endif
