/*
 * suppression.c
 *	  Addresses that get no more mail, until an operator thinks otherwise.
 */
#include "postgres.h"

#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/spi_query.h"

SPI_QUERY(lift, "DELETE FROM usermgmt.address_suppression WHERE address = $1",
		  TEXTOID);

PG_FUNCTION_INFO_V1(unsuppress_address);
Datum
unsuppress_address(PG_FUNCTION_ARGS)
{
	Address address = address_require(argument_text(fcinfo, 0), "address");

	SPI_connect();
	begin_writing(fcinfo);
	if (spi_run(lift, ARG_TEXT(address.canonical)) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("the address is not suppressed"),
						errhint("usermgmt.suppressed_addresses lists those "
								"that are.")));
	SPI_finish();
	PG_RETURN_VOID();
}
