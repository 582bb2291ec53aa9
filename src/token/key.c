/*
 * key.c
 *	  The keys that sign link tokens: from a file, or made at first use.
 *
 * The table signing_key can be read by nobody and is not dumped, so a dump
 * can not forge a link. A key file keeps the key out of the database; its
 * first line signs, and further lines still verify while keys are rotated.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "sodium.h"

#include "access/xact.h"
#include "storage/fd.h"

#include "core/settings.h"
#include "core/spi_query.h"
#include "token/key.h"

#define KEYS_MAX 16

SPI_QUERY(list_keys,
		  "SELECT key FROM usermgmt.signing_key ORDER BY made_at DESC");
SPI_QUERY(insert_key,
		  "INSERT INTO usermgmt.signing_key (key_id, key, made_at)"
		  " VALUES ($1, $2, $3)",
		  INT8OID, BYTEAOID, TIMESTAMPTZOID);

static uint32
key_id_of(const unsigned char *bytes)
{
	unsigned char hash[crypto_generichash_BYTES_MIN];

	crypto_generichash(hash, sizeof(hash), bytes, KEY_SIZE, NULL, 0);
	return (uint32) hash[0] << 24 | hash[1] << 16 | hash[2] << 8 | hash[3];
}

static void
refuse_key_file(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("cannot use the key file: %s", why),
			 errhint("usermgmt.key_file names a file of mode 0600 or 0640 "
					 "with one key of 64 hexadecimal digits a line.")));
}

/*
 * The keys of the file, at most KEYS_MAX.
 */
static int
read_key_file(SigningKey *keys)
{
	FILE *file = AllocateFile(key_file, "r");
	struct stat status;
	char line[2 * KEY_SIZE + 2];
	int count = 0;

	if (file == NULL)
		refuse_key_file(psprintf("it can not be opened: %m"));
	if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode) ||
		(status.st_mode & (S_IWGRP | S_IRWXO)) != 0)
		refuse_key_file("others may read or change it");
	while (count < KEYS_MAX && fgets(line, sizeof(line), file) != NULL)
	{
		size_t length;

		if (sodium_hex2bin(keys[count].bytes, KEY_SIZE, line, strlen(line),
						   "\r\n", &length, NULL) != 0 ||
			(length != KEY_SIZE && length != 0))
			refuse_key_file("a line is not a key");
		if (length == KEY_SIZE)
		{
			keys[count].key_id = key_id_of(keys[count].bytes);
			count++;
		}
	}
	sodium_memzero(line, sizeof(line));
	FreeFile(file);
	if (count == 0)
		refuse_key_file("it is empty");
	return count;
}

static int
read_key_table(SigningKey *keys)
{
	uint64 found = spi_latest(list_keys);
	int count = Min(found, KEYS_MAX);

	for (int i = 0; i < count; i++)
	{
		bool isnull;
		bytea *key = DatumGetByteaPP(row_datum(spi_row(i), "key", &isnull));

		memcpy(keys[i].bytes, VARDATA_ANY(key), KEY_SIZE);
		keys[i].key_id = key_id_of(keys[i].bytes);
	}
	return count;
}

static int
read_keys(SigningKey *keys)
{
	return key_file[0] != '\0' ? read_key_file(keys) : read_key_table(keys);
}

/*
 * Two backends may each make a first key; both verify, and either may sign.
 */
static void
make_key(SigningKey *key)
{
	bytea *stored = palloc(VARHDRSZ + KEY_SIZE);

	randombytes_buf(key->bytes, KEY_SIZE);
	key->key_id = key_id_of(key->bytes);
	SET_VARSIZE(stored, VARHDRSZ + KEY_SIZE);
	memcpy(VARDATA(stored), key->bytes, KEY_SIZE);
	spi_run(insert_key, ARG_BIGINT(key->key_id),
			ARG(BYTEAOID, PointerGetDatum(stored)),
			ARG_TIME(GetCurrentTimestamp()));
	sodium_memzero(stored, VARHDRSZ + KEY_SIZE);
}

void
signing_key(SigningKey *key)
{
	SigningKey keys[KEYS_MAX];

	if (read_keys(keys) > 0)
		*key = keys[0];
	else
		make_key(key);
	sodium_memzero(keys, sizeof(keys));
}

bool
verifying_key(uint32 key_id, SigningKey *key)
{
	SigningKey keys[KEYS_MAX];
	int count = read_keys(keys);
	bool found = false;

	for (int i = 0; i < count && !found; i++)
	{
		found = keys[i].key_id == key_id;
		if (found)
			*key = keys[i];
	}
	sodium_memzero(keys, sizeof(keys));
	return found;
}
