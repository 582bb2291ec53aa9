/*
 * throttle.c
 *	  Growing waits after wrong passwords: at most 100 guesses an hour.
 *
 * The first FREE_FAILURES are free; then the wait doubles from one second to
 * a minute. That is about 70 guesses in the first hour and 60 in every other
 * (OWASP ASVS 5.0, 6.3.1), and the right password is never further away than a
 * minute. Each minute forgets one failure. The right password forgets none, or
 * somebody who signs in often would give every guesser new free ones; a reset
 * clears them all.
 *
 * Guesses at one address run one after the other, until the transaction ends:
 * each sees the failures of those before. A caller who rolls back takes the
 * row back, but not what this backend remembers of it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"

#include "core/slots.h"
#include "core/spi_query.h"
#include "session/throttle.h"

#define FREE_FAILURES 5
#define LONGEST_WAIT 60 /* seconds, and the time that forgets a failure */
#define MEMORY_SIZE 64	/* addresses */

SPI_QUERY(find_throttle,
		  "SELECT next_try_at FROM usermgmt.login_throttle"
		  " WHERE address = $1",
		  TEXTOID);
SPI_QUERY(lock_throttle,
		  "INSERT INTO usermgmt.login_throttle AS t (address, failures,"
		  " next_try_at, last_failure_at) VALUES ($1, 1, $2, $2)"
		  " ON CONFLICT (address) DO UPDATE SET failures = t.failures + 1"
		  " - least(t.failures, greatest(0, div(extract("
		  "epoch FROM $2 - t.last_failure_at), $3)))::integer,"
		  " last_failure_at = $2 RETURNING failures",
		  TEXTOID, TIMESTAMPTZOID, INT4OID);
SPI_QUERY(set_next_try,
		  "UPDATE usermgmt.login_throttle SET next_try_at = $2"
		  " WHERE address = $1",
		  TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(clear_throttle,
		  "DELETE FROM usermgmt.login_throttle WHERE address = $1", TEXTOID);

/* Failures whose rows were rolled back, and those of this transaction. */
typedef struct Memory
{
	uint64 address; /* a hash; 0 is free */
	int failures;
	TimestampTz last_failure_at;
	TimestampTz next_try_at;
	int pending; /* not decided yet */
} Memory;

static Memory memory[MEMORY_SIZE];

static uint64
hash_of(const Address *address)
{
	return hash_bytes_extended((const unsigned char *) address->canonical,
							   strlen(address->canonical), 0) |
		   1;
}

static Memory *
recall(const Address *address)
{
	uint64 hash = hash_of(address);
	Memory *found = &memory[hash / 2 % MEMORY_SIZE];

	return found->address == hash ? found : NULL;
}

/*
 * When the address may be tried after this many failures.
 */
static TimestampTz
next_try(int failures, TimestampTz now)
{
	int excess = failures - FREE_FAILURES;

	if (excess <= 0)
		return now;
	return now + Min(INT64CONST(1) << Min(excess - 1, 6), LONGEST_WAIT) *
					 USECS_PER_SEC;
}

/*
 * The failures that the time since the last one has not forgotten.
 */
static int
left_of(const Memory *remembered, TimestampTz now)
{
	int64 forgotten =
		(now - remembered->last_failure_at) / (LONGEST_WAIT * USECS_PER_SEC);

	return (int) Max(remembered->failures - Max(forgotten, 0), 0);
}

/*
 * What is pending was rolled back, and is remembered from here on, or was not.
 */
static void
decide(bool aborted)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < MEMORY_SIZE; i++)
	{
		if (memory[i].pending > 0 && aborted)
		{
			memory[i].failures = left_of(&memory[i], now) + memory[i].pending;
			memory[i].last_failure_at = now;
			memory[i].next_try_at = next_try(memory[i].failures, now);
		}
		memory[i].pending = 0;
	}
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT ||
		event == XACT_EVENT_PREPARE)
		decide(event == XACT_EVENT_ABORT);
}

/*
 * A rollback to a savepoint may take back more than what is pending since, or
 * less; it is counted as all of it.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		decide(true);
}

void
throttle_remember(const Address *address)
{
	uint64 hash = hash_of(address);
	Memory *place = &memory[hash / 2 % MEMORY_SIZE];

	if (place->address != hash)
		*place = (Memory){.address = hash};
	place->pending++;
}

bool
throttle_begin(const Address *address)
{
	return login_slot_try(hash_of(address));
}

void
throttle_end(const Address *address)
{
	login_slot_release(hash_of(address));
}

/*
 * The seconds to wait. A moment further away than the longest wait is from
 * before the clock was set back: nobody waits for that.
 */
int
throttle_wait(const Address *address)
{
	TimestampTz now = GetCurrentTimestamp();
	const Memory *remembered = recall(address);
	TimestampTz next = now;

	if (spi_latest(find_throttle, ARG_TEXT(address->canonical)) > 0)
		next = row_time(spi_row(0), "next_try_at");
	if (remembered != NULL)
		next = Max(next, remembered->next_try_at);
	if (next <= now || next > now + LONGEST_WAIT * USECS_PER_SEC)
		return 0;
	return (int) ((next - now) / USECS_PER_SEC) + 1;
}

/*
 * Remembered first: a statement that is cancelled, or runs into a time limit,
 * as it writes has been told by its error's context that the password was
 * wrong.
 */
void
throttle_failure(const Address *address)
{
	TimestampTz now = GetCurrentTimestamp();
	int failures;

	throttle_remember(address);
	spi_run(lock_throttle, ARG_TEXT(address->canonical), ARG_TIME(now),
			ARG_INT(LONGEST_WAIT));
	failures = row_int(spi_row(0), "failures");
	if (failures > FREE_FAILURES)
		spi_run(set_next_try, ARG_TEXT(address->canonical),
				ARG_TIME(next_try(failures, now)));
}

void
throttle_clear(const char *email)
{
	Address address = address_require(email, "email");
	Memory *remembered = recall(&address);

	spi_run(clear_throttle, ARG_TEXT(address.canonical));
	if (remembered != NULL)
		remembered->address = 0;
}

void
throttle_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
