/*
 * doubt.h: mails of which nobody knows whether the server took them.
 */
#ifndef USERMGMT_DOUBT_H
#define USERMGMT_DOUBT_H

#include "core/spi_query.h"

/* A failure of a mail that was on the wire, in these words of the relay, leaves
 * it in doubt, and mails of this kind are then held, not sent again. */
extern bool doubt_holds(const char *kind, const char *reply);

/* These words, and what an operator may do. */
extern char *doubt_reply(const char *reply);

/* Ends the mails on the wire of a relay that is gone, if they are of a kind
 * that is held; the SPI connection is open. */
extern void doubt_hold_lost(int64 holder, TimestampTz now);

/* The kinds that are held, as a text[]. */
extern Datum doubt_kinds(void);

/* Declares usermgmt.hold_in_doubt; called once, when the library is loaded. */
extern void doubt_init(void);

#endif
