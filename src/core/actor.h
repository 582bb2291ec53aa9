/*
 * actor.h: who is acting, held in the memory of the backend.
 *
 * The acting user is set only by a verified session token, given to
 * use_session() or in the setting usermgmt.session_token; no role and no SQL
 * can forge it. A rollback, also to a savepoint, restores what was
 * bound before. When a session, membership or tenant changes anywhere, the
 * actor is read anew before its next use (actor_signal).
 */
#ifndef USERMGMT_ACTOR_H
#define USERMGMT_ACTOR_H

#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "core/address.h"
#include "core/role.h"

typedef struct Actor
{
	pg_uuid_t session_id;
	pg_uuid_t tenant_id;
	pg_uuid_t user_id;
	MemberRole role;
	TimestampTz expires_at;
	TimestampTz ends_at; /* the earlier of that and of the idle limit */
	TimestampTz last_used_at;
	int32 idle_seconds; /* 0: no idle limit */
	unsigned char token_hash[32];
	char email[ADDRESS_MAX + 1];
	char ip[48];
} Actor;

typedef enum ActorScope
{
	ACTOR_TRANSACTION,
	ACTOR_CONNECTION
} ActorScope;

/* Reads the actor's session as it is now; false when it is over. */
typedef bool (*ActorReader)(Actor *actor);

/* What the setting usermgmt.session_token asks for. */
typedef enum ActorWish
{
	WISH_NONE,	/* it is empty, or was set in another transaction */
	WISH_KNOWN, /* the same as at the last look */
	WISH_NEW	/* look at the token */
} ActorWish;
typedef ActorWish (*ActorWisher)(void);

/* The session room installs, when the library is loaded, how to read a bound
 * session anew, what the setting asks for, and how to read its session. */
extern void actor_set_reader(ActorReader reader, ActorWisher wisher,
							 ActorReader setting_reader);

/* Registers the callbacks; called once, when the library is loaded. */
extern void actor_init(void);

extern void actor_bind(const Actor *actor, ActorScope scope);
extern void actor_unbind(void);

/* The bound session's person goes on as this actor (of the same session); a
 * rollback undoes it. */
extern void actor_rebind(const Actor *actor);

/* The acting user, checked as described above; NULL when nobody is bound, the
 * session is over, or a maintenance command runs other people's functions. */
extern const Actor *actor_current(void);

/* As actor_current(), but read anew, whether or not anything was signalled. */
extern const Actor *actor_verify(void);

/* The actor that was bound, be its session over by now; for the audit. */
extern const Actor *actor_bound(void);

/* Whether a session was bound, be it over by now. */
extern bool actor_is_bound(void);

/* Tells every backend, at commit, to read its actor anew. */
extern void actor_signal(void);

/* Whether the database role (after SET ROLE) may act without a session. */
extern bool caller_is_operator(void);

/* An operator works in this tenant from now on. */
extern void actor_use_tenant(const pg_uuid_t *tenant_id);

/* The tenant selected for an operator; false when there is none. */
extern bool actor_operator_tenant(pg_uuid_t *tenant_id);

/* Where the caller works: the actor's tenant or an operator's; false: none. */
extern bool caller_tenant(pg_uuid_t *tenant_id);

/* The acting user; raises UM001 without a live session, also for an operator.
 */
extern const Actor *actor_require(void);

/* On whose behalf a function runs. */
typedef struct Caller
{
	pg_uuid_t tenant_id;
	bool is_operator;
	const Actor *actor; /* NULL for an operator */
	MemberRole role;	/* ROLE_OWNER for an operator */
} Caller;

/* The caller, who must have at least this role: raises UM001 without a live
 * session and 42501 below the role; an operator passes, after use_tenant(). */
extern Caller caller_require(MemberRole least);

#endif
