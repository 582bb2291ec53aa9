/*
 * invitation.h: what the files of the room share.
 */
#ifndef USERMGMT_INVITATION_H
#define USERMGMT_INVITATION_H

#include "core/actor.h"
#include "core/spi_query.h"
#include "tenant/tenant.h"
#include "workspace/workspace.h"

/* What an invitation offers, to whom. */
typedef struct Offer
{
	Address address;
	char *name;
	MemberRole role;
	char *message;
	char *locale; /* of the mail, or NULL */
	List *places;
	TimestampTz created_at;
	TimestampTz send_at;
	TimestampTz expires_at;
} Offer;

/* Invites; the row that the view invitations will show, but for its places.
 * The role was checked and the caller's own membership is locked. Raises UM032,
 * UM033, UM034 and UM035. */
extern SpiRow invitation_put(const Caller *caller, const Tenant *tenant,
							 const Offer *offer);

/* Raises UM041 or UM040 where the tenant admits or invites nobody. */
extern void invitation_require_enabled(const Tenant *tenant);

/* Raises UM038 for an owner where none can be invited, and 42501 above the
 * caller's own role. */
extern void invitation_check_role(const Caller *caller, const Tenant *tenant,
								  MemberRole role);

/* Queues the mail of an invitation. */
extern void invitation_put_mail(const pg_uuid_t *tenant_id,
								const pg_uuid_t *invitation_id,
								const char *email, const char *name,
								TimestampTz due_at, TimestampTz expires_at);

/* Makes these (a List of WorkspacePlace) the places that it offers. */
extern void invitation_set_places(const pg_uuid_t *tenant_id,
								  const pg_uuid_t *invitation_id,
								  const List *places);

/* An invitation about to change. */
typedef struct InvitationChange
{
	Caller caller;
	pg_uuid_t invitation_id;
	MemberRole role;
	bool has_inviter; /* else an operator invited */
	pg_uuid_t inviter;
} InvitationChange;

/* The caller, whose own membership is locked, and the invitation whose id is
 * the first argument; raises UM002, and 42501 for an invitation above the
 * caller's role. The SPI connection is open afterwards. */
extern InvitationChange invitation_begin_change(FunctionCallInfo fcinfo);

/* Raises UM002 or UM036 unless this is a pending invitation of the caller's
 * tenant; otherwise its row (state, email, generation, expires_at) is the
 * result of the last statement. */
extern void invitation_refuse_change(const InvitationChange *change);

/* The invitation as a row of the view. Ends the operation and the SPI
 * connection. */
extern Datum invitation_show(FunctionCallInfo fcinfo,
							 const pg_uuid_t *tenant_id,
							 const pg_uuid_t *invitation_id);

/* The mail and the link of an invitation, and the mail of its reminder. */
extern const struct MailKind invitation_mail;
extern const struct MailKind reminder_mail;

/* Count an invitation that was made, or changed, among the open ones. */
extern void invitation_count_open(SpiRow made);
extern void invitation_count_change(SpiRow before, SpiRow after);

/* Queues the reminders that are due; how many. A step of run_maintenance(). */
extern uint64 reminder_queue_all(TimestampTz now);

extern void invitation_count_init(void);
extern void invitation_init(void);

#endif
