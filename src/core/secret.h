/*
 * secret.h: calls whose statement holds a secret.
 */
#ifndef USERMGMT_SECRET_H
#define USERMGMT_SECRET_H

#include "fmgr.h"

/* Runs the body of a function that takes a token or password: whatever error
 * it raises or meets, a lock timeout or a cancel included, its statement stays
 * out of the server log. */
extern Datum with_hidden_statement(PGFunction body, FunctionCallInfo fcinfo);

#endif
