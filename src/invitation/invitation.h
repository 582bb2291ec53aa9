/*
 * invitation.h: loading the room of invitations.
 */
#ifndef USERMGMT_INVITATION_H
#define USERMGMT_INVITATION_H

#include "tenant/tenant.h"

/* Raises UM041 or UM040 where the tenant admits or invites nobody. */
extern void invitation_require_enabled(const Tenant *tenant);

/* The mail and the link of an invitation. */
extern const struct MailKind invitation_mail;

extern void invitation_init(void);

#endif
