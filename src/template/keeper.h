/*
 * keeper.h: whose templates a caller sets or looks at.
 */
#ifndef USERMGMT_KEEPER_H
#define USERMGMT_KEEPER_H

#include "fmgr.h"

#include "core/actor.h"
#include "outbox/render.h"

typedef struct TemplateKeeper
{
	bool for_all;		 /* an operator who has selected no tenant */
	bool trusted;		 /* an operator */
	pg_uuid_t tenant_id; /* all zero for all */
	Caller caller;		 /* unless for_all */
} TemplateKeeper;

/* The caller; raises UM001 and 42501. */
extern TemplateKeeper template_keeper(void);

/* What the keeper's mails share. Raises UM002. The SPI connection is open. */
extern void template_keeper_frame(const TemplateKeeper *keeper,
								  MailFrame *frame);

/* The locale argument of this number, by default the keeper's; raises 22023. */
extern char *template_locale(FunctionCallInfo fcinfo, int n,
							 const MailFrame *frame);

/* The argument of this number as a part of a template, checked; NULL when
 * null. Raises 22023. */
extern char *template_part(FunctionCallInfo fcinfo, int n,
						   const MailDescription *mail, const char *part,
						   bool trusted);

#endif
