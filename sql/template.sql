-- Texts of mails as an admin sets, tries and drops them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
-- An operator who has selected no tenant sees and sets the texts for all.
SELECT origin, count(*), array_agg(DISTINCT locale) AS languages FROM usermgmt.email_templates GROUP BY origin;
SELECT kind, locale, origin, subject, text_body FROM usermgmt.set_email_template('removed', 'de', subject => 'Auf Wiedersehen, {{tenant_name}}');
SELECT subject, sender FROM usermgmt.preview_email('removed', 'de');

-- In a tenant, its own go before those.
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected;
SELECT branding FROM usermgmt.update_tenant(branding => '{"name": "Acme & Sons", "color": "#0f766e", "logo_url": "https://cdn.acme.example/logo.png"}');
SELECT usermgmt.update_tenant(branding => '{"color": "teal"}');
SELECT usermgmt.update_tenant(branding => '{"logo_url": "http://cdn.acme.example/logo.png"}');
SELECT kind, locale, origin, subject FROM usermgmt.set_email_template('removed', subject => 'Goodbye from {{tenant_name}}');
SELECT kind, locale, origin, subject FROM usermgmt.email_templates WHERE kind = 'removed' AND origin <> 'shipped';
SELECT subject, text_body FROM usermgmt.preview_email('removed') \gx
SELECT subject, text_body FROM usermgmt.preview_email('role_changed', 'de_at', text_body => E'Rolle: {{role}}\n{{#permissions}}\nRechte: {{permissions}}\n{{/permissions}}') \gx

-- What does not fit is refused when it is set.
SELECT usermgmt.set_email_template('removed', subject => 'Bye {{first_name}}');
SELECT usermgmt.set_email_template('removed', text_body => E'Bye\n{{#recipient_name}}you');
SELECT usermgmt.set_email_template('removed', subject => E'Bye\nBcc: all@acme.example');
SELECT usermgmt.set_email_template('invitation', text_body => 'Come!');
SELECT usermgmt.set_email_template('invitation', html_body => '<p><a href="https://elsewhere.example/?to={{link}}">Come!</a></p>');
SELECT usermgmt.set_email_template('invitation', html_body => '<p>{{link}}</p><img src="https://elsewhere.example/pixel.gif">');
SELECT usermgmt.set_email_template('invitation', 'fr', subject => 'Bienvenue');
SELECT usermgmt.set_email_template('invitation', 'french', subject => 'Bienvenue');
SELECT usermgmt.set_email_template('removed');
SELECT usermgmt.set_email_template('newsletter', subject => 'News');

-- And back to what was before.
SELECT usermgmt.reset_email_template('removed');
SELECT usermgmt.reset_email_template('removed');
SELECT action, object_id, new ->> 'subject' AS subject FROM usermgmt.audit_event WHERE object_type = 'email_template' ORDER BY event_id;
ROLLBACK;
