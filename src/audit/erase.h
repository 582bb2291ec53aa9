/*
 * erase.h: taking personal data out of the trail, provably.
 *
 * An erased event has other values and another salt in the columns under its
 * commitment. audit_erasure keeps the commitment before and after; the event
 * person.erased of that act holds the digest over these rows, and is sealed
 * like any other.
 */
#ifndef USERMGMT_AUDIT_ERASE_H
#define USERMGMT_AUDIT_ERASE_H

#include "audit/verify.h"

#define ERASED "erased" /* what stands in place of a value */

/* Whom to erase. */
typedef struct ErasedPerson
{
	pg_uuid_t user_id;
	Datum addresses;	/* text[], in lower case; only this person's */
	List *address_list; /* the same as C strings */
} ErasedPerson;

/* The document without what it says of the person, or as it is when it says
 * nothing; about: the whole event is about the person. */
extern Datum redact_document(Datum document, const ErasedPerson *person,
							 bool about);

/* The elements of a text[], as C strings. */
extern List *strings_of(Datum array);

/* Whether the text holds one of the person's addresses, not as part of a longer
 * one, which is somebody else's. */
extern bool names_person(const char *text, int length,
						 const ErasedPerson *person);

/* Takes the person out of every other table; locks the account first. Raises
 * UM002, and UM036 for somebody who still belongs here. */
extern ErasedPerson person_forget(const pg_uuid_t *user_id);

/* Takes out the reasons and messages about others that hold an address of the
 * person; after everybody who could have written one. */
extern void person_forget_words(const ErasedPerson *person);

/* The digest over the records of one erasure. */
extern void erasure_digest(const pg_uuid_t *erasure_id, SpiView view,
						   unsigned char *digest);

/* Reports the erasures whose record does not fit; their ids, to be passed to
 * erasure_explains(). */
extern List *judge_erasures(Verification *verification);

/* Whether lawful erasures lead from a leaf that begins like the member's to
 * the present one; if so, hash is that leaf. */
extern bool erasure_explains(const List *bad_erasures, const AuditLeaf *leaf,
							 const SealMember *member, unsigned char *hash);

#endif
