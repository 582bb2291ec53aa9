/*
 * preview.c
 *	  How a mail looks, with made-up values and a link that leads nowhere.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "core/address.h"
#include "outbox/outbox.h"
#include "template/keeper.h"

/*
 * An address of the right shape; its token is none.
 */
static char *
sample_link(const char *kind_name, const char *base_url)
{
	const MailKind *kind = mail_kind(kind_name);
	size_t length = strlen(base_url);

	while (length > 0 && base_url[length - 1] == '/')
		length--;
	return psprintf("%.*s%s?token=preview", (int) length, base_url,
					kind != NULL && kind->path != NULL ? kind->path
													   : "/preview");
}

/*
 * The part given in the argument of this number, else the stored one, rendered.
 */
static Datum
show_part(FunctionCallInfo fcinfo, int n, const MailDescription *mail,
		  const char *part, TemplatePart as, const VariableList *variables,
		  bool trusted)
{
	char *source = template_part(fcinfo, n, mail, part, trusted);
	TemplateProblem problem = {0};
	char *text;

	if (source == NULL)
		source = row_text(spi_row(0), part);
	text = template_render(source, variables, as, &problem);
	if (text == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the template can not be rendered: %s",
							   problem.message),
						errhint("Set it anew with "
								"usermgmt.set_email_template().")));
	return SPI_datumTransfer(CStringGetTextDatum(text), false, -1);
}

PG_FUNCTION_INFO_V1(preview_email);
Datum
preview_email(PG_FUNCTION_ARGS)
{
	TemplateKeeper keeper = template_keeper();
	const MailDescription *mail =
		mail_describe_require(argument_text(fcinfo, 0));
	VariableList variables;
	MailFrame frame;
	TupleDesc desc;
	Datum values[4];
	bool nulls[4] = {false};
	char *locale;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "preview_email() is declared with another result");
	SPI_connect();
	template_keeper_frame(&keeper, &frame);
	locale = template_locale(fcinfo, 1, &frame);
	variables = mail_samples(mail, locale, frame.time_zone);
	mail_frame_variables(&frame, &variables);
	variable_set(&variables, "link", sample_link(mail->kind, frame.base_url));
	if (!mail_template_find(&keeper.tenant_id, mail->kind, locale))
		elog(ERROR, "there is no template for \"%s\"", mail->kind);
	values[0] = show_part(fcinfo, 2, mail, "subject", PART_HEADER, &variables,
						  keeper.trusted);
	values[1] = show_part(fcinfo, 3, mail, "text_body", PART_TEXT, &variables,
						  keeper.trusted);
	values[2] = show_part(fcinfo, 4, mail, "html_body", PART_HTML, &variables,
						  keeper.trusted);
	values[3] = SPI_datumTransfer(
		CStringGetTextDatum(psprintf("%s <%s>", frame.from_name, frame.sender)),
		false, -1);
	SPI_finish();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
