/*
 * key.h: the keys that sign link tokens.
 */
#ifndef USERMGMT_KEY_H
#define USERMGMT_KEY_H

#define KEY_SIZE 32

typedef struct SigningKey
{
	uint32 key_id; /* the first bytes of the key's hash */
	unsigned char bytes[KEY_SIZE];
} SigningKey;

/* The key that signs: the key file's first, or the newest of the table
 * signing_key, made when there is none. The caller wipes it. */
extern void signing_key(SigningKey *key);

/* The key of this id; false when there is none. The caller wipes it. */
extern bool verifying_key(uint32 key_id, SigningKey *key);

#endif
