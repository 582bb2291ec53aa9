/*
 * at_commit.h: what is written last of all, and must fail nothing.
 *
 * For times of last use: whoever wants the row does not wait for a transaction
 * that goes on, and whatever goes wrong is no reason to fail what the caller
 * came for. A standby, a read-only and a prepared transaction write nothing,
 * and one that is rolled back neither.
 */
#ifndef USERMGMT_AT_COMMIT_H
#define USERMGMT_AT_COMMIT_H

#include "utils/timestamp.h"
#include "utils/uuid.h"

/* A call of an internal SQL function (uuid, uuid, timestamptz) that writes as
 * a definer, with a fixed search_path. */
typedef struct CommitCall
{
	const char *function;
	bool due;
	pg_uuid_t first;
	pg_uuid_t second;
	TimestampTz at;
} CommitCall;

/* Makes the call, which is the caller's for good, when the transaction commits;
 * a second one in the same transaction takes the place of the first. */
extern void at_commit(CommitCall *call, const pg_uuid_t *first,
					  const pg_uuid_t *second, TimestampTz at);

/* Called once for each, when the library is loaded. */
extern void at_commit_register(CommitCall *call);

#endif
