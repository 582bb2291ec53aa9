/*
 * errors.h: the SQLSTATEs of class UM, as the manual lists them, and 40001.
 */
#ifndef USERMGMT_ERRORS_H
#define USERMGMT_ERRORS_H

#include "core/compat.h"

/* clang-format off */
#define UM_STATE(a, b, c) MAKE_SQLSTATE('U', 'M', a, b, c)

#define ERRCODE_UM_NOT_AUTHENTICATED	UM_STATE('0', '0', '1')
#define ERRCODE_UM_NOT_FOUND			UM_STATE('0', '0', '2')
#define ERRCODE_UM_TOKEN_NOT_GENUINE	UM_STATE('0', '1', '0')
#define ERRCODE_UM_TOKEN_EXPIRED		UM_STATE('0', '1', '1')
#define ERRCODE_UM_TOKEN_USED			UM_STATE('0', '1', '2')
#define ERRCODE_UM_INVITATION_REVOKED	UM_STATE('0', '1', '3')
#define ERRCODE_UM_TOKEN_SUPERSEDED		UM_STATE('0', '1', '4')
#define ERRCODE_UM_WRONG_PASSWORD		UM_STATE('0', '2', '0')
#define ERRCODE_UM_PASSWORD_REJECTED	UM_STATE('0', '2', '1')
#define ERRCODE_UM_BUSY					UM_STATE('0', '2', '2')
#define ERRCODE_UM_NEEDS_OWNER			UM_STATE('0', '3', '0')
#define ERRCODE_UM_OWNER_PROTECTED		UM_STATE('0', '3', '1')
#define ERRCODE_UM_ALREADY_MEMBER		UM_STATE('0', '3', '2')
#define ERRCODE_UM_ALREADY_INVITED		UM_STATE('0', '3', '3')
#define ERRCODE_UM_DOMAIN_REFUSED		UM_STATE('0', '3', '4')
#define ERRCODE_UM_LIMIT_REACHED		UM_STATE('0', '3', '5')
#define ERRCODE_UM_WRONG_STATE			UM_STATE('0', '3', '6')
#define ERRCODE_UM_NOT_ACTIVE			UM_STATE('0', '3', '7')
#define ERRCODE_UM_OWNER_INVITATION		UM_STATE('0', '3', '8')
#define ERRCODE_UM_TOO_SOON				UM_STATE('0', '3', '9')
#define ERRCODE_UM_INVITATIONS_OFF		UM_STATE('0', '4', '0')
#define ERRCODE_UM_TENANT_SUSPENDED		UM_STATE('0', '4', '1')
#define ERRCODE_UM_NOT_CONFIRMED		UM_STATE('0', '5', '0')
/* clang-format on */

/* Raises 40001: a concurrent change of this came between, or a log-in; the
 * transaction may be tried again. Keeps the statement out of the log. */
pg_noreturn extern void refuse_concurrent(const char *what);

#endif
