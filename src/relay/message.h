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
	char envelope[ADDRESS_SIZE]; /* the sender that bounces go back to */
	char to[ADDRESS_SIZE];
	char *bytes;
	size_t length;
} Letter;

typedef enum Rendered
{
	RENDERED,
	RENDER_REFUSED,		  /* the message can never be sent */
	RENDER_SENDER_REFUSED /* nothing can be sent from this address */
} Rendered;

/*
 * Builds the letter, which the caller frees with letter_free() in any case, or
 * writes the reason why there is none.
 */
Rendered message_render(const Message *message, Letter *letter, char *reason,
						size_t reason_size);

/* Bounces go to name+<message id>@domain instead of the sender; the address
 * has been checked by address_to_ascii() and is short enough. */
void letter_return_to(Letter *letter, const char *bounce_address);

/* Wipes and frees the bytes: they hold a link. */
void letter_free(Letter *letter);

#endif
