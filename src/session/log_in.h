/*
 * log_in.h: proving a password, for every way in.
 */
#ifndef USERMGMT_LOG_IN_H
#define USERMGMT_LOG_IN_H

#include "password/password.h"
#include "session/session.h"

/* Compares the password of the account (NULL: nobody) under the throttle of
 * its address. Unless it is right, start->outcome says what to answer. */
extern PasswordVerdict log_in_verify(const Address *address,
									 const Account *account,
									 const Password *password,
									 SessionStart *start);

#endif
