/*
 * session.h: what a sign-in opens, and what its token proves.
 */
#ifndef USERMGMT_SESSION_H
#define USERMGMT_SESSION_H

#include "account/account.h"
#include "core/actor.h"
#include "tenant/tenant.h"
#include "token/token.h"

/* Where a sign-in comes from, as the application says. */
typedef struct Origin
{
	char *ip;			   /* a network address, or NULL */
	char *user_agent;	   /* shortened, without control characters, or NULL */
	TimestampTz not_after; /* the session ends by then; 0: by its own limit */
} Origin;

/* The origin in these two text arguments. Raises 22023 for a bad address. */
extern Origin origin_arguments(FunctionCallInfo fcinfo, int ip, int user_agent);

/* A result of the SQL type session_start; members left 0 are NULL there. */
typedef struct SessionStart
{
	const char *outcome;
	char *token;
	const pg_uuid_t *session_id;
	const pg_uuid_t *user_id;
	const pg_uuid_t *tenant_id;
	MemberRole role;
	TimestampTz expires_at;
	const char *detail; /* JSON */
} SessionStart;

/* The result as a row, copied out of SPI. Ends the SPI connection and wipes
 * the token. */
extern Datum session_start_result(FunctionCallInfo fcinfo, SessionStart *start);

/* Opens a session of this person in this tenant and moves last login; fails
 * (false) when the membership is not active, or needs a verified address. The
 * caller holds locks on tenant and account; the membership is locked here. */
extern bool session_open(const Tenant *tenant, const Account *account,
						 const Origin *origin, SessionStart *start);

/* The same for who has just become a member with this role, at that moment, by
 * membership_join(), in this transaction. */
extern void session_begin(const Tenant *tenant, const Account *account,
						  MemberRole role, TimestampTz now,
						  const Origin *origin, SessionStart *start);

/* Moves last use of the actor's session, and with it the idle limit, where the
 * last time was a minute ago (or half the idle limit) and the transaction may
 * write; it is written when that commits. */
extern void session_touch(Actor *actor);

/* When the actor's session ends unless it is used. */
extern TimestampTz session_end(const Actor *actor);

/* Registers the callback; called once, when the library is loaded. */
extern void session_touch_init(void);

/* Declares the setting usermgmt.session_token. */
extern void session_setting_define(void);

/* What the setting asks for, and its session. */
extern ActorWish session_setting_wish(void);
extern bool session_setting_read(Actor *actor);

/* Reads the session of this id as it is now, whatever the transaction's
 * snapshot: false when it is unknown, over or expired. The hash may be NULL;
 * otherwise the token's hash must match. */
extern bool session_read(const pg_uuid_t *session_id,
						 const pg_uuid_t *tenant_id, const unsigned char *hash,
						 Actor *actor);

extern void session_init(void);

#endif
