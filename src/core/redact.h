/*
 * redact.h: keep secrets out of what the server shows of a statement.
 */
#ifndef USERMGMT_REDACT_H
#define USERMGMT_REDACT_H

/* Further functions whose calls carry secrets: names with commas between. */
extern char *redact_calls;

/* The statement in progress carries a secret: hides its literals in
 * pg_stat_activity at once, and in what is logged of it from now on. Costs one
 * look at a statement without literals. */
extern void redact_statement(void);

/* Takes its place before the server log; called once, when the library is
 * loaded. */
extern void redact_init(void);

#endif
