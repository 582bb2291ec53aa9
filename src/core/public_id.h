/*
 * public_id.h: identifiers as callers of the application see them.
 *
 * A kind, an underscore and the UUID in 26 characters of Crockford's base32
 * (the form that is known as TypeID): user_…, inv_…, ws_…. They sort like the
 * UUID, and a double click selects them whole.
 */
#ifndef USERMGMT_PUBLIC_ID_H
#define USERMGMT_PUBLIC_ID_H

#include "utils/uuid.h"

/* Whether text is such an identifier, of this kind ("user", "inv", "ws") or,
 * with NULL, of any; if so, its UUID is stored in *u. Raises nothing. */
extern bool public_id_parse(const char *text, const char *kind, pg_uuid_t *u);

#endif
