/*
 * attempt.h: do something that may fail, and go on.
 */
#ifndef USERMGMT_ATTEMPT_H
#define USERMGMT_ATTEMPT_H

/* Calls deed(arg) in a subtransaction: NULL when it went well, else its error,
 * palloc'd, with everything it did undone. Unless it is to be kept, what a
 * deed did is undone in any case. The deed opens an SPI connection of its own
 * or uses the caller's. */
extern ErrorData *attempt(void (*deed)(void *arg), void *arg, bool keep);

/* As attempt(deed, arg, true), but false when the deed failed for a value that
 * is taken (23505), and any other error is raised. */
extern bool attempt_unless_taken(void (*deed)(void *arg), void *arg);

/* Whether nobody may swallow this error: the caller is being cancelled. */
extern bool attempt_was_cancelled(const ErrorData *error);

#endif
