/*
 * checkpoint.c
 *	  A line about the end of the chain that is kept where no superuser of this
 *	  server can change it.
 */
#include "postgres.h"

#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "audit/seal.h"
#include "audit/verify.h"
#include "core/address.h"
#include "core/installation.h"

#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define FORMAT "usermgmt audit checkpoint 1"
#define PREFIX "usermgmt-checkpoint-1"

SPI_QUERY(find_seal,
		  "SELECT " SEAL_COLUMNS " FROM usermgmt.audit_seal WHERE seal_no = $1",
		  INT8OID);

/* What is signed, with numbers in network order. */
typedef struct Checkpoint
{
	unsigned char seal_no[8];
	unsigned char made_at[8];
	Digest seal;
	unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
	unsigned char signature[crypto_sign_BYTES];
} Checkpoint;

static void
put_number(unsigned char *bytes, int64 number)
{
	uint64 ordered = pg_hton64((uint64) number);

	memcpy(bytes, &ordered, sizeof(ordered));
}

static int64
number_of(const unsigned char *bytes)
{
	uint64 ordered;

	memcpy(&ordered, bytes, sizeof(ordered));
	return (int64) pg_ntoh64(ordered);
}

static StringInfoData
signed_part(const Checkpoint *checkpoint)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	pq_sendbytes(&bytes, FORMAT, sizeof(FORMAT));
	pq_sendbytes(&bytes, (const char *) checkpoint,
				 offsetof(Checkpoint, signature));
	return bytes;
}

/*
 * In words for whoever keeps it, then in full.
 */
static char *
show(const Checkpoint *checkpoint)
{
	size_t size = sodium_base64_encoded_len(sizeof(*checkpoint), BASE64);
	char *encoded = palloc(size);
	pg_time_t at = timestamptz_to_time_t(number_of(checkpoint->made_at));
	char time[sizeof("2000-01-01T00:00:00Z") + 8];

	pg_strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", pg_gmtime(&at));
	sodium_bin2base64(encoded, size, (const unsigned char *) checkpoint,
					  sizeof(*checkpoint), BASE64);
	return psprintf("%s seal=" INT64_FORMAT " at=%s %s", PREFIX,
					number_of(checkpoint->seal_no), time, encoded);
}

static void
refuse_checkpoint(void)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("this is no genuine checkpoint"),
					errhint("Pass the whole line that audit_checkpoint() "
							"gave, unchanged.")));
}

/*
 * The checkpoint in a line; nothing but its one form is taken.
 */
static Checkpoint
parse(const char *line)
{
	const char *encoded = line != NULL ? strrchr(line, ' ') : NULL;
	Checkpoint checkpoint;
	StringInfoData bytes;
	size_t size;

	if (encoded == NULL ||
		sodium_base642bin((unsigned char *) &checkpoint, sizeof(checkpoint),
						  encoded + 1, strlen(encoded + 1), NULL, &size, NULL,
						  BASE64) != 0 ||
		size != sizeof(checkpoint))
		refuse_checkpoint();
	bytes = signed_part(&checkpoint);
	if (crypto_sign_verify_detached(checkpoint.signature,
									(unsigned char *) bytes.data, bytes.len,
									checkpoint.public_key) != 0 ||
		strcmp(show(&checkpoint), line) != 0)
		refuse_checkpoint();
	return checkpoint;
}

static void
refuse_unsealed(void)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("nothing is sealed yet with the present key"),
					errhint("Call audit_seal() on the primary, outside of the "
							"transaction that wrote the events.")));
}

/*
 * On a standby the last seal is that of the primary.
 */
PG_FUNCTION_INFO_V1(audit_checkpoint);
Datum
audit_checkpoint(PG_FUNCTION_ARGS)
{
	Checkpoint checkpoint;
	StringInfoData bytes;
	AuditSeal last;
	SealKey key;
	char *line;

	SPI_connect();
	if (!XactReadOnly)
	{
		begin_writing(fcinfo);
		audit_seal_pending(PG_INT32_MAX);
	}
	if (!seal_last(&last, SPI_VIEW_LATEST))
		refuse_unsealed();
	seal_key(&key);
	if (memcmp(key.public, last.public_key, sizeof(key.public)) != 0)
		refuse_unsealed();
	put_number(checkpoint.seal_no, last.seal_no);
	put_number(checkpoint.made_at, GetCurrentTimestamp());
	seal_hash(&last, checkpoint.seal);
	memcpy(checkpoint.public_key, key.public, sizeof(key.public));
	bytes = signed_part(&checkpoint);
	crypto_sign_detached(checkpoint.signature, NULL,
						 (unsigned char *) bytes.data, bytes.len, key.secret);
	sodium_memzero(&key, sizeof(key));
	SPI_finish();
	line = show(&checkpoint);
	PG_RETURN_TEXT_P(cstring_to_text(line));
}

/*
 * Whether the seal of the checkpoint stands where it stood.
 */
static void
judge_checkpoint(Verification *verification, const Checkpoint *checkpoint)
{
	AuditSeal seal;
	Digest hash;

	if (spi_read(find_seal, ARG_BIGINT(verification->upto)) == 0)
	{
		verify_report(verification, verification->upto, NULL,
					  "the seal of the checkpoint is missing");
		return;
	}
	seal_of(spi_row(0), &seal);
	seal_hash(&seal, hash);
	if (memcmp(hash, checkpoint->seal, HASH_SIZE) != 0)
		verify_report(verification, verification->upto, NULL,
					  "the seal is not the one of the checkpoint: the chain "
					  "was rebuilt");
}

PG_FUNCTION_INFO_V1(audit_verify_checkpoint);
Datum
audit_verify_checkpoint(PG_FUNCTION_ARGS)
{
	Checkpoint checkpoint = parse(argument_text(fcinfo, 0));
	Verification verification = {.upto = number_of(checkpoint.seal_no)};

	InitMaterializedSRF(fcinfo, 0);
	verification.result = (ReturnSetInfo *) fcinfo->resultinfo;
	SPI_connect();
	verify_chain(&verification);
	judge_checkpoint(&verification, &checkpoint);
	SPI_finish();
	return (Datum) 0;
}
