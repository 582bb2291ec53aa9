/*
 * doubt.c
 *	  A mail may have been sent, and nobody knows: send it again, or hold it?
 *
 * That is so when the connection to the mail server, or the relay, was lost
 * between the final dot and the answer. By default the mail goes out once more,
 * with the same Message-ID. Kinds named by usermgmt.hold_in_doubt are dead
 * instead, and an operator who has asked the mail server decides.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "outbox/catalogue.h"
#include "outbox/doubt.h"

#define IN_DOUBT "in doubt" /* how the relay's words begin */
#define HELD "; held, see usermgmt.hold_in_doubt"

SPI_QUERY(hold_lost,
		  "WITH held AS (UPDATE usermgmt.outbox SET state = 'dead',"
		  " finished_at = $2, reply = $4, attempts = attempts + 1,"
		  " holder = NULL, worker = NULL WHERE ctid = ANY (ARRAY("
		  "SELECT ctid FROM usermgmt.outbox WHERE holder = $1"
		  " AND state = 'sending' AND kind = ANY ($3)"
		  " FOR UPDATE SKIP LOCKED)) RETURNING message_id, tenant_id, fence)"
		  " INSERT INTO usermgmt.outbox_attempt (message_id, tenant_id, fence,"
		  " ended_at, outcome, reply) SELECT message_id, tenant_id, fence, $2,"
		  " 'dead', $4 FROM held",
		  INT8OID, TIMESTAMPTZOID, TEXTARRAYOID, TEXTOID);

static char *hold_in_doubt;

/*
 * The names in a list with commas between; false when it is none.
 */
static bool
split_kinds(const char *text, List **names)
{
	return SplitGUCList(pstrdup(text), ',', names);
}

static bool
check_kinds(char **text, void **extra, GucSource source)
{
	List *names;
	ListCell *cell;

	if (!split_kinds(*text, &names))
	{
		GUC_check_errdetail("It is no list of names with commas between.");
		return false;
	}
	foreach (cell, names)
	{
		if (mail_describe(lfirst(cell)) != NULL)
			continue;
		GUC_check_errdetail("There is no mail kind \"%s\".",
							(char *) lfirst(cell));
		return false;
	}
	return true;
}

static List *
held_kinds(void)
{
	List *names;

	if (!split_kinds(hold_in_doubt, &names))
		elog(ERROR, "usermgmt.hold_in_doubt is no list");
	return names;
}

Datum
doubt_kinds(void)
{
	List *names = held_kinds();
	Datum *kinds = palloc((list_length(names) + 1) * sizeof(Datum));
	int count = 0;
	ListCell *cell;

	foreach (cell, names)
		kinds[count++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(
		construct_array(kinds, count, TEXTOID, -1, false, TYPALIGN_INT));
}

bool
doubt_holds(const char *kind, const char *reply)
{
	ListCell *cell;

	if (reply == NULL || strncmp(reply, IN_DOUBT, strlen(IN_DOUBT)) != 0)
		return false;
	foreach (cell, held_kinds())
		if (strcmp(lfirst(cell), kind) == 0)
			return true;
	return false;
}

char *
doubt_reply(const char *reply)
{
	return psprintf("%s" HELD, reply);
}

void
doubt_hold_lost(int64 holder, TimestampTz now)
{
	if (*hold_in_doubt != '\0')
		spi_run(hold_lost, ARG_BIGINT(holder), ARG_TIME(now),
				ARG(TEXTARRAYOID, doubt_kinds()),
				ARG_TEXT(doubt_reply(
					IN_DOUBT ": the relay, or its connection to the database, "
							 "was lost while it handed the mail over")));
}

void
doubt_init(void)
{
	DefineCustomStringVariable(
		"usermgmt.hold_in_doubt",
		"Kinds of mail that are not sent again when they may have been sent.",
		"Names with commas between. Such a mail is dead, and outbox_retry() "
		"sends it again.",
		&hold_in_doubt, "", PGC_SUSET, GUC_LIST_INPUT, check_kinds, NULL, NULL);
}
