/*
 * throttle.c
 *	  Growing waits after wrong passwords: at most 100 guesses an hour.
 *
 * The first FREE_FAILURES are free; then the wait doubles from one second to
 * a minute. That is about 70 guesses in the first hour and 60 in every other
 * (OWASP ASVS 4.0.3, 2.2.1 allows 100), and the right password is never
 * further away than a minute. A reset clears it.
 */
#include "postgres.h"

#include "core/spi_query.h"
#include "session/throttle.h"

#define FREE_FAILURES 5
#define LONGEST_WAIT 60 /* seconds */

SPI_QUERY(find_throttle,
		  "SELECT next_try_at FROM usermgmt.login_throttle"
		  " WHERE address = $1",
		  TEXTOID);
SPI_QUERY(lock_throttle,
		  "INSERT INTO usermgmt.login_throttle AS t (address, failures,"
		  " next_try_at, last_failure_at) VALUES ($1, 1, $2, $2)"
		  " ON CONFLICT (address) DO UPDATE SET failures = t.failures + 1,"
		  " last_failure_at = $2 RETURNING failures",
		  TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(set_next_try,
		  "UPDATE usermgmt.login_throttle SET next_try_at = $2"
		  " WHERE address = $1",
		  TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(clear_throttle,
		  "DELETE FROM usermgmt.login_throttle WHERE address = $1", TEXTOID);

int
throttle_wait(const Address *address)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;

	if (spi_latest(find_throttle, ARG_TEXT(address->canonical)) == 0)
		return 0;
	next = row_time(spi_row(0), "next_try_at");
	return next <= now ? 0 : (int) ((next - now) / USECS_PER_SEC) + 1;
}

void
throttle_failure(const Address *address)
{
	TimestampTz now = GetCurrentTimestamp();
	int excess;

	spi_run(lock_throttle, ARG_TEXT(address->canonical), ARG_TIME(now));
	excess = row_int(spi_row(0), "failures") - FREE_FAILURES;
	if (excess > 0)
		spi_run(set_next_try, ARG_TEXT(address->canonical),
				ARG_TIME(now + Min(INT64CONST(1) << Min(excess - 1, 6),
								   LONGEST_WAIT) *
								   USECS_PER_SEC));
}

void
throttle_clear(const char *email)
{
	Address address = address_require(email, "email");

	spi_run(clear_throttle, ARG_TEXT(address.canonical));
}
