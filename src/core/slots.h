/*
 * slots.h: heavyweight locks that SQL can not take.
 *
 * They use the lock tag class PostgreSQL reserves for old user locks; advisory
 * functions build another class, so no SQL can hold or block them. They show
 * in pg_locks as locktype "userlock".
 */
#ifndef USERMGMT_SLOTS_H
#define USERMGMT_SLOTS_H

#include "storage/lock.h"

typedef enum SlotClass
{
	SLOT_HASH = 1,	  /* one per password hash that may run */
	SLOT_RELAY_IDLE,  /* shared by relays that sleep */
	SLOT_RELAY_ALIVE, /* one per relay connection */
	SLOT_LOGIN,		  /* one per address that is being guessed at */
	SLOT_SEAL,		  /* whoever seals the trail */
	SLOT_ERASE,		  /* whoever erases a person */
	SLOT_HASH_QUEUE,  /* one per backend that waits for a hash slot */
	SLOT_HASH_NEXT	  /* whoever of these looks for one most often */
} SlotClass;

/* The lock of this class and number in the present database; hash slots are
 * those of the whole server. Transaction
 * locks end with the transaction; session locks (lasting) survive an abort
 * and end with the connection. */
extern LOCKTAG slot_tag(SlotClass class, uint64 number, bool lasting);

/* Takes one of the hash slots, waiting interruptibly up to hash_wait; raises
 * UM022 when none came free. The slot is freed by hash_slot_release() or by
 * the end of the transaction. The SQL function hash_queue() counts who has one
 * and who waits for one. */
extern LOCKTAG hash_slot_take(void);
extern void hash_slot_release(const LOCKTAG *slot);

/* As hash_slot_take(), but false instead of UM022. */
extern bool hash_slot_try(LOCKTAG *slot);

/* Takes the lock of this number until the end of the transaction, waiting
 * interruptibly up to hash_wait; false when it did not come free. */
extern bool login_slot_try(uint64 number);
extern void login_slot_release(uint64 number);

#endif
