/*
 * claim.h: a claimed message becomes a mail.
 */
#ifndef USERMGMT_CLAIM_H
#define USERMGMT_CLAIM_H

#include "core/spi_query.h"

/* A rendered mail, or why there is none. Raises nothing for a bad template. */
typedef struct RenderedMail
{
	char *sender;
	char *from_name;
	char *subject;
	char *text_body;
	char *html_body;
	char *problem; /* NULL: the mail is complete */
	bool unwanted; /* the reason to send it is gone */
} RenderedMail;

/* Whether this connection still holds the lock that makes claims its own. */
extern bool claim_is_held(void);

/* Gives at most count requests that are due their recipients, or cancels
 * them; the SPI connection is open. */
extern void mail_resolve_requests(TimestampTz now, int count);
extern void resolve_init(void);

/* This connection's number, which its claims bear; 0 before its first. */
extern int64 claim_holder(void);

/* Whether the room that a message belongs to still wants it sent; the row has
 * kind, subject_id, tenant_id, and whether that is suspended (NULL: gone). */
extern bool mail_is_wanted(SpiRow message);

/* Forgets what the mails before had in common; a claim begins with it. */
extern void mail_render_begin(void);

/* Renders the message of this row (of the claim statement). */
extern RenderedMail mail_render(SpiRow message);

/* Puts a claimed message back when its address has had as many mails of its
 * kind within the last hour as mails_per_address allows; false when it may go.
 * The row is one of the claim statement. */
extern bool mail_hold_back(SpiRow message, TimestampTz now);

#endif
