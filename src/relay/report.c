/*
 * report.c
 *		What a delivery report says (RFC 3464), as far as we need it.
 *
 * A report is three parts behind one boundary: words for people, fields in
 * plain ASCII, and the mail or its headers.  The second and third are lists of
 * header lines, so no tree of parts is built and nothing is decoded; a report
 * whose parts are encoded is still known by the address that it came to.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "report.h"

#define FIELD_SIZE 2000
#define BOUNDARY_SIZE 80

typedef enum Place
{
	PLACE_HEADER,  /* of the report itself */
	PLACE_BETWEEN, /* in something that we do not read */
	PLACE_PART,	   /* in the header of a part */
	PLACE_STATUS,  /* in the fields about delivery */
	PLACE_RETURNED /* in the header of the mail that came back */
} Place;

typedef struct Reader
{
	const char *next;
	const char *end;
	char field[FIELD_SIZE]; /* one line, or one unfolded header */
	Place place;
	Place part; /* what the part will be, once its header ends */
	char boundary[BOUNDARY_SIZE];
	bool group; /* the recipient at hand has begun */
	Report *report;
} Reader;

/* Adds the next line to the field, as printable ASCII. */
static void
read_line(Reader *reader, size_t used)
{
	const char *newline =
		memchr(reader->next, '\n', (size_t) (reader->end - reader->next));
	const char *stop = newline ? newline : reader->end;

	for (const char *c = reader->next; c < stop; c++)
		if (used < FIELD_SIZE - 1 && !(*c == '\r' && c + 1 == stop))
			reader->field[used++] =
				(*c >= ' ' && *c <= '~') || *c == '\t' ? *c : '?';
	reader->field[used] = '\0';
	reader->next = newline ? newline + 1 : reader->end;
}

/* Reads a line, with those that continue it where headers stand. */
static bool
read_field(Reader *reader)
{
	if (reader->next >= reader->end)
		return false;
	read_line(reader, 0);
	while (reader->place != PLACE_BETWEEN && *reader->field &&
		   reader->next < reader->end &&
		   (*reader->next == ' ' || *reader->next == '\t'))
		read_line(reader, strlen(reader->field));
	return true;
}

/* What stands behind the name of this header; NULL when it is another. */
static const char *
value_of(const char *field, const char *name)
{
	size_t length = strlen(name);

	if (strncasecmp(field, name, length) != 0 || field[length] != ':')
		return NULL;
	field += length + 1;
	return field + strspn(field, " \t");
}

/* Copies a value without the blanks at its end. */
static void
copy(char *out, size_t size, const char *value)
{
	size_t length = strlen(value);

	while (length > 0 && isspace((unsigned char) value[length - 1]))
		length--;
	if (length >= size)
		length = size - 1;
	memcpy(out, value, length);
	out[length] = '\0';
}

