#ifndef RELAY_MESSAGE_H
#define RELAY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "header.h"

/* One claimed message; the texts belong to the claim's result, NULL if none. */
typedef struct Message
{
	const char *id;
	const char *fence;
	const char *kind;
	const char *attempt;
	const char *sender;
	const char *from_name;
	const char *recipient;
	const char *to_name;
	const char *reply_to;
	const char *subject;
	const char *text;
	const char *html;
	const char *message_id; /* the header, with its angle brackets */
} Message;

/* A message ready to go: its envelope and every byte of it, lines CRLF. */
typedef struct Letter
{
	const char *id;
	char from[ADDRESS_SIZE];
	char to[ADDRESS_SIZE];
	char *bytes;
	size_t length;
} Letter;

/*
 * Builds the letter; the caller frees it with letter_free().  False when the
 * message can never be sent, with the reason written.
 */
bool message_render(const Message *message, Letter *letter, char *reason,
					size_t reason_size);

/* Wipes and frees the bytes: they hold a link. */
void letter_free(Letter *letter);

#endif
