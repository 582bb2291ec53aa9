/*
 * joiner.c
 *	  Prove who comes in before any lock, and hold the account under it.
 */
#include "postgres.h"

#include "core/uuid.h"
#include "session/joiner.h"
#include "session/log_in.h"

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
	verdict = log_in_verify(joiner->address, &joiner->account, password, start);
	joiner->proven_by_password =
		verdict == PASSWORD_RIGHT || verdict == PASSWORD_RIGHT_REHASH;
	if (verdict == PASSWORD_RIGHT_REHASH)
		joiner->rehashed = password_rehash(password);
	return joiner->proven_by_password;
}

JoinerResult
joiner_settle(Joiner *joiner, const char *name, bool verified)
{
	if (joiner->proven_by_session && actor_verify() == NULL)
		return JOINER_CHANGED;
	if (joiner->known)
		return account_lock_unchanged(&joiner->account, joiner->rehashed)
				   ? JOINER_SETTLED
				   : JOINER_CHANGED;
	return account_create(joiner->address, name, joiner->hash, verified,
						  &joiner->account)
			   ? JOINER_SETTLED
			   : JOINER_TAKEN;
}

void
joiner_refuse_taken(void)
{
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("could not serialize access due to a concurrent "
						   "change of the account"),
					errhint("Try again."), errhidestmt(true)));
}
