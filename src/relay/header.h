#ifndef RELAY_HEADER_H
#define RELAY_HEADER_H

#include <stdbool.h>
#include <stdio.h>

#define ADDRESS_SIZE 321

/* The text holds a control character, which no header may. */
bool has_control(const char *text);

/*
 * Writes the address in plain ASCII into out (ADDRESS_SIZE bytes), its domain
 * as A-labels.  Gives NULL, or why it cannot be used in mail.
 */
const char *address_to_ascii(const char *address, char *out);

/* Writes a header of free text, folded and encoded where needed. */
void put_text_header(FILE *out, const char *name, const char *text);

/* Writes a header of one address; display may be NULL or empty. */
void put_address_header(FILE *out, const char *name, const char *display,
						const char *address);

#endif
