/*
 * invite.c
 *	  Invite someone.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "account/account.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/locale.h"
#include "core/settings.h"
#include "core/uuid.h"
#include "invitation/invitation.h"
#include "member/member.h"
#include "outbox/outbox.h"
#include "tenant/seat.h"

#define LONGEST_MONTHS 120
#define LONGEST_DAYS INT64CONST(3660)

/* It returns what the view invitations shows of it from now on, which would
 * cost a fifth of the whole function to read. */
SPI_QUERY(insert_invitation,
		  "INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email,"
		  " canonical_email, name, role, message, locale, state, invited_by,"
		  " invited_by_email, created_at, queued_at, expires_at)"
		  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11,"
		  " $12, $13) ON CONFLICT (tenant_id, canonical_email)"
		  " WHERE state = 'pending' DO NOTHING"
		  " RETURNING invitation_id, tenant_id, email, name, role,"
		  " '{}'::jsonb AS workspaces, state AS status, message, invited_by,"
		  " invited_by_email, created_at, NULL::timestamptz AS first_sent_at,"
		  " NULL::timestamptz AS last_sent_at, 0 AS send_count, expires_at,"
		  " accepted_at, accepted_by, revoked_at, revoked_by, revoke_reason,"
		  " CASE WHEN queued_at > created_at THEN 'scheduled' ELSE 'queued' END"
		  " AS delivery, NULL::text AS delivery_detail, false AS can_resend,"
		  " true AS can_revoke, declined_at, true AS can_accept",
		  UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		  TEXTOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID);
SPI_QUERY(put_place,
		  "INSERT INTO usermgmt.invitation_workspace AS p (invitation_id,"
		  " tenant_id, workspace_id, role) VALUES ($1, $2, $3, $4)"
		  " ON CONFLICT (invitation_id, tenant_id, workspace_id)"
		  " DO UPDATE SET role = excluded.role WHERE p.role <> excluded.role",
		  UUIDOID, UUIDOID, UUIDOID, TEXTOID);
SPI_QUERY(drop_other_places,
		  "DELETE FROM usermgmt.invitation_workspace WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND workspace_id <> ALL ($3)",
		  UUIDOID, UUIDOID, UUIDARRAYOID);

void
invitation_require_enabled(const Tenant *tenant)
{
	tenant_require_open(tenant);
	if (!setting_on(SETTING_INVITATIONS_ENABLED, tenant->settings))
		ereport(ERROR, (errcode(ERRCODE_UM_INVITATIONS_OFF),
						errmsg("invitations are switched off for this "
							   "tenant"),
						errhint("The setting is invitations_enabled.")));
}

void
invitation_check_role(const Caller *caller, const Tenant *tenant,
					  MemberRole role)
{
	if (role == ROLE_OWNER &&
		!setting_on(SETTING_ALLOW_OWNER_INVITATIONS, tenant->settings))
		ereport(ERROR, (errcode(ERRCODE_UM_OWNER_INVITATION),
						errmsg("owners can not be invited"),
						errhint("Invite an admin, and make the person an "
								"owner afterwards.")));
	if (role > caller->role)
		refuse_role(role);
}

void
invitation_put_mail(const pg_uuid_t *tenant_id, const pg_uuid_t *invitation_id,
					const char *email, const char *name, TimestampTz due_at,
					TimestampTz expires_at)
{
	outbox_put(&(Mail){.kind = invitation_mail.name,
					   .tenant_id = *tenant_id,
					   .subject_id = *invitation_id,
					   .recipient = email,
					   .recipient_name = name,
					   .due_at = due_at,
					   .expires_at = expires_at});
}

void
invitation_set_places(const pg_uuid_t *tenant_id,
					  const pg_uuid_t *invitation_id, const List *places)
{
	Datum *kept = palloc(list_length(places) * sizeof(Datum));
	int count = 0;
	ListCell *cell;

	foreach (cell, places)
	{
		WorkspacePlace *place = lfirst(cell);

		kept[count++] = UUIDPGetDatum(&place->workspace_id);
		spi_run(put_place, ARG_UUID(*invitation_id), ARG_UUID(*tenant_id),
				ARG_UUID(place->workspace_id),
				ARG_TEXT(workspace_role_name(place->role)));
	}
	spi_run(drop_other_places, ARG_UUID(*invitation_id), ARG_UUID(*tenant_id),
			ARG(UUIDARRAYOID,
				PointerGetDatum(construct_array(kept, count, UUIDOID, UUID_LEN,
												false, TYPALIGN_CHAR))));
}

static void
refuse_expiry(void)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("expires_in must be more than nothing and at most "
						   "ten years")));
}

/*
 * When an invitation sent at that moment expires.
 */
