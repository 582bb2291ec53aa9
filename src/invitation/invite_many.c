/*
 * invite_many.c
 *	  Invite many at once; one bad address does not stop the others.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "core/attempt.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/settings.h"
#include "invitation/invitation.h"
#include "member/member.h"
#include "tenant/seat.h"

#define MAX_EMAILS 10000

/* Refusals that concern one address of many; all others end the call. */
/* clang-format off */
static const struct
{
	int sqlstate;
	const char *outcome;
} outcomes[] = {
	{ERRCODE_UM_ALREADY_MEMBER,			"already_member"},
	{ERRCODE_UM_ALREADY_INVITED,		"already_invited"},
	{ERRCODE_UM_DOMAIN_REFUSED,			"domain_not_allowed"},
	{ERRCODE_UM_LIMIT_REACHED,			"limit_reached"},
};
/* clang-format on */

static const char *
outcome_of(ErrorData *error)
{
	for (int i = 0; i < lengthof(outcomes); i++)
		if (outcomes[i].sqlstate == error->sqlerrcode)
			return outcomes[i].outcome;
	ReThrowError(error);
}

/* What invites one of many. */
typedef struct Deed
{
	const Caller *caller;
	const Tenant *tenant;
	const Offer *offer;
	pg_uuid_t invitation_id;
} Deed;

static void
invite_one(void *arg)
{
	Deed *deed = arg;
	SpiRow made;

	SPI_connect();
	made = invitation_put(deed->caller, deed->tenant, deed->offer);
	deed->invitation_id = row_uuid(made, "invitation_id");
	SPI_finish();
}

/* One of many. */
typedef struct Guest
{
	int place;	 /* among those given */
	Datum email; /* as given */
	bool is_null;
	Address address;
	pg_uuid_t invitation_id;
	const char *outcome;
} Guest;

static int
compare_guests(const ListCell *a, const ListCell *b)
{
	const Guest *one = lfirst(a);
	const Guest *other = lfirst(b);
	int order = strcmp(one->address.canonical, other->address.canonical);

	return order != 0 ? order : one->place - other->place;
}

static List *
list_guests(ArrayType *emails)
{
	List *guests = NIL;
	Datum *values;
	bool *nulls;
	int count;

	deconstruct_array(emails, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls,
					  &count);
	for (int i = 0; i < count; i++)
	{
		Guest *guest = palloc0(sizeof(Guest));

		guest->place = i;
		guest->email = values[i];
		guest->is_null = nulls[i];
		if (nulls[i] ||
			!address_parse(TextDatumGetCString(values[i]), &guest->address))
			guest->outcome = "invalid_address";
		guests = lappend(guests, guest);
	}
	return guests;
}

/*
 * In the order of the addresses, so that two callers who invite the same
 * people wait for each other in the same order, and of one address twice the
 * first as it was given; the outcomes as they were given.
 */
static void
invite_each(FunctionCallInfo fcinfo, const Caller *caller, const Tenant *tenant,
			Offer *offer, ArrayType *emails)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List *guests = list_guests(emails);
	List *sorted = list_copy(guests);
	Deed deed = {.caller = caller, .tenant = tenant, .offer = offer};
	ErrorData *error;
	ListCell *cell;

	list_sort(sorted, compare_guests);
	foreach (cell, sorted)
	{
		Guest *guest = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (guest->outcome != NULL)
			continue;
		offer->address = guest->address;
		error = attempt(invite_one, &deed, true);
		guest->outcome = error == NULL ? "invited" : outcome_of(error);
		guest->invitation_id = deed.invitation_id;
	}
	foreach (cell, guests)
	{
		Guest *guest = lfirst(cell);
		Datum row[] = {guest->email, UUIDPGetDatum(&guest->invitation_id),
					   CStringGetTextDatum(guest->outcome)};
		bool nulls[] = {guest->is_null, strcmp(guest->outcome, "invited") != 0,
						false};

		tuplestore_putvalues(result->setResult, result->setDesc, row, nulls);
	}
}

PG_FUNCTION_INFO_V1(invite_users);
Datum
invite_users(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_ADMIN);
	TimestampTz now = GetCurrentTimestamp();
	Offer offer = {
		.role = PG_ARGISNULL(1) ? ROLE_MEMBER
								: role_require(argument_text(fcinfo, 1)),
		.message = plain_text(argument_text(fcinfo, 3), "message", 2000, true),
		.created_at = now,
		.send_at = now};
	ArrayType *emails;
	Tenant tenant;

	if (PG_ARGISNULL(0))
		refuse_null("emails");
	emails = PG_GETARG_ARRAYTYPE_P(0);
	if (ArrayGetNItems(ARR_NDIM(emails), ARR_DIMS(emails)) > MAX_EMAILS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("emails holds more than %d addresses", MAX_EMAILS)));
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_read(&caller.tenant_id);
	invitation_require_enabled(&tenant);
	seat_prepare(&tenant);
	seat_lock(&tenant);
	offer.places = workspace_places_argument(fcinfo, 2, &caller.tenant_id);
	offer.expires_at =
		setting_after(SETTING_INVITATION_TTL, tenant.settings, offer.send_at);
	caller_lock(&caller, ROLE_ADMIN);
	invitation_check_role(&caller, &tenant, offer.role);
	invite_each(fcinfo, &caller, &tenant, &offer, emails);
	SPI_finish();
	return (Datum) 0;
}
