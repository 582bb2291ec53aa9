#ifndef RELAY_HTTPS_REPLY_H
#define RELAY_HTTPS_REPLY_H

#include "transport.h"

/*
 * The outcome of a request that was answered: by its status, by the name of
 * the error in the body, and by Retry-After in seconds (0: none).
 */
void https_judge(Delivery *delivery, long status, const char *body,
				 long long retry_after);

#endif
