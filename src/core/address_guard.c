/*
 * address_guard.c
 *	  The canonical address follows the address, also after a bare UPDATE.
 */
#include "postgres.h"

#include "access/htup_details.h"

#include "core/address.h"
#include "core/transition.h"

/*
 * BEFORE row trigger on a table with the columns email and canonical_email.
 */
PG_FUNCTION_INFO_V1(address_guard);
Datum
address_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW);
	SpiRow row = trigger_latest_row(trigger);
	Address address = address_require(row_text_or_null(row, "email"), "email");
	int columns[] = {SPI_fnumber(row.desc, "email"),
					 SPI_fnumber(row.desc, "canonical_email")};
	Datum values[] = {CStringGetTextDatum(address.typed),
					  CStringGetTextDatum(address.canonical)};
	bool nulls[] = {false, false};

	return PointerGetDatum(heap_modify_tuple_by_cols(
		row.tuple, row.desc, lengthof(columns), columns, values, nulls));
}
