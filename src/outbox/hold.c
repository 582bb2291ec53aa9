/*
 * hold.c
 *	  No address is flooded, whoever is at it and in how many tenants.
 *
 * A mail too many is put back until there is room for it; whoever caused it is
 * told nothing, for that would tell of other tenants. Each kind has a count of
 * its own, so that nobody's invitations delay somebody's password reset.
 */
#include "postgres.h"

#include "core/settings.h"
#include "outbox/catalogue.h"
#include "outbox/claim.h"

/* Those claimed with it count when they go before it. Both columns are
 * compared as one row, so that the index gives the order too. */
SPI_QUERY(find_room,
		  "SELECT claimed_at FROM usermgmt.outbox"
		  " WHERE pg_catalog.lower(recipient COLLATE \"C\")"
		  " = pg_catalog.lower($1 COLLATE \"C\") AND kind = $2"
		  " AND state IN ('claimed', 'sending', 'sent')"
		  " AND claimed_at > $3 AND (claimed_at, message_id) < ($4, $5)"
		  " ORDER BY claimed_at DESC, message_id DESC OFFSET $6 LIMIT 1",
		  TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, INT4OID);
SPI_QUERY(put_back,
		  "UPDATE usermgmt.outbox SET state = 'queued', due_at = $3,"
		  " held = true, holder = NULL, worker = NULL WHERE message_id = $1"
		  " AND tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

bool
mail_hold_back(SpiRow message, TimestampTz now)
{
	char *kind = row_text(message, "kind");
	const MailDescription *mail = mail_describe(kind);
	pg_uuid_t message_id = row_uuid(message, "message_id");
	pg_uuid_t tenant_id = row_uuid(message, "tenant_id");
	TimestampTz room_at;

	if (mails_per_address == 0 || mail == NULL || mail->unlimited)
		return false;
	if (spi_run(find_room, ARG_TEXT(row_text(message, "recipient")),
				ARG_TEXT(kind), ARG_TIME(now - USECS_PER_HOUR), ARG_TIME(now),
				ARG_UUID(message_id), ARG_INT(mails_per_address - 1)) == 0)
		return false;
	room_at = row_time(spi_row(0), "claimed_at") + USECS_PER_HOUR;
	spi_run(put_back, ARG_UUID(message_id), ARG_UUID(tenant_id),
			ARG_TIME(room_at));
	return true;
}
