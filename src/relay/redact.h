#ifndef RELAY_REDACT_H
#define RELAY_REDACT_H

/*
 * Overwrites with '*' whatever may be part of a link that somebody quotes back
 * at us: what follows "token=", the query of an address, and long words of the
 * alphabet that tokens are written in. Message ids and queue ids survive.
 */
void redact(char *text);

#endif
