/*
 * verify.h: recomputing the chain.
 */
#ifndef USERMGMT_AUDIT_VERIFY_H
#define USERMGMT_AUDIT_VERIFY_H

#include "nodes/execnodes.h"

#include "audit/chain.h"

/* Who hears of a problem; result NULL: it is only counted. */
typedef struct Verification
{
	ReturnSetInfo *result;
	const pg_uuid_t *tenant; /* judge only this one's events, or NULL */
	int64 upto;				 /* the last seal to judge */
	List *bad_erasures;		 /* ids of those that explain nothing */
	uint64 problems;
} Verification;

/* Judges the chain and its events as the calling query sees them. The SPI
 * connection is open. */
extern void verify_chain(Verification *verification);

/* Reports a problem; seal_no 0 and event_id NULL are shown as NULL. */
extern void verify_report(Verification *verification, int64 seal_no,
						  const pg_uuid_t *event_id, const char *problem);

#endif