static TimestampTz
expiry_argument(FunctionCallInfo fcinfo, int n, const Tenant *tenant,
				TimestampTz sent_at)
{
	TimestampTz expires_at;
	Interval *interval;

	if (PG_ARGISNULL(n))
		return setting_after(SETTING_INVITATION_TTL, tenant->settings, sent_at);
	interval = PG_GETARG_INTERVAL_P(n);
	if (interval->month > LONGEST_MONTHS || interval->day > LONGEST_DAYS ||
		interval->time > LONGEST_DAYS * USECS_PER_DAY ||
		interval->month < -LONGEST_MONTHS || interval->day < -LONGEST_DAYS ||
		interval->time < -LONGEST_DAYS * USECS_PER_DAY)
		refuse_expiry();
	expires_at = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(sent_at),
		IntervalPGetDatum(interval)));
	if (expires_at <= sent_at ||
		expires_at - sent_at > LONGEST_DAYS * USECS_PER_DAY)
		refuse_expiry();
	return expires_at;
}

static TimestampTz
send_at_argument(FunctionCallInfo fcinfo, int n, TimestampTz now)
{
	TimestampTz send_at = PG_ARGISNULL(n) ? now : PG_GETARG_TIMESTAMPTZ(n);

	if (TIMESTAMP_NOT_FINITE(send_at) ||
		send_at - now > LONGEST_DAYS * USECS_PER_DAY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("send_at must be at most ten years ahead")));
	return Max(send_at, now);
}

static void
refuse_second(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_ALREADY_INVITED),
					errmsg("an open invitation for this address exists"),
					errhint("Resend it with usermgmt.resend_invitation().")));
}

static void
refuse_if_member(const pg_uuid_t *tenant_id, const Address *address)
{
	Account account;

	if (account_find(address, &account) &&
		membership_exists(tenant_id, &account.user_id))
		refuse_member();
}

/*
 * The person may join while the insertion waits, so members are refused once
 * more after it.
 */
SpiRow
invitation_put(const Caller *caller, const Tenant *tenant, const Offer *offer)
{
	pg_uuid_t invitation_id = uuid_make(offer->created_at);
	const Actor *actor = caller->actor;
	SpiRow made;

	tenant_require_domain(tenant, &offer->address);
	refuse_if_member(&caller->tenant_id, &offer->address);
	if (spi_run(insert_invitation, ARG_UUID(invitation_id),
				ARG_UUID(caller->tenant_id), ARG_TEXT(offer->address.typed),
				ARG_TEXT(offer->address.canonical), ARG_TEXT(offer->name),
				ARG_TEXT(role_name(offer->role)), ARG_TEXT(offer->message),
				ARG_TEXT(offer->locale),
				ARG_OPT_UUID(actor != NULL ? &actor->user_id : NULL),
				ARG_TEXT(actor != NULL ? actor->email : NULL),
				ARG_TIME(offer->created_at), ARG_TIME(offer->send_at),
				ARG_TIME(offer->expires_at)) == 0)
		refuse_second();
	made = spi_row(0);
	refuse_if_member(&caller->tenant_id, &offer->address);
	if (offer->places != NIL)
		invitation_set_places(&caller->tenant_id, &invitation_id,
							  offer->places);
	invitation_put_mail(&caller->tenant_id, &invitation_id,
						offer->address.typed, offer->name, offer->send_at,
						offer->expires_at);
	return made;
}

PG_FUNCTION_INFO_V1(invite_user);
Datum
invite_user(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_ADMIN);
	TimestampTz now = GetCurrentTimestamp();
	char *locale = argument_text(fcinfo, 7);
	Offer offer = {
		.address = address_require(argument_text(fcinfo, 0), "email"),
		.role = PG_ARGISNULL(1) ? ROLE_MEMBER
								: role_require(argument_text(fcinfo, 1)),
		.message = plain_text(argument_text(fcinfo, 3), "message", 2000, true),
		.created_at = now,
		.send_at = send_at_argument(fcinfo, 5, now),
		.name = plain_text(argument_text(fcinfo, 6), "name", 200, false),
		.locale = locale != NULL ? locale_require(locale, "locale") : NULL};
	pg_uuid_t invitation_id;
	SpiRow made;
	Tenant tenant;

	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_read(&caller.tenant_id);
	invitation_require_enabled(&tenant);
	seat_prepare(&tenant);
	seat_lock(&tenant);
	offer.places = workspace_places_argument(fcinfo, 2, &caller.tenant_id);
	offer.expires_at = expiry_argument(fcinfo, 4, &tenant, offer.send_at);
	caller_lock(&caller, ROLE_ADMIN);
	invitation_check_role(&caller, &tenant, offer.role);
	made = invitation_put(&caller, &tenant, &offer);
	if (offer.places == NIL)
		return spi_finish_with(fcinfo, made);
	invitation_id = row_uuid(made, "invitation_id");
	return invitation_show(fcinfo, &caller.tenant_id, &invitation_id);
}
