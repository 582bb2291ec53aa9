/*
 * notice.c
 *	  Tell people by mail that their role or their access changed.
 *
 * A mail says what holds when it is sent: one that is overtaken by a further
 * change is not sent any more.
 */
#include "postgres.h"

#include "account/account.h"
#include "core/settings.h"
#include "member/target.h"
#include "outbox/outbox.h"

SPI_QUERY(role_subject,
		  "SELECT m.status = 'active' AS wanted, false AS linked,"
		  " 0 AS generation, pg_catalog.jsonb_build_object('role', m.role,"
		  " 'locale', (SELECT a.locale FROM usermgmt.account AS a"
		  " WHERE a.user_id = m.user_id),"
		  " 'permissions', (SELECT pg_catalog.string_agg(p.description, ', '"
		  " ORDER BY p.position) FROM usermgmt.role_permission AS r"
		  " JOIN usermgmt.permission AS p ON p.permission = r.permission"
		  " WHERE r.role = m.role)) AS variables"
		  " FROM usermgmt.membership AS m"
		  " WHERE m.user_id = $1 AND m.tenant_id = $2 AND $3 IS NOT NULL",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(deactivated_subject,
		  "SELECT m.status = 'deactivated' AS wanted, false AS linked,"
		  " 0 AS generation, pg_catalog.jsonb_build_object('locale', a.locale)"
		  " AS variables FROM usermgmt.membership AS m"
		  " JOIN usermgmt.account AS a ON a.user_id = m.user_id"
		  " WHERE m.user_id = $1 AND m.tenant_id = $2 AND $3 IS NOT NULL",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(reactivated_subject,
		  "SELECT m.status = 'active' AS wanted, false AS linked,"
		  " 0 AS generation, pg_catalog.jsonb_build_object('role', m.role,"
		  " 'locale', a.locale) AS variables FROM usermgmt.membership AS m"
		  " JOIN usermgmt.account AS a ON a.user_id = m.user_id"
		  " WHERE m.user_id = $1 AND m.tenant_id = $2 AND $3 IS NOT NULL",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(removed_subject,
		  "SELECT NOT EXISTS (SELECT FROM usermgmt.membership AS m"
		  " WHERE m.user_id = $1 AND m.tenant_id = $2) AND $3 IS NOT NULL"
		  " AS wanted, false AS linked, 0 AS generation,"
		  " pg_catalog.jsonb_build_object('locale', (SELECT a.locale"
		  " FROM usermgmt.account AS a WHERE a.user_id = $1)) AS variables",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

static const MailKind mails[] = {
	{"role_changed", NULL, LINK_NONE, &role_subject},
	{"deactivated", NULL, LINK_NONE, &deactivated_subject},
	{"reactivated", NULL, LINK_NONE, &reactivated_subject},
	{"removed", NULL, LINK_NONE, &removed_subject},
};

void
member_notify(const Tenant *tenant, const pg_uuid_t *user_id, const char *kind)
{
	Account account;

	if (!setting_on(SETTING_MEMBER_NOTICES, tenant->settings) ||
		!account_read(user_id, &account))
		return;
	outbox_cancel_kind(&tenant->tenant_id, user_id, kind,
					   "overtaken by a later one");
	outbox_put(&(Mail){.kind = kind,
					   .tenant_id = tenant->tenant_id,
					   .subject_id = *user_id,
					   .recipient = account.email,
					   .recipient_name = account.name,
					   .due_at = GetCurrentTimestamp()});
}

void
member_mails_register(void)
{
	for (int i = 0; i < lengthof(mails); i++)
		outbox_register(&mails[i]);
}
