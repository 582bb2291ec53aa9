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
extern void as_owner_end(const AsOwner *before);

#endif
