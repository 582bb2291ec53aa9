/*
 * identity.c
 *	  Ids that people have in outside sign-in systems, which are arbitrary
 *	  strings.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "account/account.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"

#define PROVIDER_MAX 100
#define SUBJECT_MAX 1000 /* octets */

SPI_QUERY(insert_identity,
		  "INSERT INTO usermgmt.account_identity (provider, subject, user_id,"
		  " linked_at) VALUES ($1, $2, $3, $4)"
		  " ON CONFLICT (provider, subject) DO NOTHING",
		  TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(find_identity,
		  "SELECT user_id FROM usermgmt.account_identity"
		  " WHERE provider = $1 AND subject = $2",
		  TEXTOID, TEXTOID);
SPI_QUERY(delete_identity,
		  "DELETE FROM usermgmt.account_identity WHERE provider = $1"
		  " AND subject = $2 AND user_id = $3",
		  TEXTOID, TEXTOID, UUIDOID);

/*
 * The subject is compared octet by octet: nothing is trimmed and nothing is
 * folded.
 */
static char *
subject_require(const char *subject)
{
	if (subject == NULL)
		refuse_null("subject");
	if (subject[0] == '\0' || strlen(subject) > SUBJECT_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("subject is empty or longer than %d octets",
							   SUBJECT_MAX)));
	return pstrdup(subject);
}

PG_FUNCTION_INFO_V1(link_identity);
Datum
link_identity(PG_FUNCTION_ARGS)
{
	char *provider =
		plain_text_require(argument_text(fcinfo, 1), "provider", PROVIDER_MAX);
	char *subject = subject_require(argument_text(fcinfo, 2));
	pg_uuid_t user_id;
	pg_uuid_t holder;

	user_id = argument_uuid(fcinfo, 0, "user_id");
	SPI_connect();
	begin_writing(fcinfo);
	if (!account_lock(&user_id))
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("there is no such account")));
	if (spi_run(insert_identity, ARG_TEXT(provider), ARG_TEXT(subject),
				ARG_UUID(user_id), ARG_TIME(GetCurrentTimestamp())) == 0)
	{
		if (spi_latest(find_identity, ARG_TEXT(provider), ARG_TEXT(subject)) ==
			0)
			refuse_concurrent("change of the identity");
		holder = row_uuid(spi_row(0), "user_id");
		if (!uuid_equal(&holder, &user_id))
			ereport(ERROR, (errcode(ERRCODE_UNIQUE_VIOLATION),
							errmsg("the identity is linked to another account"),
							errhint("Unlink it there first.")));
	}
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(unlink_identity);
Datum
unlink_identity(PG_FUNCTION_ARGS)
{
	char *provider =
		plain_text_require(argument_text(fcinfo, 1), "provider", PROVIDER_MAX);
	char *subject = subject_require(argument_text(fcinfo, 2));
	pg_uuid_t user_id;

	user_id = argument_uuid(fcinfo, 0, "user_id");
	SPI_connect();
	begin_writing(fcinfo);
	if (spi_run(delete_identity, ARG_TEXT(provider), ARG_TEXT(subject),
				ARG_UUID(user_id)) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("the account has no such identity")));
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(user_by_identity);
Datum
user_by_identity(PG_FUNCTION_ARGS)
{
	char *provider =
		plain_text_require(argument_text(fcinfo, 0), "provider", PROVIDER_MAX);
	char *subject = subject_require(argument_text(fcinfo, 1));
	pg_uuid_t *user_id = palloc(sizeof(pg_uuid_t));
	bool found;

	SPI_connect();
	found =
		spi_latest(find_identity, ARG_TEXT(provider), ARG_TEXT(subject)) > 0;
	if (found)
		*user_id = row_uuid(spi_row(0), "user_id");
	SPI_finish();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(user_id);
}
