/*
 * revoke.c
 *	  Sessions end with the access they stood for.
 *
 * A transaction with a fixed snapshot can not update a session that was opened
 * after it, so each end looks again with the latest snapshot, and gives way
 * with a serialization failure rather than leave a session behind. At READ
 * COMMITTED the update has just looked so.
 */
#include "postgres.h"

#include "access/xact.h"

#include "core/errors.h"
#include "core/spi_query.h"
#include "session/revoke.h"

#define END_SESSIONS                                                           \
	"UPDATE usermgmt.session SET state = 'revoked', ended_at = $1,"            \
	" end_reason = $2 WHERE state = 'open' AND "
#define FIND_SESSIONS "SELECT FROM usermgmt.session WHERE state = 'open' AND "
#define OF_PERSON(u) "user_id = " u
#define OF_MEMBER(u, t) "user_id = " u " AND tenant_id = " t
#define OF_TENANT(t) "tenant_id = " t
#define BUT(s) " AND session_id IS DISTINCT FROM " s

SPI_QUERY(end_person, END_SESSIONS OF_PERSON("$3") BUT("$4"), TIMESTAMPTZOID,
		  TEXTOID, UUIDOID, UUIDOID);
SPI_QUERY(find_person, FIND_SESSIONS OF_PERSON("$1") BUT("$2") " LIMIT 1",
		  UUIDOID, UUIDOID);
SPI_QUERY(end_member, END_SESSIONS OF_MEMBER("$3", "$4"), TIMESTAMPTZOID,
		  TEXTOID, UUIDOID, UUIDOID);
SPI_QUERY(find_member, FIND_SESSIONS OF_MEMBER("$1", "$2") " LIMIT 1", UUIDOID,
		  UUIDOID);
SPI_QUERY(end_others,
		  END_SESSIONS OF_MEMBER("$3", "$4") BUT("$5") " AND expires_at > $1",
		  TIMESTAMPTZOID, TEXTOID, UUIDOID, UUIDOID, UUIDOID);
SPI_QUERY(find_others,
		  FIND_SESSIONS OF_MEMBER("$1", "$2")
			  BUT("$3") " AND expires_at > $4 LIMIT 1",
		  UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(end_tenant, END_SESSIONS OF_TENANT("$3"), TIMESTAMPTZOID, TEXTOID,
		  UUIDOID);
SPI_QUERY(delete_person,
		  "DELETE FROM usermgmt.session WHERE user_id = $1 AND state = 'open'",
		  UUIDOID);
SPI_QUERY(find_tenant, FIND_SESSIONS OF_TENANT("$1") " LIMIT 1", UUIDOID);

/*
 * Raise when this finds an open session that the snapshot is too old to see.
 */
#define REQUIRE_NONE(...)                                                      \
	do                                                                         \
	{                                                                          \
		if (IsolationUsesXactSnapshot() && spi_latest(__VA_ARGS__) > 0)        \
			refuse_concurrent("log-in");                                       \
	} while (0)

void
session_end_person(const pg_uuid_t *user_id, const pg_uuid_t *kept,
				   const char *why)
{
	spi_run(end_person, ARG_TIME(GetCurrentTimestamp()), ARG_TEXT(why),
			ARG_UUID(*user_id), ARG_OPT_UUID(kept));
	REQUIRE_NONE(find_person, ARG_UUID(*user_id), ARG_OPT_UUID(kept));
}

void
session_end_member(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
				   const char *why)
{
	spi_run(end_member, ARG_TIME(GetCurrentTimestamp()), ARG_TEXT(why),
			ARG_UUID(*user_id), ARG_UUID(*tenant_id));
	REQUIRE_NONE(find_member, ARG_UUID(*user_id), ARG_UUID(*tenant_id));
}

int32
session_end_others(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id,
				   const pg_uuid_t *kept, const char *why)
{
	TimestampTz now = GetCurrentTimestamp();
	int32 ended =
		spi_run(end_others, ARG_TIME(now), ARG_TEXT(why), ARG_UUID(*user_id),
				ARG_UUID(*tenant_id), ARG_OPT_UUID(kept));

	REQUIRE_NONE(find_others, ARG_UUID(*user_id), ARG_UUID(*tenant_id),
				 ARG_OPT_UUID(kept), ARG_TIME(now));
	return ended;
}

void
session_end_tenant(const pg_uuid_t *tenant_id, const char *why)
{
	spi_run(end_tenant, ARG_TIME(GetCurrentTimestamp()), ARG_TEXT(why),
			ARG_UUID(*tenant_id));
	REQUIRE_NONE(find_tenant, ARG_UUID(*tenant_id));
}

void
session_delete_person(const pg_uuid_t *user_id)
{
	spi_run(delete_person, ARG_UUID(*user_id));
}
