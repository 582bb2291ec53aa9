/*
 * owner.c
 *	  Who owns a row is an active member of its tenant.
 *
 * A row that gets an owner locks the owner's membership FOR KEY SHARE, as a
 * foreign key would: that waits for nothing but the membership's removal, which
 * in turn waits for the row (hand_over.c).
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/lsyscache.h"

#include "attach/attach.h"
#include "core/errors.h"
#include "core/transition.h"
#include "core/uuid.h"

SPI_QUERY(share_active,
		  "SELECT FROM usermgmt.membership WHERE tenant_id = $1"
		  " AND user_id = $2 AND status = 'active' FOR KEY SHARE",
		  UUIDOID, UUIDOID);
SPI_QUERY(find_subject,
		  "SELECT user_id FROM usermgmt.account_identity"
		  " WHERE provider = $1 AND subject = $2",
		  TEXTOID, TEXTOID);
/* What the trigger knows within one query. */
typedef struct OwnerCheck
{
	Attached attached;
	bool is_text;
	bool checked; /* this owner in this tenant */
	pg_uuid_t tenant_id;
	pg_uuid_t user_id;
} OwnerCheck;

bool
owner_is_text(Relation relation, AttrNumber column)
{
	TupleDesc desc = RelationGetDescr(relation);

	return getBaseType(TupleDescAttr(desc, column - 1)->atttypid) != UUIDOID;
}

/*
 * The person whom the owner column names; false for nobody we know.
 */
static bool
owner_of_row(const OwnerCheck *check, Datum value, pg_uuid_t *user_id)
{
	char *name;

	if (!check->is_text)
	{
		*user_id = *DatumGetUUIDP(value);
		return true;
	}
	name = TextDatumGetCString(value);
	if (check->attached.provider == NULL)
		return uuid_parse(name, user_id) &&
			   strcmp(uuid_text(user_id), name) == 0;
	if (spi_latest(find_subject, ARG_TEXT(check->attached.provider),
				   ARG_TEXT(name)) == 0)
		return false;
	*user_id = row_uuid(spi_row(0), "user_id");
	return true;
}

static void
refuse_owner(Relation relation, const Attached *attached)
{
	ereport(ERROR,
			(errcode(ERRCODE_UM_NOT_ACTIVE),
			 errmsg("the owner of the row is not an active member of its "
					"tenant"),
			 errdetail("Column \"%s\" of table \"%s\" says who owns it.",
					   get_attname(RelationGetRelid(relation), attached->owner,
								   false),
					   RelationGetRelationName(relation)),
			 errhint("Name an active member, or nobody (NULL).")));
}

static OwnerCheck *
owner_check(TriggerData *trigger, FmgrInfo *function)
{
	OwnerCheck *check = function->fn_extra;
	MemoryContext each;

	if (check != NULL)
		return check;
	each = MemoryContextSwitchTo(function->fn_mcxt);
	check = palloc0(sizeof(OwnerCheck));
	if (!attached_read(trigger->tg_relation, &check->attached) ||
		check->attached.owner == 0 || check->attached.tenant == 0)
		refuse_incomplete(trigger->tg_relation);
	check->is_text = owner_is_text(trigger->tg_relation, check->attached.owner);
	MemoryContextSwitchTo(each);
	function->fn_extra = check;
	return check;
}

/*
 * AFTER trigger, per row whose owner is new; both columns are there.
 */
PG_FUNCTION_INFO_V1(attached_owner);
Datum
attached_owner(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	OwnerCheck *check = owner_check(trigger, fcinfo->flinfo);
	SpiRow row = trigger_latest_row(trigger);
	bool no_owner;
	bool no_tenant;
	Datum owner =
		heap_getattr(row.tuple, check->attached.owner, row.desc, &no_owner);
	Datum tenant =
		heap_getattr(row.tuple, check->attached.tenant, row.desc, &no_tenant);
	pg_uuid_t user_id;

	if (no_owner || no_tenant)
		return PointerGetDatum(NULL);
	SPI_connect();
	if (!owner_of_row(check, owner, &user_id))
		refuse_owner(trigger->tg_relation, &check->attached);
	if (!check->checked || !uuid_equal(&user_id, &check->user_id) ||
		!uuid_equal(DatumGetUUIDP(tenant), &check->tenant_id))
	{
		check->tenant_id = *DatumGetUUIDP(tenant);
		check->user_id = user_id;
		if (spi_run(share_active, ARG_UUID(check->tenant_id),
					ARG_UUID(user_id)) == 0)
			refuse_owner(trigger->tg_relation, &check->attached);
		check->checked = true;
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}
