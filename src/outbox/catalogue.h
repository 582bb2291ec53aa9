/*
 * catalogue.h: every kind of mail and what its texts may say.
 */
#ifndef USERMGMT_CATALOGUE_H
#define USERMGMT_CATALOGUE_H

#include "outbox/template.h"

typedef struct MailDescription
{
	const char *kind;
	const char *variables[8]; /* beside those that all kinds have */
	bool needs_link;		  /* each body has to hold {{link}} */
	bool about_account;		  /* also while the tenant is suspended */
	bool unlimited;			  /* mails_per_address does not hold it back */
} MailDescription;

/* The kind of this name, or NULL. */
extern const MailDescription *mail_describe(const char *kind);

/* As above; raises 22023. */
extern const MailDescription *mail_describe_require(const char *kind);

/* The kinds that go out while the tenant is suspended, as a text[]. */
extern Datum mail_kinds_about_accounts(void);

/* The names of all variables of this kind, each with no value. palloc'd. */
extern VariableList mail_variables(const MailDescription *mail);

/* The same names with values to show in a preview, but for those that depend
 * on the tenant. */
extern VariableList mail_samples(const MailDescription *mail,
								 const char *locale, const char *time_zone);

/* The names, for a hint. */
extern char *mail_variable_names(const MailDescription *mail);

#endif
