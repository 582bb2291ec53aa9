/*
 * forget.c
 *	  Take a person out of every table but the trail; the id stays.
 *
 * Only for who belongs to no tenant and has no open invitation. Addresses that
 * somebody else's open account has are left alone. Locks: account, invitation,
 * session, outbox.
 */
#include "postgres.h"

#include "audit/erase.h"
#include "core/errors.h"
#include "core/uuid.h"
#include "history/history.h"

#define FOLD(x) "lower(" x " COLLATE \"C\")"
#define ERASED_ADDRESS "'erased-' || $1::text || '@erased.invalid'"

SPI_QUERY(lock_person,
		  "SELECT closed_at IS NOT NULL AS closed, EXISTS (SELECT"
		  " FROM usermgmt.membership AS m WHERE m.user_id = a.user_id)"
		  " AS belongs FROM usermgmt.account AS a WHERE a.user_id = $1"
		  " FOR UPDATE",
		  UUIDOID);
SPI_QUERY(list_addresses,
		  "SELECT coalesce(array_agg(DISTINCT f.address), '{}') AS addresses"
		  " FROM (SELECT " FOLD(
			  "p.address") " AS address FROM (SELECT unnest("
						   "ARRAY[a.email, a.canonical_email]) FROM "
						   "usermgmt.account AS a"
						   " WHERE a.user_id = $1 UNION ALL SELECT s.email "
						   "FROM usermgmt.session AS s"
						   " WHERE s.user_id = $1 UNION ALL SELECT "
						   "unnest(ARRAY[c.old_email, c.email])"
						   " FROM usermgmt.email_change AS c"
						   " WHERE c.user_id = $1 UNION ALL SELECT "
						   "unnest(ARRAY[e.old ->> 'email',"
						   " e.new ->> 'email']) FROM usermgmt.audit_event AS e"
						   " WHERE e.object_type = 'account' AND e.object_id = "
						   "$1::text)"
						   " AS p (address)) AS f WHERE f.address LIKE '%_@_%'"
						   " AND f.address NOT LIKE '%@erased.invalid' AND NOT "
						   "EXISTS (SELECT"
						   " FROM usermgmt.account AS o WHERE "
						   "o.canonical_email = f.address"
						   " AND o.closed_at IS NULL)",
		  UUIDOID);
SPI_QUERY(find_hold,
		  "SELECT FROM usermgmt.invitation WHERE state = 'pending' AND " FOLD(
			  "email") " = ANY ($1) UNION ALL SELECT FROM usermgmt.outbox"
					   " WHERE state IN ('claimed', 'sending')"
					   " AND " FOLD("recipient") " = ANY ($1)",
		  TEXTARRAYOID);
SPI_QUERY(forget_account,
		  "UPDATE usermgmt.account SET email = " ERASED_ADDRESS
		  ", name = NULL, metadata = '{}' WHERE user_id = $1",
		  UUIDOID);
SPI_QUERY(forget_identities,
		  "DELETE FROM usermgmt.account_identity WHERE user_id = $1", UUIDOID);
SPI_QUERY(forget_invitations,
		  "UPDATE usermgmt.invitation SET email = " ERASED_ADDRESS
		  ", name = NULL, message = NULL, revoke_reason = NULL WHERE state <> "
		  "'pending'"
		  " AND (accepted_by = $1 OR " FOLD("email") " = ANY ($2))",
		  UUIDOID, TEXTARRAYOID);
SPI_QUERY(forget_inviter,
		  "UPDATE usermgmt.invitation SET invited_by_email = '" ERASED "'"
		  " WHERE invited_by = $1 AND invited_by_email <> '" ERASED "'",
		  UUIDOID);
SPI_QUERY(forget_words,
		  "UPDATE usermgmt.invitation SET message = CASE WHEN"
		  " usermgmt.names_address(message, $1) THEN NULL ELSE message END,"
		  " revoke_reason = CASE WHEN usermgmt.names_address(revoke_reason, $1)"
		  " THEN NULL ELSE revoke_reason END WHERE state <> 'pending'"
		  " AND (usermgmt.names_address(message, $1)"
		  " OR usermgmt.names_address(revoke_reason, $1))",
		  TEXTARRAYOID);
SPI_QUERY(forget_sessions, "DELETE FROM usermgmt.session WHERE user_id = $1",
		  UUIDOID);
SPI_QUERY(forget_changes,
		  "DELETE FROM usermgmt.email_change WHERE user_id = $1", UUIDOID);
SPI_QUERY(forget_attempts,
		  "UPDATE usermgmt.outbox_attempt AS t SET reply = NULL"
		  " FROM usermgmt.outbox AS o WHERE o.message_id = t.message_id"
		  " AND " FOLD("o.recipient") " = ANY ($1)",
		  TEXTARRAYOID);
SPI_QUERY(forget_queued,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $2"
		  " WHERE state = 'queued' AND " FOLD("recipient") " = ANY ($1)",
		  TEXTARRAYOID, TIMESTAMPTZOID);
SPI_QUERY(forget_mails,
		  "UPDATE usermgmt.outbox SET recipient = " ERASED_ADDRESS
		  ", recipient_name = NULL, reply = NULL, bounce_detail = NULL"
		  " WHERE " FOLD("recipient") " = ANY ($2)",
		  UUIDOID, TEXTARRAYOID);
SPI_QUERY(forget_suppressions,
		  "DELETE FROM usermgmt.address_suppression WHERE address = ANY ($1)",
		  TEXTARRAYOID);
SPI_QUERY(forget_throttles,
		  "DELETE FROM usermgmt.login_throttle WHERE address = ANY ($1)",
		  TEXTARRAYOID);

static void
lock_closed(const pg_uuid_t *user_id)
{
	if (spi_run(lock_person, ARG_UUID(*user_id)) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("there is no such account")));
	if (row_bool(spi_row(0), "belongs") || !row_bool(spi_row(0), "closed"))
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the account of the person is not closed"),
						errhint("Remove the person from every tenant first; "
								"the last removal closes the account.")));
}

ErasedPerson
person_forget(const pg_uuid_t *user_id)
{
	ErasedPerson person = {.user_id = *user_id};
	SpiArg id = ARG_UUID(*user_id);
	SpiArg addresses;

	lock_closed(user_id);
	spi_run(list_addresses, id);
	person.addresses = PointerGetDatum(
		DatumGetArrayTypePCopy(row_value(spi_row(0), "addresses")));
	person.address_list = strings_of(person.addresses);
	addresses = ARG(TEXTARRAYOID, person.addresses);
	if (spi_run(find_hold, addresses) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UM_WRONG_STATE),
				 errmsg("an invitation of the person is open, or a mail is on "
						"its way"),
				 errhint("Revoke the invitation; a mail is sent or given back "
						 "within a minute.")));
	spi_run(forget_account, id);
	spi_run(forget_identities, id);
	spi_run(forget_invitations, id, addresses);
	spi_run(forget_inviter, id);
	spi_run(forget_changes, id);
	spi_run(forget_sessions, id);
	spi_run(forget_attempts, addresses);
	spi_run(forget_queued, addresses, ARG_TIME(GetCurrentTimestamp()));
	spi_run(forget_mails, id, addresses);
	spi_run(forget_suppressions, addresses);
	spi_run(forget_throttles, addresses);
	return person;
}

void
person_forget_words(const ErasedPerson *person)
{
	history_forget(&person->user_id, person->addresses);
	spi_run(forget_words, ARG(TEXTARRAYOID, person->addresses));
}
