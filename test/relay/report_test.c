/*
 * report_test.c
 *		Reads delivery reports given on standard input, for bounce_cases.py.
 *
 * A report is its length in four bytes, least first, and its text. The answer
 * is one line: how many recipients, the tag, the name, and the first one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "report.h"

int
main(void)
{
	unsigned char size[4];

	while (fread(size, 1, sizeof(size), stdin) == sizeof(size))
	{
		size_t length = size[0] | (size_t) size[1] << 8 |
						(size_t) size[2] << 16 | (size_t) size[3] << 24;
		char *text = malloc(length); /* exact, so that an overrun is seen */
		Report report;
		const ReportRecipient *first = &report.recipients[0];

		if (!text || fread(text, 1, length, stdin) != length)
			return 1;
		report_read(text, length, &report);
		free(text);
		printf("%d %s %s %s|%s|%s|%s\n", report.count, report.tag, report.name,
			   first->recipient, first->action, first->status, first->detail);
	}
	return 0;
}
