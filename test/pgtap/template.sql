-- Texts of mails: shipped ones, languages, branding, overrides and previews.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob \gset
CREATE TEMPORARY VIEW shipped AS SELECT kind, locale, subject, text_body, html_body FROM usermgmt.email_templates WHERE origin = 'shipped';
CREATE FUNCTION pg_temp.set_part(kind text, locale text, part text, source text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.set_email_template(%L, %L, %I => %L)', kind, locale, part, source))
$$;
-- The mail to this address, rendered; claims what is due.
CREATE FUNCTION pg_temp.mail_to(address text) RETURNS mail LANGUAGE plpgsql AS $$
DECLARE
	found mail;
BEGIN
	INSERT INTO mail SELECT * FROM usermgmt.outbox_claim('test', 1000);
	SELECT * INTO found FROM mail WHERE recipient = address ORDER BY message_id DESC LIMIT 1;
	RETURN found;
END $$;

-- What is shipped (S1.3, S2.26, S3.13).
SELECT set_eq('SELECT kind, locale FROM shipped',
	$$SELECT k, l FROM unnest(ARRAY['invitation', 'invitation_reminder', 'welcome', 'password_reset', 'password_changed', 'email_change', 'email_change_requested', 'email_changed',
		'role_changed', 'deactivated', 'reactivated', 'removed']) AS k, unnest(ARRAY['en', 'de']) AS l$$,
	'S2.26 every kind of mail has a text in English and in German');
SELECT is_empty($$SELECT s.kind, s.locale, p.part FROM shipped AS s, unnest(ARRAY['subject', 'text_body', 'html_body']) AS p (part)
		WHERE pg_temp.set_part(s.kind, s.locale, p.part, CASE p.part WHEN 'subject' THEN s.subject WHEN 'text_body' THEN s.text_body ELSE s.html_body END) <> 'ok'$$,
	'what is shipped passes the checks of what people write');
CREATE TEMPORARY TABLE shown AS SELECT s.kind, s.locale, p.* FROM shipped AS s, usermgmt.preview_email(s.kind, s.locale) AS p;
SELECT is_empty($$SELECT kind, locale FROM shown WHERE subject || text_body || html_body ~ '[{][{]|[}][}]|@[a-z]+@'$$, 'no tag is left in a rendered mail');
SELECT is_empty($$SELECT kind, locale FROM shown WHERE html_body NOT LIKE format('<!DOCTYPE html>%%<html lang="%s" dir="ltr">%%</html>%%', locale)$$, 'HTML says its language and direction');
SELECT is_empty($$SELECT kind, locale FROM shown WHERE html_body ~* '<(script|img|iframe|form|object|link)|url\s*\(|@import|http-equiv|<[^>]* on[a-z]+='$$,
	'HTML loads nothing and runs nothing: no image without a logo, no tracking');
SELECT is_empty($$SELECT kind, locale FROM shown WHERE (kind IN ('invitation', 'invitation_reminder', 'welcome', 'password_reset', 'email_change'))
		<> (text_body ~ '\nhttp://localhost:3000/[a-z-]+[?]token=preview\n' AND html_body ~ ' href="http://localhost:3000/[a-z-]+[?]token=preview"' AND html_body ~ '>http://localhost:3000/[a-z-]+[?]token=preview</a>')$$,
	'S2.2 the kinds with a link show it in full, in text and in HTML');
SELECT is_empty($$SELECT kind, locale FROM shown WHERE (kind IN ('invitation', 'invitation_reminder', 'welcome', 'password_reset', 'email_change'))
		<> (regexp_replace(text_body, '\s+', ' ', 'g') ~ 'did not expect this mail, you can ignore|nicht erwartet haben, können Sie sie ignorieren|or did not expect this mail')$$,
	'and say what to do if they were not expected');
SELECT is_empty($$SELECT kind, locale FROM shown WHERE text_body NOT LIKE '%Acme%eva@example.org%'$$, 'every mail names the tenant and its recipient');
SELECT is_empty($$SELECT k, v, locale FROM shown JOIN (VALUES ('invitation', 'Olivia'), ('invitation', 'UTC'), ('invitation_reminder', 'Olivia'), ('invitation_reminder', 'UTC'), ('password_reset', 'UTC'), ('password_reset', 'Olivia'), ('welcome', 'UTC'),
		('password_changed', 'UTC'), ('email_change', 'eva@example.org'), ('email_changed', 'eva@example.org'), ('email_change', 'UTC')) AS w (k, v) ON k = kind WHERE position(v IN text_body) = 0 OR position(v IN html_body) = 0$$,
	'S3.13 mails tell who, and until when, with the time zone');
SELECT is_empty($$SELECT kind, locale FROM shown WHERE octet_length(html_body) > 20000$$, 'a mail is small enough to be shown whole');

-- Languages.
SELECT pg_temp.try($$SELECT usermgmt.set_tenant_setting('locale', 'de-AT'), usermgmt.set_tenant_setting('time_zone', 'Asia/Kolkata')$$) AS x \gset
SELECT results_eq($$SELECT l, pg_temp.state_of(format('SELECT usermgmt.set_tenant_setting(''locale'', %L)', l)) = 'ok', usermgmt.tenant_setting('locale') FROM unnest(ARRAY['DE_at', 'zh-hant-tw', 'fr']) AS l$$,
	$$VALUES ('DE_at', true, 'de-AT'), ('zh-hant-tw', true, 'zh-Hant-TW'), ('fr', true, 'fr')$$, 'a language is a tag, kept in its usual form');
SELECT is_empty($$SELECT l FROM unnest(ARRAY['', 'e', '../..', 'de/../en', 'de-', '-de', 'de--AT', 'd3', 'de AT', E'de\n', 'de''', 'a-b-c-d-e-f-g', repeat('a', 100), '%']) AS l
		WHERE pg_temp.try(format('SELECT usermgmt.set_tenant_setting(''locale'', %L)', l)) <> '22023' OR (l <> '' AND pg_temp.set_part('removed', l, 'subject', 'x') <> '22023')$$, 'what is no language is refused');
SELECT is_empty($$SELECT z FROM unnest(ARRAY['', 'Nowhere/City', '../../etc/passwd', 'right/UTC', repeat('x', 200)]) AS z
		WHERE pg_temp.try(format('SELECT usermgmt.set_tenant_setting(''time_zone'', %L)', z)) <> '22023'$$, 'what is no time zone is refused');
SELECT usermgmt.set_tenant_setting('locale', 'de-AT') AS x, usermgmt.set_tenant_setting('time_zone', 'Asia/Kolkata') AS y \gset
SELECT expires_at, invitation_id AS carol FROM usermgmt.invite_user('carol@acme.test', 'admin', name => 'Carol') \gset
SELECT * FROM pg_temp.mail_to('carol@acme.test') \gset
SELECT is(:'subject'::text, 'Acme lädt Sie zu Acme ein', 'de-AT falls back to German');
SELECT ok(position('Administrator' IN :'text_body') > 0, 'roles are named in the language of the mail');
SET LOCAL lc_time = 'C';
SELECT is(substring(:'text_body' FROM 'Gültig bis: ([^\n]*)'), to_char(:'expires_at'::timestamptz AT TIME ZONE 'Asia/Kolkata', 'FMDD. ')
		|| (ARRAY['Januar', 'Februar', 'März', 'April', 'Mai', 'Juni', 'Juli', 'August', 'September', 'Oktober', 'November', 'Dezember'])[extract(month FROM :'expires_at'::timestamptz AT TIME ZONE 'Asia/Kolkata')::int]
		|| to_char(:'expires_at'::timestamptz AT TIME ZONE 'Asia/Kolkata', ' YYYY, HH24:MI "Uhr (UTC+5:30)"'),
	'moments are written in the language and the time zone of the tenant, whatever the server''s');
SELECT usermgmt.set_tenant_setting('locale', 'fr') AS x, usermgmt.set_tenant_setting('time_zone', 'America/St_Johns') AS y \gset
SELECT subject AS x FROM usermgmt.preview_email('removed') \gset
SELECT is(:'x'::text, 'You were removed from Acme', 'what has no text in the language is in English');
SELECT is((SELECT pg_temp.set_part('removed', 'fr', 'subject', 'Au revoir')), '22023', 'no mail is in two languages: a new language needs all parts');
SELECT origin AS x FROM usermgmt.set_email_template('invitation', 'fr', 'Bienvenue', E'{{expires_at}}\r\n{{link}}', '<p>{{link}}</p>') \gset
SELECT invitation_id AS dora FROM usermgmt.invite_user('dora@acme.test') \gset
SELECT ok((SELECT subject = 'Bienvenue' AND text_body ~ '^2\d\d\d-\d\d?-\d\d? \d\d:\d\d UTC-[23]:30\nhttp' FROM pg_temp.mail_to('dora@acme.test')), 'with all parts it is used, moments as numbers');
SELECT usermgmt.reset_tenant_setting('locale') AS x, usermgmt.reset_tenant_setting('time_zone') AS y, usermgmt.reset_email_template('invitation', 'fr') AS z \gset

-- Branding (S4.16).
SELECT is_empty($$SELECT b FROM unnest(ARRAY['{"color": "red"}', '{"color": "#12345"}', '{"color": "#1234567"}', '{"color": "#12345g"}', '{"color": 5}', '{"color": "#ffffff;x:url(y)"}',
		'{"logo_url": "http://a.test/x.png"}', '{"logo_url": "javascript:alert(1)"}', '{"logo_url": "https://a.test/\" onerror=\"x"}', '{"logo_url": "https://a.test/''x"}', '{"logo_url": "https://a.test/ x"}', '{"logo_url": "https://a.test/\nx"}',
		'{"logo_url": "https://a.test/<x>"}', '{"logo_url": "https://ä.test/"}', '{"logo_url": ["https://a.test"]}', '{"name": ""}', '{"name": "a\nb"}', '{"name": {}}', format('{"logo_url": "https://%s"}', repeat('x', 600)), format('{"name": "%s"}', repeat('x', 201))]) AS b
		WHERE pg_temp.try(format('SELECT usermgmt.update_tenant(branding => %L)', b)) <> '22023' OR pg_temp.try(format('UPDATE usermgmt.tenant SET branding = %L', b)) <> '22023'$$,
	'S4.16 a branding that does not fit is refused, on every path');
SELECT slug AS x FROM usermgmt.update_tenant(branding => '{"name": "Acme <Ltd> & \"Sons\"", "color": "#FFE082", "logo_url": "https://cdn.acme.test/logo.png?a=1&b=2", "theme": {"any": "thing"}}') \gset
SELECT * FROM usermgmt.preview_email('invitation', 'en') \gset
SELECT ok(position('src="https://cdn.acme.test/logo.png?a=1&amp;b=2"' IN :'html_body') > 0 AND position('alt="Acme &lt;Ltd&gt; &amp; &quot;Sons&quot;"' IN :'html_body') > 0, 'S4.16 logo and name are in the mail, escaped');
SELECT ok(position('background-color:#FFE082' IN :'html_body') > 0 AND position('color:#111111' IN :'html_body') > 0, 'S4.16 so is the color, with dark text on a light one');
SELECT slug AS x FROM usermgmt.update_tenant(branding => '{"color": "#003366"}') \gset
SELECT ok((SELECT position('color:#ffffff;text-decoration' IN html_body) > 0 AND position('<img' IN html_body) = 0 FROM usermgmt.preview_email('invitation')), 'S4.16 and light text on a dark one');
SELECT is((SELECT sender FROM usermgmt.preview_email('invitation')), 'Acme <no-reply@localhost>', 'a preview shows the sender');

-- Who may (S4.8).
SELECT is(pg_temp.act('admin@acme.test', $$SELECT origin FROM usermgmt.set_email_template('removed', 'en', subject => 'Gone from {{tenant_name}}')$$), 'tenant', 'an admin sets a text of the own tenant');
SELECT results_eq($$SELECT p.subject, p.text_body LIKE 'Hello Eva Example,%' FROM usermgmt.preview_email('removed') AS p$$, $$VALUES ('Gone from Acme', true)$$, 'and the other parts stay the shipped ones');
SELECT is(pg_temp.try(format('SELECT pg_temp.act(''bob@acme.test'', %L)', s)), '42501', 'a member is refused: ' || s)
	FROM unnest(ARRAY[$$SELECT usermgmt.set_email_template('removed', subject => 'x')$$, $$SELECT usermgmt.reset_email_template('removed')$$, $$SELECT usermgmt.preview_email('removed')$$]) AS s;
SELECT is(pg_temp.act('bob@acme.test', 'SELECT count(*) FROM usermgmt.email_templates'), '0', 'and sees no template');
SELECT pg_temp.tenant('other') AS other_id \gset
SELECT is((SELECT subject FROM usermgmt.preview_email('removed')), 'You were removed from Other', 'S4.8 another tenant keeps its own text');
SELECT is_empty($$SELECT tenant_id FROM usermgmt.email_templates WHERE origin = 'tenant'$$, 'S4.8 and does not see this one');
SELECT is(pg_temp.state_of($$SELECT usermgmt.reset_email_template('removed', 'en')$$), 'UM002', 'S4.8 nor can it drop it');
CREATE ROLE tap_template_operator;
CREATE ROLE tap_template_app;
SELECT usermgmt.grant_access('tap_template_operator', 'operator'), usermgmt.grant_access('tap_template_app', 'application') \gset
SELECT is(pg_temp.run_as('tap_template_app', format('SELECT usermgmt.%s', f)), 'error UM001', 'without a session the application is refused: ' || f) FROM unnest(ARRAY['set_email_template(''removed'', subject => ''x'')', 'preview_email(''removed'')']) AS f;

-- An operator's for all: no tenant is selected in another connection, so the row is written by hand here.
INSERT INTO usermgmt.email_template (kind, locale, subject) VALUES ('removed', 'en', 'For all of {{tenant_name}}');
SELECT is((SELECT subject FROM usermgmt.preview_email('removed')), 'For all of Other', 'an operator''s text goes before the shipped one');
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT is((SELECT subject FROM usermgmt.preview_email('removed')), 'Gone from Acme', 'and a tenant''s own before that');
SELECT usermgmt.reset_email_template('removed', 'en') AS x \gset
SELECT is((SELECT subject FROM usermgmt.preview_email('removed')), 'For all of Acme', 'without it the operator''s is back');
DELETE FROM usermgmt.email_template WHERE NOT built_in;
SELECT is((SELECT subject FROM usermgmt.preview_email('removed')), 'You were removed from Acme', 'and without that the shipped one');
SELECT results_eq(format($$SELECT action, actor_email FROM usermgmt.audit_event WHERE object_type = 'email_template' AND object_id = 'removed' AND tenant_id = %L ORDER BY event_id$$, :'acme_id'),
	$$VALUES ('email_template.created', 'admin@acme.test'), ('email_template.deleted', NULL)$$, 'changes of texts are in the trail');
SELECT throws_ok($$UPDATE usermgmt.email_template SET text_body = NULL WHERE built_in AND kind = 'removed'$$, '23514', NULL, 'a shipped text is whole');

-- What does not fit (22023).
CREATE TEMPORARY TABLE wrong (part text, source text);
INSERT INTO wrong VALUES
	('subject', ''), ('subject', ' '), ('subject', repeat('x', 301)), ('subject', E'a\nBcc: x@evil.test'), ('subject', E'a\r\nBcc: x@evil.test'), ('subject', '{{link}}'), ('subject', '{{nobody}}'), ('subject', '{{'), ('subject', '{{role'), ('subject', '{{Role}}'),
	('subject', '{{ role }}'), ('subject', '{{{role}}}'), ('subject', '{{&role}}'), ('subject', '{{>role}}'), ('subject', '{{!x}}'), ('subject', '{{=<% %>=}}'), ('subject', '{{#role}}'), ('subject', '{{/role}}'), ('subject', '{{#role}}{{/message}}'),
	('subject', '{{#role}}{{#message}}{{/role}}{{/message}}'), ('subject', repeat('{{#role}}', 9) || repeat('{{/role}}', 9)), ('subject', '{{' || repeat('a', 64) || '}}'), ('subject', 'see https://evil.test'), ('subject', 'see www.evil.test'), ('subject', E'\x1b[2J'),
	('text_body', 'no link'), ('text_body', '{{#message}}{{link}}{{/message}}'), ('text_body', '{{^link}}{{link}}{{/link}}'), ('text_body', 'https://evil.test/?{{link}}'), ('text_body', 'x{{link}}'), ('text_body', '{{link}}x'), ('text_body', '{{link}}@evil.test'),
	('text_body', '{{#role}}{{link}}{{/role}} {{link}}'), ('text_body', '{{link}} {{base_url}}.evil.test'), ('text_body', '{{link}} https://evil.test'), ('text_body', '{{link}} ' || repeat('x', 102400)), ('text_body', E'{{link}} \x07'), ('text_body', '{{link}}{{role}}'), ('text_body', 'evil.test/?({{link}})'), ('text_body', 'evil.test/?>{{link}}'),
	('html_body', 'evil.test/?<b>{{link}}</b>'), ('html_body', 'evil.test/?<span style="color:red">{{link}}</span>'), ('html_body', 'evil.test/?({{link}})'),
	('html_body', '<p>no link</p>'), ('html_body', '<a href="https://evil.test">x</a> {{link}}'), ('html_body', '<a href="https://evil.test/?{{link}}">x</a>'), ('html_body', '<a href="javascript:alert(1)">x</a> {{link}}'), ('html_body', '<a href="//evil.test">x</a> {{link}}'),
	('html_body', '<a href=''{{link}}''>x</a>'), ('html_body', '<a href={{link}}>x</a>'), ('html_body', '<a href="{{base_url}}.evil.test/">x</a> {{link}}'), ('html_body', '<a href="{{base_url}}@evil.test/">x</a> {{link}}'), ('html_body', '<a href="{{message}}">x</a> {{link}}'), ('html_body', '<a href="{{#role}}{{link}}{{/role}}">x</a> {{link}}'),
	('html_body', '<img src="https://evil.test/x.gif"> {{link}}'), ('html_body', '<img src="{{link}}"> {{link}}'), ('html_body', '<img src="{{logo_url}}?{{link}}"> {{link}}'), ('html_body', '<img alt="{{link}}"> {{link}}'), ('html_body', '<p style="background:url(https://evil.test/{{role}})">{{link}}</p>'),
	('html_body', '<p style="background:u&#114;l(x)">{{link}}</p>'), ('html_body', '<p style="background:u\72l(x)">{{link}}</p>'), ('html_body', '<p style="color:{{role}}">{{link}}</p>'), ('html_body', '<style>@import "x"</style> {{link}}'), ('html_body', '<style>a{b:url(x)}</style> {{link}}'), ('html_body', '<style>a[href*="token=um1_A"]{background:src("//evil.test/A")}</style> {{link}}'),
	('html_body', '<style>{{message}}</style> {{link}}'), ('html_body', '{{#role}}<style>{{/role}}{{link}}'), ('html_body', '<style>{{#role}}</style>{{/role}} {{link}}'), ('html_body', '<script>x</script> {{link}}'), ('html_body', '<p onclick="x">{{link}}</p>'), ('html_body', '<meta http-equiv="refresh" content="0"> {{link}}'),
	('html_body', '<base href="https://evil.test/"> {{link}}'), ('html_body', '<form action="x">{{link}}</form>'), ('html_body', '<iframe src="x"></iframe> {{link}}'), ('html_body', '<!-- x --> {{link}}'), ('html_body', '<svg onload="x"> {{link}}'), ('html_body', '<p {{role}}>{{link}}</p>'), ('html_body', '<{{role}}> {{link}}'),
	('html_body', '< p> {{link}}'), ('html_body', '<p class="a{{link}}</p>'), ('html_body', '<p class="{{role}}">{{link}}</p>'), ('html_body', '<p'), ('html_body', '<'), ('html_body', '</p onclick="x"> {{link}}'), ('html_body', '?{{link}}'), ('html_body', '{{link}} https://evil.test'), ('html_body', '<link rel="stylesheet"> {{link}}');
SELECT is_empty($$SELECT part, left(source, 60) FROM wrong WHERE pg_temp.act('admin@acme.test', format('SELECT pg_temp.set_part(%L, %L, %L, %L)', 'invitation', 'en', part, source)) <> '22023'$$,
	'R23 what can not be rendered, loads or runs something, or carries the link elsewhere is refused when it is set');
SELECT is_empty($$SELECT part, left(source, 60) FROM wrong WHERE pg_temp.act('admin@acme.test', format('SELECT pg_temp.try(%L)', format('SELECT usermgmt.preview_email(%L, %L, %I => %L)', 'invitation', 'en', part, source))) <> '22023'$$,
	'R23 and when it is tried');
SELECT is(pg_temp.act('admin@acme.test', format('SELECT pg_temp.set_part(%L, %L, %L, %L)', k, 'en', part, source)), 'ok', 'this fits: ' || source)
	FROM (VALUES ('invitation', 'subject', 'Hi {{recipient_name}} & <you>'), ('invitation', 'text_body', E'{{#message}}\n{{message}}\n{{/message}}\n<{{link}}>, see {{base_url}}.'), ('invitation', 'html_body', '<p class="x" style="color:{{brand_color}}">Hi<br/>{{link}}</p>'),
		('invitation', 'html_body', '<a href="{{base_url}}/help?a=b">?</a> <a href="mailto:help@acme.test">!</a> <a href="{{link}}">x</a> {{link}}'), ('removed', 'text_body', 'Bye'), ('removed', 'html_body', '<p>Bye {{base_url}}</p>')) AS w (k, part, source);
SELECT is(pg_temp.act('admin@acme.test', format('SELECT %I FROM usermgmt.preview_email(%L, %L, %1$I => %4$L)', part, 'invitation', 'en', source)) !~ 'evil\.test/\?\S', true, 'R23 no section that is left out joins a link and what stands before it: ' || source)
	FROM (VALUES ('text_body', E'evil.test/?{{^recipient}}\n{{/recipient}}\n{{link}}'), ('text_body', E'evil.test/?{{^recipient}}x\n{{#role}}\n{{/role}}\n{{/recipient}}\n{{link}}'),
		('html_body', E'evil.test/?{{^recipient}}\n{{/recipient}}\n{{link}}'), ('html_body', E'evil.test/?{{#recipient}}{{^recipient}}\n{{/recipient}}\n{{/recipient}}\n{{link}}')) AS w (part, source);
SELECT is(pg_temp.act('admin@acme.test', $$SELECT text_body FROM usermgmt.preview_email('invitation', 'en', text_body => E'{{^recipient}}\nno\n{{/recipient}}\na\n{{#role}}\nb\n{{/role}}\n{{^role}}\nc\n{{/role}}\n{{link}}')$$),
	E'a\nb\n' || pg_temp.act('admin@acme.test', $$SELECT text_body FROM usermgmt.preview_email('invitation', 'en', text_body => '{{link}}')$$), 'a section tag alone on its line leaves no empty line');
SELECT is(pg_temp.set_part('invitation', 'en', part, source), 'ok', 'S2.26 an operator may name other sites: ' || source)
	FROM (VALUES ('html_body', '<a href="https://status.test/x">x</a> {{link}}'), ('text_body', 'https://status.test {{link}}')) AS w (part, source);
SELECT is(pg_temp.set_part('invitation', 'en', 'html_body', '<a href="https://evil.test/?{{link}}">x</a>'), '22023', 'R23 but not carry the link there');
SELECT is(pg_temp.try($$SELECT usermgmt.set_email_template('invitation')$$), '22023', 'a template needs a part');
SELECT is(pg_temp.try($$SELECT usermgmt.set_email_template('newsletter', subject => 'x')$$), '22023', 'the kinds of mail are known');
DO $$
DECLARE
	told text;
	wherever text;
	advice text;
BEGIN
	PERFORM usermgmt.set_email_template('removed', text_body => E'Hello\nä {{role}}');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, wherever = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
	CREATE TEMPORARY TABLE refusal AS SELECT told, wherever, advice;
END $$;
SELECT results_eq('SELECT * FROM refusal', $$VALUES ('the template does not fit: unknown variable "role"', 'In text_body, line 2, character 3.',
	'Variables of removed: tenant_name, brand_name, brand_color, brand_text_color, logo_url, base_url, recipient, recipient_name.')$$, 'a refusal says what, where, and what there is');
DO $$ BEGIN
	FOR n IN 1 .. 200 LOOP
		PERFORM usermgmt.set_email_template('removed', 'en-' || translate(to_char(n, 'FM000'), '0123456789', 'abcdefghij'), subject => 'x');
	END LOOP;
END $$;
SELECT is(pg_temp.try($$SELECT usermgmt.set_email_template('removed', 'en-zzz', subject => 'x')$$), '54000', 'a tenant has at most 200 templates');
DELETE FROM usermgmt.email_template WHERE NOT built_in;

-- Values are never read for tags, and stay what they are in every part (R23).
UPDATE usermgmt.tenant SET name = E'A{{link}}{{#role}}<b>"&''{{/role}}' WHERE tenant_id = :'acme_id';
SELECT invitation_id AS x FROM usermgmt.invite_user('hostile@acme.test', name => '{{tenant_name}} =?UTF-8?Q?x?= <i>', message => E'{{link}} <script>alert(1)</script>\nsecond line \u202Egnp.exe') \gset
SELECT * FROM pg_temp.mail_to('hostile@acme.test') \gset
SELECT is((SELECT count(*)::int FROM regexp_matches(:'text_body', 'token=', 'g')), 1, 'R23 a tag in a value is not rendered');
SELECT ok(position('{{link}} <script>alert(1)</script>' IN :'text_body') > 0, 'R23 it stands in text as it was typed');
SELECT ok(position('{{link}} &lt;script&gt;alert(1)&lt;/script&gt;<br>' IN :'html_body') > 0 AND position('<script' IN :'html_body') = 0 AND position('{{tenant_name}} =?UTF-8?Q?x?= &lt;i&gt;' IN :'html_body') > 0, 'R23 and in HTML, escaped, with its lines');
SELECT is(:'subject' || :'text_body' || :'html_body' ~ '[\u202a-\u202e\u2066-\u2069]', false, 'R23 nothing turns the direction of the text around it');
SELECT ok(:'subject' LIKE 'A{{link}}{{#role}}<b>"&''{{/role}} invited you%', 'R23 a subject is plain');
UPDATE usermgmt.tenant SET name = 'Acme' WHERE tenant_id = :'acme_id';

-- Huge values make a dead mail, not a dead relay (F20).
UPDATE usermgmt.tenant SET name = repeat('<', 400000) WHERE tenant_id = :'acme_id';
SELECT invitation_id AS huge FROM usermgmt.invite_user('huge@acme.test') \gset
SELECT is((pg_temp.mail_to('huge@acme.test')).recipient, NULL, 'F20 a mail that becomes too long is not sent');
SELECT results_eq(format($$SELECT q.state, q.reply, a.outcome FROM usermgmt.mail_queue AS q JOIN usermgmt.outbox_attempt AS a USING (message_id) WHERE subject_id = %L$$, :'huge'),
	$$VALUES ('dead', 'template: text_body: it becomes too long', 'dead')$$, 'F20 it is dead, says why, and the attempt is in its history');
UPDATE usermgmt.tenant SET name = 'Acme' WHERE tenant_id = :'acme_id';

-- Previews.
SELECT pg_temp.contents() AS before \gset
SELECT is(pg_temp.act('admin@acme.test', $$SELECT subject FROM usermgmt.preview_email('invitation', subject => 'Draft for {{recipient_name}}')$$), 'Draft for Eva Example', 'a draft can be looked at');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S4.8 a preview writes nothing');
SELECT throws_ok(format('SELECT usermgmt.preview_invitation(%L)', 'preview'), 'UM010', NULL, 'the link of a preview is none');

SELECT * FROM finish();
ROLLBACK;
