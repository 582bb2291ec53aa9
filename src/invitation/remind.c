/*
 * remind.c
 *	  Remind people, once, of an invitation that they have not answered.
 *
 * The mark on the invitation is the lock: of two runs at once one finds the
 * row taken and passes it by. A reopened invitation begins anew.
 */
#include "postgres.h"

#include "invitation/invitation.h"
#include "outbox/outbox.h"

#define REMINDERS_AT_ONCE 1000

/*
 * Not where nobody could accept, where a mail still waits, where the address
 * gets none, nor within the cool-down. What is due is a range of the index of
 * those not reminded: the tenants' settings come first (OFFSET 0), and the end
 * of the link is no condition for another index (IS TRUE), for nearly all end
 * later.
 */
SPI_QUERY(mark_due,
		  "UPDATE usermgmt.invitation AS n SET reminded_at = $1 FROM ("
		  "SELECT i.invitation_id, i.tenant_id FROM (SELECT t.tenant_id,"
		  " s.cooldown, $1 - pg_catalog.make_interval(secs =>"
		  " greatest(s.after, s.cooldown)) AS queued_before"
		  " FROM usermgmt.tenant AS t CROSS JOIN LATERAL (SELECT"
		  " usermgmt.effective_seconds(t.settings, 'reminder_after') AS after,"
		  " usermgmt.effective_seconds(t.settings, 'resend_cooldown')"
		  " AS cooldown OFFSET 0) AS s WHERE s.after > 0"
		  " AND usermgmt.effective_switch(t.settings, 'invitations_enabled')"
		  " OFFSET 0) AS s JOIN usermgmt.invitation AS i"
		  " ON i.tenant_id = s.tenant_id AND i.state = 'pending'"
		  " AND i.reminded_at IS NULL AND i.queued_at <= s.queued_before"
		  " JOIN usermgmt.invitation_detail AS d"
		  " ON d.invitation_id = i.invitation_id"
		  " AND d.tenant_id = i.tenant_id"
		  " WHERE (i.expires_at > $1) IS TRUE AND d.can_accept"
		  " AND NOT EXISTS (SELECT FROM usermgmt.address_suppression AS b"
		  " WHERE b.address = i.canonical_email)"
		  " AND NOT EXISTS (SELECT FROM usermgmt.outbox AS o"
		  " WHERE o.subject_id = i.invitation_id"
		  " AND o.tenant_id = i.tenant_id"
		  " AND (o.state IN ('queued', 'claimed', 'sending')"
		  " OR (o.state = 'sent' AND o.finished_at"
		  " > $1 - pg_catalog.make_interval(secs => s.cooldown))))"
		  " ORDER BY i.queued_at LIMIT $2 FOR UPDATE OF i SKIP LOCKED) AS due"
		  " WHERE n.invitation_id = due.invitation_id"
		  " AND n.tenant_id = due.tenant_id AND n.state = 'pending'"
		  " RETURNING n.invitation_id, n.tenant_id, n.email, n.name,"
		  " n.expires_at",
		  TIMESTAMPTZOID, INT4OID);

uint64
reminder_queue_all(TimestampTz now)
{
	uint64 count = spi_run(mark_due, ARG_TIME(now), ARG_INT(REMINDERS_AT_ONCE));
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
	{
		SpiRow row = {rows->vals[i], rows->tupdesc};

		outbox_put(&(Mail){.kind = reminder_mail.name,
						   .tenant_id = row_uuid(row, "tenant_id"),
						   .subject_id = row_uuid(row, "invitation_id"),
						   .recipient = row_text(row, "email"),
						   .recipient_name = row_text_or_null(row, "name"),
						   .due_at = now,
						   .expires_at = row_time(row, "expires_at")});
	}
	return count;
}
