#ifndef RELAY_REPORT_H
#define RELAY_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "header.h"

#define REPORT_RECIPIENTS 10
#define REPORT_DETAIL 300
#define MESSAGE_ID_SIZE 36 /* of a UUID */

/* What a report says of one recipient; printable ASCII, empty if not said. */
typedef struct ReportRecipient
{
	char recipient[ADDRESS_SIZE];
	char action[20];
	char status[16];
	char detail[REPORT_DETAIL];
} ReportRecipient;

/* A delivery report (RFC 3464). */
typedef struct Report
{
	char tag[MESSAGE_ID_SIZE + 1];	/* of the address it came to, or empty */
	char name[MESSAGE_ID_SIZE + 1]; /* of the message that it returns */
	int count;						/* 0: it is no report */
	ReportRecipient recipients[REPORT_RECIPIENTS];
} Report;

/* Reads a mail. Anything may be in it; what is no report gives a count of 0. */
void report_read(const char *bytes, size_t length, Report *report);

/* The message id in name+<message id>@domain; false when there is none. */
bool report_tag(const char *address, char *tag);

#endif
