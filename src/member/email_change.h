/*
 * email_change.h: the life of a wish to have another address.
 */
#ifndef USERMGMT_EMAIL_CHANGE_H
#define USERMGMT_EMAIL_CHANGE_H

#include "utils/uuid.h"

/* Voids the person's open wish, and its mails. The account is locked, and the
 * SPI connection open. */
extern void email_change_supersede(const pg_uuid_t *user_id, const char *why);

/* The same for one that was made in this tenant, where access is lost. */
extern void email_change_cancel(const pg_uuid_t *tenant_id,
								const pg_uuid_t *user_id);

/* Registers the names of changes and the kinds of mail. */
extern void email_change_init(void);

#endif
