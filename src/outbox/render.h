/*
 * render.h: the texts of a mail, for a relay or for a preview.
 */
#ifndef USERMGMT_RENDER_H
#define USERMGMT_RENDER_H

#include "utils/uuid.h"

#include "outbox/catalogue.h"
#include "outbox/claim.h"

/* What all mails of a tenant share. */
typedef struct MailFrame
{
	pg_uuid_t tenant_id; /* all zero without a tenant */
	char *tenant_name;
	char *sender;
	char *from_name;
	char *base_url;
	char *locale;
	char *time_zone;
	Jsonb *branding; /* or NULL */
	bool suspended;
} MailFrame;

/* The frame of a tenant, or of none (NULL); false when it does not exist. */
extern bool mail_frame_read(const pg_uuid_t *tenant_id, MailFrame *frame);

/* Fills in the variables that depend on the tenant alone. */
extern void mail_frame_variables(const MailFrame *frame, VariableList *list);

/* The three parts of the template that is used for this kind and locale, in
 * the last statement's row: subject, text_body, html_body; false when one has
 * nothing. */
extern bool mail_template_find(const pg_uuid_t *tenant_id, const char *kind,
							   const char *locale);

#endif
