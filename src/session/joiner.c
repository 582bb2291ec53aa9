/*
 * joiner.c
 *	  Prove who comes in before any lock, and hold the account under it.
 */
#include "postgres.h"

#include "core/errors.h"
#include "core/uuid.h"
#include "session/joiner.h"
#include "session/log_in.h"

/*
 * The account's own password proves it as ever; another one replaces it, and
 * ends the sessions of whoever chose it.
 */
static bool
prove_mailbox(Joiner *joiner, const char *name, const Tenant *tenant,
			  const Password *password, SessionStart *start)
{
	switch (password_verify(password, joiner->account.password_hash))
	{
		case PASSWORD_BUSY:
			start->outcome = "busy";
			return false;
		case PASSWORD_RIGHT:
		case PASSWORD_RIGHT_REHASH:
			return true;
		case PASSWORD_WRONG:
			break;
	}
	password_check(password, joiner->address->typed, name, tenant);
	joiner->hash = password_hash(password);
	joiner->takes_over = true;
	return true;
}

bool
joiner_prove(Joiner *joiner, const char *name, const Tenant *tenant,
			 const Password *password, SessionStart *start)
{
	const Actor *actor = actor_current();
	PasswordVerdict verdict;

	joiner->known = account_find(joiner->address, &joiner->account);
	if (!joiner->known)
	{
		password_check(password, joiner->address->typed, name, tenant);
		joiner->hash = password_hash(password);
		return true;
	}
	if (actor != NULL && uuid_equal(&actor->user_id, &joiner->account.user_id))
	{
		joiner->proven_by_session = true;
		return true;
	}
	if (joiner->mailbox_proven && !joiner->account.verified)
		return prove_mailbox(joiner, name, tenant, password, start);
	verdict = log_in_verify(joiner->address, &joiner->account, password, start);
	if (verdict == PASSWORD_RIGHT_REHASH)
		joiner->rehashed = password_rehash(password);
	return verdict == PASSWORD_RIGHT || verdict == PASSWORD_RIGHT_REHASH;
}

/*
 * Hold the known account as it was proven, and note what the mailbox proves.
 */
static bool
settle_known(Joiner *joiner)
{
	if (joiner->mailbox_proven && !joiner->account.verified)
		account_lock(&joiner->account.user_id);
	if (!account_lock_unchanged(&joiner->account, joiner->rehashed))
		return false;
	if (joiner->takes_over)
		account_set_password(&joiner->account.user_id, joiner->hash);
	else if (joiner->mailbox_proven && !joiner->account.verified)
		account_set_verified(&joiner->account.user_id);
	joiner->account.verified |= joiner->mailbox_proven;
	return true;
}

JoinerResult
joiner_settle(Joiner *joiner, const char *name)
{
	if (joiner->proven_by_session && actor_verify() == NULL)
		return JOINER_CHANGED;
	if (joiner->known)
		return settle_known(joiner) ? JOINER_SETTLED : JOINER_CHANGED;
	return account_create(joiner->address, name, joiner->hash,
						  joiner->mailbox_proven, &joiner->account)
			   ? JOINER_SETTLED
			   : JOINER_TAKEN;
}

void
joiner_refuse_taken(void)
{
	refuse_concurrent("change of the account");
}
