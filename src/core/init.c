/*
 * init.c
 *	  What happens when the library is loaded.
 */
#include "postgres.h"

#include "sodium.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "account/account.h"
#include "attach/attach.h"
#include "audit/audit.h"
#include "core/actor.h"
#include "core/installation.h"
#include "core/kept_check.h"
#include "core/redact.h"
#include "core/settings.h"
#include "history/history.h"
#include "invitation/invitation.h"
#include "member/member.h"
#include "outbox/outbox.h"
#include "password/password.h"
#include "session/session.h"
#include "tenant/tenant.h"
#include "workspace/workspace.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	if (sodium_init() < 0)
		ereport(FATAL, (errcode(ERRCODE_SYSTEM_ERROR),
						errmsg("could not initialize libsodium")));
	settings_define();
	redact_init();
	kept_check_init();
	actor_init();
	installation_init();
	audit_init();
	outbox_init();
	tenant_init();
	account_init();
	password_init();
	session_init();
	workspace_init();
	member_init();
	invitation_init();
	attach_init();
	history_init();
	MarkGUCPrefixReserved("usermgmt"); /* drops what nobody has defined */
}
