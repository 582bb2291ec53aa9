/*
 * setting.c
 *	  The session token in a setting, for clients that can only set settings.
 *
 * The value is the secret itself, so whoever can set it could as well call
 * use_session(). It counts only in the transaction that set it: a value that
 * stays behind in a pooled connection makes nobody anybody. The transaction is
 * noted when the value is checked and travels with it, so that a value that a
 * rollback brings back is no fresher than it was.
 */
#include "postgres.h"

#include "sodium.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "core/compat.h"
#include "core/installation.h"
#include "session/session.h"

#define SETTING_NAME "usermgmt.session_token"

/* Travels with each value of the setting, in memory that GUC frees. */
typedef struct SetIn
{
	LocalTransactionId transaction;
} SetIn;

static char *session_token;
static SetIn *present; /* of the present value */
static bool looked_at;
static bool defining; /* values from before are checked anew */

static LocalTransactionId
this_transaction(void)
{
	return MyProc != NULL ? MY_TRANSACTION : InvalidLocalTransactionId;
}

static bool
check_token(char **value, void **extra, GucSource source)
{
	SetIn *set_in = guc_malloc(LOG, sizeof(SetIn));

	if (set_in == NULL)
		return false;
	set_in->transaction =
		defining ? InvalidLocalTransactionId : this_transaction();
	*extra = set_in;
	return true;
}

static void
assign_token(const char *value, void *extra)
{
	present = extra;
	looked_at = false;
}

/*
 * SHOW tells whether there is one, not which.
 */
static const char *
show_token(void)
{
	return session_token[0] == '\0' ? "" : "(a session token)";
}

/*
 * Whether the present value, of a time before the library was loaded, was set
 * in this transaction: only then is there something to undo at its end. The
 * values beneath it count for nothing.
 */
static bool
placeholder_is_of_this_transaction(void)
{
	struct config_generic *variable =
		find_option(SETTING_NAME, false, true, DEBUG1);

	return variable != NULL && variable->stack != NULL;
}

void
session_setting_define(void)
{
	bool of_this = placeholder_is_of_this_transaction();

	defining = true;
	DefineCustomStringVariable(
		SETTING_NAME, "The token of the session to act by.",
		"It counts in the transaction that sets it.", &session_token, "",
		PGC_USERSET,
		GUC_NO_SHOW_ALL | GUC_NO_RESET_ALL | GUC_NOT_IN_SAMPLE |
			GUC_DISALLOW_IN_FILE | GUC_DISALLOW_IN_AUTO_FILE,
		check_token, assign_token, show_token);
	defining = false;
	if (of_this)
		present->transaction = this_transaction();
}

ActorWish
session_setting_wish(void)
{
	if (session_token == NULL || session_token[0] == '\0' || present == NULL ||
		present->transaction == InvalidLocalTransactionId ||
		present->transaction != this_transaction())
		return WISH_NONE;
	return looked_at ? WISH_KNOWN : WISH_NEW;
}

bool
session_setting_read(Actor *actor)
{
	SessionToken token;
	bool live;

	live = session_token_parse(cstring_to_text(session_token), &token) &&
		   installation_is_live() &&
		   session_read(&token.session_id, &token.tenant_id, token.hash, actor);
	looked_at = true;
	if (live)
		session_touch(actor);
	return live;
}
