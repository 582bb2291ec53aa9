/*
 * as_owner.h: what others wrote runs with the rights of who owns it.
 *
 * A table of the application brings code of its owner along: triggers, casts,
 * domains, index expressions. Our functions run as the owner of the extension,
 * often a superuser, and lend none of that to such code.
 */
#ifndef USERMGMT_AS_OWNER_H
#define USERMGMT_AS_OWNER_H

typedef struct AsOwner
{
	Oid user;
	int context;
	int level;
} AsOwner;

/* Until as_owner_end(), or an error, runs as the owner of this table: nothing
 * can take on another role, leave a setting or a deferred trigger behind, and
 * row security does not bind the owner. The search_path is the table's own
 * schema, after pg_catalog. An owner who is a superuser is trusted to defer. */
extern AsOwner as_owner_begin(Oid table);

/* Whether that leaves deferred triggers to the end of the transaction. */
extern bool as_owner_may_defer(Oid table);

/* The same as the role of the connection, which is who runs deferred triggers
 * at commit: for what was deferred before, by whatever table's triggers. */
extern AsOwner as_caller_begin(Oid table);
extern void as_owner_end(const AsOwner *before);

#endif
