/*
 * outbox.h: mail leaves with the transaction that caused it.
 *
 * A row says what to send to whom; it holds no token and no body. Both are
 * made when the relay claims the message. Each kind of mail is described by
 * the room that owns it (outbox_register).
 */
#ifndef USERMGMT_OUTBOX_H
#define USERMGMT_OUTBOX_H

#include "core/spi_query.h"
#include "token/token.h"

/* A mail to send. due_at is when to send it at
 * the earliest; after expires_at (0: never) it is not sent any more. */
typedef struct Mail
{
	const char *kind;
	pg_uuid_t tenant_id;
	pg_uuid_t subject_id;
	const char *recipient;
	const char *recipient_name;
	TimestampTz due_at;
	TimestampTz expires_at;
} Mail;

/* How a kind of mail is made. subject is a statement with the parameters
 * (subject id uuid, tenant id uuid, now timestamptz) that gives one row:
 * wanted boolean, linked boolean, generation integer, variables jsonb (an
 * object of texts); no row means that the mail is no longer wanted. Where it
 * is linked, path and purpose make {{link}}, which else is empty.
 * resolve, for the kinds that outbox_request() takes, completes a request: mail
 * has the recipient as asked for and expires_at, and gets everything but kind
 * and due_at; or it says why nobody gets a mail. */
typedef struct MailKind
{
	const char *name;
	const char *path;
	LinkPurpose purpose;
	SpiQuery *subject;
	const char *(*resolve)(Mail *mail);
} MailKind;

/* Called once per kind, when the library is loaded. */
extern void outbox_register(const MailKind *kind);

/* The kind of this name, or NULL. */
extern const MailKind *mail_kind(const char *name);

/* The link of this kind for a subject, palloc'd, under this base address. */
extern char *mail_link(const MailKind *kind, const char *base_url,
					   const LinkToken *token);

/* Queues one mail in the caller's transaction. */
extern void outbox_put(const Mail *mail);

/* Queues a mail whose tenant, subject and real recipient are looked up only
 * when a relay claims it (resolve): the same row whoever asks for whomever. */
extern void outbox_request(const char *kind, const char *recipient,
						   TimestampTz expires_at);

/* Cancels the mails about this subject that are not on the wire yet. */
extern void outbox_cancel_subject(const pg_uuid_t *tenant_id,
								  const pg_uuid_t *subject_id, const char *why);

/* As above, but only the mails of this kind. */
extern void outbox_cancel_kind(const pg_uuid_t *tenant_id,
							   const pg_uuid_t *subject_id, const char *kind,
							   const char *why);

/* As outbox_cancel_subject(), for each of the count rows that the last
 * statement returned, by their columns tenant_id and subject_id. */
extern void outbox_cancel_returned(uint64 count, const char *why);

/* Cancels the tenant's mails that are not on the wire yet, but for those about
 * accounts. */
extern void outbox_cancel_tenant(const pg_uuid_t *tenant_id, const char *why);

/* A step of run_maintenance(): a statement with the parameter now, which waits
 * for no row (SKIP LOCKED), so that it is never part of a circle; counted
 * under this name. Called once per step, when the library is loaded. */
extern void maintenance_register(const char *name, SpiQuery *statement);

/* The same for a step in C, which gives its own count. The SPI connection is
 * open. */
typedef uint64 (*MaintenanceStep)(TimestampTz now);
extern void maintenance_register_step(const char *name, MaintenanceStep step);

/* Wakes a sleeping relay when this transaction commits. */
extern void outbox_wake_relay(void);

extern void outbox_init(void);

#endif
