/*
 * dry_run.c
 *		What would be sent now: claimed in a transaction that is undone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dry_run.h"
#include "queue.h"
#include "redact.h"
#include "transport.h"

/* Prints a text without its links, its lines indented. */
static void
print_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	redact(copy);
	fputs("    ", stdout);
	for (const char *c = copy; *c; c++)
		if (*c == '\n')
			fputs("\n    ", stdout);
		else
			putchar((unsigned char) *c < ' ' || *c == 0x7f ? ' ' : *c);
	puts("\n");
	free(copy);
}

static void
print_message(const Config *config, const Message *message)
{
	char reason[REPLY_SIZE];
	Letter letter;

	printf("message=%s kind=%s attempt=%s\n", message->id, message->kind,
		   message->attempt);
	if (message_render(message, &letter, reason, sizeof(reason)) != RENDERED)
		printf("  %s\n\n", reason);
	else
	{
		if (config->bounce_address)
			letter_return_to(&letter, config->bounce_address);
		printf("  envelope: %s -> %s\n  From: %s <%s>\n  To: %s <%s>\n"
			   "  Subject: %s\n",
			   letter.envelope, letter.to,
			   message->from_name ? message->from_name : "", letter.from,
			   message->to_name ? message->to_name : "", letter.to,
			   message->subject);
		print_text(message->text ? message->text : "(HTML only)");
	}
	letter_free(&letter);
}

int
dry_run(const Config *config)
{
	Db db = {.conninfo = config->database, .statements = queue_statements};
	PGresult *claimed = NULL;

	if (db_connect(&db) && db_command(&db, "BEGIN"))
		claimed = queue_claim(&db, config->worker_name, config->batch);
	if (claimed && !db_command(&db, "ROLLBACK"))
	{
		PQclear(claimed);
		claimed = NULL;
	}
	db_close(&db);
	if (!claimed)
		return EXIT_SYSTEM_FAILED;
	for (int row = 0; row < PQntuples(claimed); row++)
	{
		Message message;

		queue_message(claimed, row, &message);
		print_message(config, &message);
	}
	printf("%d message%s due\n", PQntuples(claimed),
		   PQntuples(claimed) == 1 ? " is" : "s are");
	PQclear(claimed);
	return EXIT_STOPPED;
}
