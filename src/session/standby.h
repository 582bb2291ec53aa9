/*
 * standby.h: what the end of a session means on a hot standby.
 */
#ifndef USERMGMT_STANDBY_H
#define USERMGMT_STANDBY_H

/* Called where sessions end: makes the commit wait for standbys as the setting
 * usermgmt.revoke_sync says. */
extern void standby_revoke(void);

/* Whether a session may be judged here: false on a standby that is behind the
 * primary for longer than usermgmt.max_standby_staleness. */
extern bool standby_is_fresh(void);

/* Raises UM022 where it is not. */
extern void standby_require_fresh(void);

/* Declares both settings; called once, when the library is loaded. */
extern void standby_define(void);

#endif
