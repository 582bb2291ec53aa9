-- Shipped -> overridden for all by an operator -> by a tenant, part by part; reset brings back what was before.
CREATE TABLE usermgmt.email_template (
	tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
	kind text NOT NULL,
	locale text NOT NULL,
	built_in boolean NOT NULL DEFAULT false,
	subject text,
	text_body text,
	html_body text,
	PRIMARY KEY (tenant_id, kind, locale, built_in),
	CONSTRAINT a_template_has_a_part CHECK (num_nonnulls(subject, text_body, html_body) >= CASE WHEN built_in THEN 3 ELSE 1 END),
	CONSTRAINT shipped_is_for_all CHECK (NOT built_in OR tenant_id = '00000000-0000-0000-0000-000000000000')
);
COMMENT ON TABLE usermgmt.email_template IS 'Texts of mails, per kind and language: shipped (built_in), an operator''s for all (tenant_id all zero), or a tenant''s own; a part that is NULL is the next one''s.';
COMMENT ON COLUMN usermgmt.email_template.tenant_id IS 'The tenant whose own it is; all zero when it is for all.';
COMMENT ON COLUMN usermgmt.email_template.kind IS 'The kind of mail.';
COMMENT ON COLUMN usermgmt.email_template.locale IS 'The language.';
COMMENT ON COLUMN usermgmt.email_template.built_in IS 'Whether it was shipped.';
COMMENT ON COLUMN usermgmt.email_template.subject IS 'The subject; NULL: the next one''s.';
COMMENT ON COLUMN usermgmt.email_template.text_body IS 'The plain text; NULL: the next one''s.';
COMMENT ON COLUMN usermgmt.email_template.html_body IS 'The HTML; NULL: the next one''s.';

CREATE VIEW usermgmt.email_templates WITH (security_barrier) AS
	SELECT nullif(e.tenant_id, '00000000-0000-0000-0000-000000000000') AS tenant_id, e.kind, e.locale,
		CASE WHEN e.built_in THEN 'shipped' WHEN e.tenant_id = '00000000-0000-0000-0000-000000000000' THEN 'default' ELSE 'tenant' END AS origin,
		e.subject, e.text_body, e.html_body
	FROM usermgmt.email_template AS e
	WHERE e.tenant_id = usermgmt.tenant_as('admin')
		OR (e.tenant_id = '00000000-0000-0000-0000-000000000000'
			AND (usermgmt.tenant_as('admin') IS NOT NULL
				OR (usermgmt.current_tenant_id() IS NULL AND usermgmt.acts_without_session()
					AND has_table_privilege('usermgmt.email_template', 'select'))))
	ORDER BY e.kind, e.locale, e.built_in, e.tenant_id DESC;
COMMENT ON VIEW usermgmt.email_templates IS 'The texts of mails that the present tenant can have, for its admins; for an operator without a tenant, those for all.';
COMMENT ON COLUMN usermgmt.email_templates.tenant_id IS 'The tenant whose own it is; NULL when it is for all.';
COMMENT ON COLUMN usermgmt.email_templates.kind IS 'The kind of mail.';
COMMENT ON COLUMN usermgmt.email_templates.locale IS 'The language.';
COMMENT ON COLUMN usermgmt.email_templates.origin IS 'tenant (own), default (an operator''s, for all) or shipped; for each part the first of these that has it is used.';
COMMENT ON COLUMN usermgmt.email_templates.subject IS 'The subject; NULL: the next one''s.';
COMMENT ON COLUMN usermgmt.email_templates.text_body IS 'The plain text; NULL: the next one''s.';
COMMENT ON COLUMN usermgmt.email_templates.html_body IS 'The HTML; NULL: the next one''s.';

CREATE TYPE usermgmt.email_preview AS (
	subject text,
	text_body text,
	html_body text,
	sender text
);
COMMENT ON TYPE usermgmt.email_preview IS 'A mail as it would look, with values made up and a link that leads nowhere.';
COMMENT ON COLUMN usermgmt.email_preview.subject IS 'The subject line.';
COMMENT ON COLUMN usermgmt.email_preview.text_body IS 'The plain text.';
COMMENT ON COLUMN usermgmt.email_preview.html_body IS 'The HTML.';
COMMENT ON COLUMN usermgmt.email_preview.sender IS 'The sender''s name and address.';

CREATE FUNCTION usermgmt.set_email_template(kind text, locale text DEFAULT NULL, subject text DEFAULT NULL, text_body text DEFAULT NULL, html_body text DEFAULT NULL)
	RETURNS usermgmt.email_templates
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.set_email_template(text, text, text, text, text) IS 'An admin sets the tenant''s own texts of a kind of mail in a language, an operator without a tenant those for all; a part that is NULL stays as it is; 22023 says what does not fit and where; 54000.';

CREATE FUNCTION usermgmt.reset_email_template(kind text, locale text DEFAULT NULL) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.reset_email_template(text, text) IS 'Drops the tenant''s own texts of a kind of mail in a language, or an operator''s for all; 22023, UM002.';

CREATE FUNCTION usermgmt.preview_email(kind text, locale text DEFAULT NULL, subject text DEFAULT NULL, text_body text DEFAULT NULL, html_body text DEFAULT NULL)
	RETURNS usermgmt.email_preview
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.preview_email(text, text, text, text, text) IS 'How a kind of mail looks in the tenant, with made-up values and no usable link, for its admins; parts that are given stand in for the stored ones; writes nothing; 22023.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'function', 'set_email_template'),
	('application', 'function', 'reset_email_template'),
	('application', 'function', 'preview_email'),
	('application', 'relation', 'email_templates'),
	('operator', 'relation', 'email_template');