/* The text begins with a UUID as the database writes it; copies that. */
static bool
copy_uuid(const char *text, char *uuid)
{
	for (int i = 0; i < MESSAGE_ID_SIZE; i++)
	{
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	memcpy(uuid, text, MESSAGE_ID_SIZE);
	uuid[MESSAGE_ID_SIZE] = '\0';
	return true;
}

bool
report_tag(const char *address, char *tag)
{
	char found[MESSAGE_ID_SIZE + 1];

	for (const char *c = strchr(address, '+'); c; c = strchr(c + 1, '+'))
		if (copy_uuid(c + 1, found) && c[1 + MESSAGE_ID_SIZE] == '@')
		{
			memcpy(tag, found, sizeof(found));
			return true;
		}
	return false;
}

static void
take_boundary(Reader *reader, const char *type)
{
	const char *found = strcasestr(type, "boundary=");
	size_t length;

	if (!found || strncasecmp(type, "multipart/report", 16) != 0)
		return;
	found += strlen("boundary=");
	length = *found == '"' ? strcspn(++found, "\"") : strcspn(found, "; \t");
	if (length == 0 || length >= BOUNDARY_SIZE)
		return;
	memcpy(reader->boundary, found, length);
	reader->boundary[length] = '\0';
}

/* The report's own header: its boundary, and the address it was sent to. */
static void
take_header(Reader *reader)
{
	static const char *const names[] = {"X-Original-To", "Delivered-To", "To"};
	const char *value = value_of(reader->field, "Content-Type");

	if (value)
		take_boundary(reader, value);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((value = value_of(reader->field, names[i])) &&
			!*reader->report->tag)
			report_tag(value, reader->report->tag);
}

/* The header of a part says what the part is. */
static void
take_part(Reader *reader)
{
	static const struct
	{
		const char *type;
		Place place;
	} parts[] = {
		{"message/delivery-status", PLACE_STATUS},
		{"message/global-delivery-status", PLACE_STATUS},
		{"message/rfc822", PLACE_RETURNED},
		{"text/rfc822-headers", PLACE_RETURNED},
		{"message/global", PLACE_RETURNED}, /* and message/global-headers */
	};
	const char *value = value_of(reader->field, "Content-Type");

	for (size_t i = 0; value && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strncasecmp(value, parts[i].type, strlen(parts[i].type)) == 0)
		{
			reader->part = parts[i].place;
			return;
		}
}

/* The address behind "rfc822;". */
static void
take_recipient(ReportRecipient *recipient, const char *value)
{
	const char *address = strchr(value, ';');

	address = address ? address + 1 : value;
	copy(recipient->recipient, sizeof(recipient->recipient),
		 address + strspn(address, " \t<"));
	recipient->recipient[strcspn(recipient->recipient, ">")] = '\0';
}

/* One field about delivery; a blank line ends those of a recipient. */
static void
take_status(Reader *reader)
{
	Report *report = reader->report;
	ReportRecipient *now;
	const char *value;

	if (!*reader->field)
	{
		reader->group = false;
		return;
	}
	if (!reader->group && (value_of(reader->field, "Final-Recipient") ||
						   value_of(reader->field, "Original-Recipient") ||
						   value_of(reader->field, "Action") ||
						   value_of(reader->field, "Status")))
	{
		if (report->count == REPORT_RECIPIENTS)
			return;
		report->recipients[report->count++] = (ReportRecipient){0};
		reader->group = true;
	}
	if (!reader->group)
		return;
	now = &report->recipients[report->count - 1];
	if ((value = value_of(reader->field, "Final-Recipient")))
		take_recipient(now, value);
	else if ((value = value_of(reader->field, "Original-Recipient")) &&
			 !*now->recipient)
		take_recipient(now, value);
	else if ((value = value_of(reader->field, "Action")))
		copy(now->action, sizeof(now->action), value);
	else if ((value = value_of(reader->field, "Status")))
	{
		copy(now->status, sizeof(now->status), value);
		now->status[strcspn(now->status, " \t(")] = '\0'; /* a comment */
	}
	else if ((value = value_of(reader->field, "Diagnostic-Code")))
		copy(now->detail, sizeof(now->detail), value);
}

/* The returned mail's own name is its message id. */
static void
take_returned(Reader *reader)
{
	const char *value = value_of(reader->field, "Message-ID");

	if (value && *value == '<' && !*reader->report->name)
		copy_uuid(value + 1, reader->report->name);
	if (!*reader->field)
		reader->place = PLACE_BETWEEN;
}

/* The line is the boundary, which ends whatever part we are in. */
static bool
is_boundary(const Reader *reader)
{
	return *reader->boundary && strncmp(reader->field, "--", 2) == 0 &&
		   strncmp(reader->field + 2, reader->boundary,
				   strlen(reader->boundary)) == 0;
}

void
report_read(const char *bytes, size_t length, Report *report)
{
	Reader reader = {.next = bytes, .end = bytes + length, .report = report};

	*report = (Report){0};
	while (read_field(&reader))
	{
		bool blank = !*reader.field;

		if (reader.place != PLACE_HEADER && is_boundary(&reader))
		{
			reader.place = PLACE_PART;
			reader.part = PLACE_BETWEEN;
			reader.group = false;
			continue;
		}
		switch (reader.place)
		{
			case PLACE_HEADER:
				take_header(&reader);
				if (blank && !*reader.boundary)
					return; /* not a report */
				if (blank)
					reader.place = PLACE_BETWEEN;
				break;
			case PLACE_PART:
				take_part(&reader);
				if (blank)
					reader.place = reader.part;
				break;
			case PLACE_STATUS:
				take_status(&reader);
				break;
			case PLACE_RETURNED:
				take_returned(&reader);
				break;
			case PLACE_BETWEEN:
				break;
		}
	}
}
