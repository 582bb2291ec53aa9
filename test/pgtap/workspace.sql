-- Workspaces: their people, what invitations offer in them, and their health.
BEGIN;
\ir helpers.psql
SELECT no_plan();

-- 'ok' or the SQLSTATE of what this person asks for, undone; and with what it did kept.
CREATE FUNCTION pg_temp.as_(who text, statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT pg_temp.act(%L, %L)', who || '@acme.test', statement))
$$;
CREATE FUNCTION pg_temp.does(who text, statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act(who || '@acme.test', statement)
$$;
-- What it wrote into the trail: action and person concerned, in order.
CREATE FUNCTION pg_temp.trail(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	last uuid := (SELECT event_id FROM usermgmt.audit_event ORDER BY event_id DESC LIMIT 1);
BEGIN
	EXECUTE statement;
	RETURN (SELECT string_agg(concat_ws(' ', action, subject_email), ', ' ORDER BY event_id) FROM usermgmt.audit_event WHERE event_id > last);
END $$;
CREATE FUNCTION pg_temp.ws(wanted text) RETURNS uuid LANGUAGE sql AS $$
	SELECT workspace_id FROM usermgmt.workspace WHERE slug = wanted AND tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'acme')
$$;
-- The person's places, of archived workspaces too: "slug:role …".
CREATE FUNCTION pg_temp.places(address text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(w.slug || ':' || m.role, ' ' ORDER BY w.slug) FROM usermgmt.workspace_member AS m JOIN usermgmt.workspace AS w USING (tenant_id, workspace_id)
		JOIN usermgmt.account AS a USING (user_id) WHERE a.email = address
$$;
CREATE FUNCTION pg_temp.accept(invitation uuid, password text DEFAULT 'a very good password') RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM usermgmt.accept_invitation(pg_temp.token_of(invitation), password)
$$;

SELECT pg_temp.tenant('beta') AS beta_id, pg_temp.join('bea@beta.test') AS bea, pg_temp.invite('ben@beta.test') AS ben \gset
SELECT workspace_id AS beta_site FROM usermgmt.create_workspace('site', 'Site of Beta') \gset
SELECT workspace_id AS beta_only FROM usermgmt.create_workspace('beta-only', 'Of Beta only') \gset
SELECT role AS x FROM usermgmt.set_workspace_member(:'beta_site', :'bea', 'admin') \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('lead@acme.test') AS lead, pg_temp.join('worker@acme.test') AS worker,
	pg_temp.join('viewer@acme.test') AS viewer, pg_temp.join('outsider@acme.test') AS outsider, pg_temp.join('gone@acme.test') AS gone, pg_temp.id_of('owner@acme.test') AS owner \gset
CREATE ROLE tap_workspace_app;
SELECT usermgmt.grant_access('tap_workspace_app', 'application') AS x \gset

-- Made and named (S4.9, S4.15).
SELECT results_eq($$SELECT tenant_id = usermgmt.current_tenant_id(), slug, name, settings, metadata, status, member_count, health, created_at IS NOT NULL, archived_at FROM usermgmt.create_workspace('site', 'The Site', '{"colour": "red"}')$$,
	$$VALUES (true, 'site', 'The Site', '{"colour": "red"}'::jsonb, '{}'::jsonb, 'active', 0, 0, true, NULL::timestamptz)$$, 'S4.15 a workspace is created with slug, name and settings');
SELECT is(pg_temp.does('admin', $$SELECT settings FROM usermgmt.create_workspace('shop', '  The Shop ')$$), '{}', 'S4.9 an admin creates another, without settings');
SELECT is(pg_temp.does('owner', $$SELECT name FROM usermgmt.create_workspace(slug => '42', name => E'B\u00fcro', settings => NULL)$$), E'B\u00fcro', 'S4.9 the owner a third');
SAVEPOINT many;
SELECT is((SELECT count(DISTINCT slug || name) FROM generate_series(1, 50) AS n, LATERAL usermgmt.create_workspace('client-' || n, 'Client ' || n)), 50::bigint, 'S4.9 a tenant holds as many as it likes');
SELECT results_eq('SELECT count(*), count(DISTINCT workspace_id), min(tenant_id::text), max(tenant_id::text) FROM usermgmt.workspaces', format('VALUES (53::bigint, 53::bigint, %L, %L)', :'acme_id', :'acme_id'), 'S4.9 and all are listed, each with an id of its own');
ROLLBACK TO SAVEPOINT many;
SELECT pg_temp.ws('site') AS site, pg_temp.ws('shop') AS shop, pg_temp.ws('42') AS office \gset
SELECT is((SELECT name FROM usermgmt.workspaces WHERE slug = 'shop'), 'The Shop', 'S4.15 blanks around a name do not count');
SELECT is((SELECT count(*) FROM usermgmt.workspace WHERE slug = 'site'), 2::bigint, 'S4.15 two tenants may use the same slug');
SELECT pg_temp.contents() AS before \gset
SELECT is(pg_temp.state_of($$SELECT usermgmt.create_workspace('site', 'Again')$$), '23505', 'S4.15 one tenant uses a slug once');
SELECT is_empty($$SELECT slug FROM unnest(ARRAY['Site', 'a b', 'a_b', '-a', 'a-', 'a--b', 'a.b', 'ä', repeat('a', 64), '', E'a\n', '%', ' a', NULL]) AS slug WHERE pg_temp.state_of(format('SELECT usermgmt.create_workspace(%L, %L)', slug, 'X')) <> '22023'$$,
	'S4.15 a slug is of a-z, 0-9 and single inner hyphens, at most 63');
SELECT is_empty($$SELECT slug FROM unnest(ARRAY['Site', 'a b', '-a', 'a--b', repeat('a', 64), '']) AS slug WHERE pg_temp.state_of(format('SELECT usermgmt.update_workspace(%L, slug => %L)', pg_temp.ws('site'), slug)) <> '22023'$$,
	'S4.15 also when it is changed');
SELECT is_empty($$SELECT slug FROM unnest(ARRAY['a', '0', 'a-b-c', repeat('a', 63)]) AS slug WHERE pg_temp.try(format('SELECT usermgmt.create_workspace(%L, %L)', slug, 'X')) <> 'ok'$$, 'S4.15 and such a slug is accepted');
SELECT is_empty($$SELECT slug FROM unnest(ARRAY['Site', 'a b', '-a', '']) AS slug WHERE pg_temp.try(format('UPDATE usermgmt.workspace SET slug = %L WHERE slug = %L', slug, 'shop')) <> '23514'$$, 'S4.15 bare SQL keeps to it as well');
SELECT is_empty($$SELECT name FROM unnest(ARRAY['', '  ', repeat('x', 201), E'a\nb', E'a\u0007', NULL]) AS name WHERE pg_temp.state_of(format('SELECT usermgmt.create_workspace(%L, %L)', 'new', name)) <> '22023'$$, 'S4.15 a name is one line of 1 to 200 characters');
SELECT is_empty($$SELECT s FROM unnest(ARRAY['[]', '1', '"x"', 'null', 'true', format('{"a": "%s"}', repeat('x', 100001))]) AS s
		WHERE pg_temp.state_of(format('SELECT usermgmt.create_workspace(%L, %L, %L)', 'new', 'New', s)) <> '22023' OR pg_temp.state_of(format('SELECT usermgmt.update_workspace(%L, settings => %L)', pg_temp.ws('site'), s)) <> '22023'$$,
	'S4.15 settings are an object of at most 100 kB');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S4.15 what was refused left nothing');
SELECT is(pg_temp.try(format('UPDATE usermgmt.workspace SET %I = %L', c, '[]')), '23514', 'S4.15 bare SQL puts nothing but an object into ' || c) FROM unnest(ARRAY['settings', 'metadata']) AS c;
SELECT is_empty($$SELECT who, c FROM unnest(ARRAY['lead', 'worker', 'viewer', 'outsider']) AS who, unnest(ARRAY['create_workspace(''mine'', ''Mine'')']) AS c WHERE pg_temp.as_(who, 'SELECT usermgmt.' || c) <> '42501'$$, 'S4.9 a member of the tenant creates none');

-- Changed, archived, restored.
SELECT results_eq(format($$SELECT slug, name, settings FROM usermgmt.update_workspace(%L, name => 'Site One')$$, :'site'), $$VALUES ('site', 'Site One', '{"colour": "red"}'::jsonb)$$, 'S4.15 what an update does not name stays');
SELECT results_eq(format($$SELECT slug, name, settings FROM usermgmt.update_workspace(%L, NULL, 'site-1', '{"size": 3}')$$, :'site'), $$VALUES ('site-1', 'Site One', '{"size": 3}'::jsonb)$$, 'S4.15 slug and settings can be changed, the settings as a whole');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.update_workspace(%L, slug => %L)', :'site', 'shop')), '23505', 'S4.15 not to a slug that another workspace has');
SELECT is((SELECT slug FROM usermgmt.update_workspace(:'site', slug => 'site-1')), 'site-1', 'S4.15 its own is no obstacle');
SELECT is((SELECT slug FROM usermgmt.update_workspace(:'site', slug => 'beta-only')), 'beta-only', 'S4.8 nor is another tenant''s');
SELECT is((SELECT slug FROM usermgmt.update_workspace(:'site', slug => 'site')), 'site', 'S4.15 and a slug that was given up is free');
SELECT is(pg_temp.try(format('SELECT usermgmt.%s', c)), '22023', 'S4.15 ' || c || ' is refused')
	FROM (VALUES ('update_workspace(NULL)'), ('archive_workspace(NULL)'), ('restore_workspace(NULL)'), ('workspace_health(NULL)'), ('set_workspace_member(NULL, NULL)'), ('remove_workspace_member(NULL, NULL)'),
		(format('set_workspace_member(%L, NULL)', :'site')), (format('remove_workspace_member(%L, NULL)', :'site')), (format('update_workspace(%L, name => '''')', :'site'))) AS v (c);
SELECT is(pg_temp.state_of(format('SELECT usermgmt.restore_workspace(%L)', :'shop')), 'UM036', 'S4.9 what is not archived is not restored');
SELECT results_eq(format('SELECT status, archived_at IS NOT NULL, name FROM usermgmt.archive_workspace(%L)', :'shop'), $$VALUES ('archived', true, 'The Shop')$$, 'S4.9 an admin archives a workspace');
SELECT is_empty(format($$SELECT c FROM unnest(ARRAY['archive_workspace(''%1$s'')', 'update_workspace(''%1$s'', name => ''X'')', 'set_workspace_member(''%1$s'', ''%2$s'')']) AS c WHERE pg_temp.state_of('SELECT usermgmt.' || c) <> 'UM036'$$, :'shop', :'worker'),
	'S4.9 an archived one is not archived again, changed or given people');
SELECT is((SELECT status FROM usermgmt.workspaces WHERE slug = 'shop'), 'archived', 'S4.13 it stays in the list');
SELECT is(pg_temp.state_of($$SELECT usermgmt.create_workspace('shop', 'New')$$), '23505', 'S4.15 and keeps its slug');
SELECT results_eq(format('SELECT status, archived_at FROM usermgmt.restore_workspace(%L)', :'shop'), $$VALUES ('active', NULL::timestamptz)$$, 'S4.9 and can be restored');

-- People (S4.11).
SELECT results_eq(format('SELECT workspace_id, tenant_id, slug, user_id, email, name, role, added_at IS NOT NULL FROM usermgmt.set_workspace_member(%L, %L, %L)', :'site', :'lead', 'admin'),
	format($$VALUES (%L::uuid, %L::uuid, 'site', %L::uuid, 'lead@acme.test', NULL::text, 'admin', true)$$, :'site', :'acme_id', :'lead'), 'S4.11 an admin assigns a member to a workspace');
SELECT is(pg_temp.does('admin', format('SELECT role FROM usermgmt.set_workspace_member(%L, %L)', :'site', :'worker')), 'member', 'S4.10 role member by default');
SELECT is(pg_temp.does('lead', format('SELECT role FROM usermgmt.set_workspace_member(%L, %L, %L)', :'site', :'viewer', 'viewer')), 'viewer', 'S4.11 an admin of the workspace assigns people too');
SELECT is(pg_temp.does('lead', format('SELECT role FROM usermgmt.set_workspace_member(%L, %L, NULL)', :'site', :'gone')), 'member', 'S4.10 also for an explicit NULL');
SELECT is(pg_temp.does('admin', format('SELECT role FROM usermgmt.set_workspace_member(%L, %L, %L)', :'shop', :'worker', 'viewer')), 'viewer', 'S4.11 a person may work in several workspaces, in different roles');
SELECT is(concat_ws(', ', pg_temp.places('worker@acme.test'), pg_temp.places('lead@acme.test')), 'shop:viewer site:member, site:admin', 'S4.11 specific ones, and no other');
SELECT is((SELECT workspaces FROM usermgmt.members WHERE email = 'worker@acme.test'), '{"shop": "viewer", "site": "member"}'::jsonb, 'S4.11 the list of members shows the places');
SELECT added_at AS added FROM usermgmt.workspace_member WHERE workspace_id = :'site' AND user_id = :'viewer' \gset
SELECT results_eq(format('SELECT role, added_at FROM usermgmt.set_workspace_member(%L, %L, %L)', :'site', :'viewer', 'member'), format($$VALUES ('member', %L::timestamptz)$$, :'added'), 'S4.10 a role in a workspace can be changed');
SELECT is(pg_temp.trail(format('SELECT usermgmt.set_workspace_member(%L, %L, %L)', :'site', :'viewer', 'member')), NULL, 'S4.10 what is so already changes nothing');
SELECT is((SELECT role FROM usermgmt.set_workspace_member(:'site', :'viewer', 'viewer')), 'viewer', 'S4.10 and back');
SELECT pg_temp.contents() AS before \gset
SELECT is_empty(format($$SELECT r FROM unnest(ARRAY['owner', 'Admin', '', ' member', 'none']) AS r WHERE pg_temp.state_of(format('SELECT usermgmt.set_workspace_member(%%L, %%L, %%L)', %L, %L, r)) <> '22023'$$, :'site', :'outsider'), 'S4.10 only admin, member and viewer exist');
SELECT is(pg_temp.try($$UPDATE usermgmt.workspace_member SET role = 'owner'$$), '23514', 'S4.10 also for bare SQL');
SELECT is_empty(format($$SELECT who, c FROM unnest(ARRAY['worker', 'viewer', 'outsider']) AS who, unnest(ARRAY['set_workspace_member(''%1$s'', ''%2$s'', ''admin'')', 'set_workspace_member(''%1$s'', ''%3$s'')', 'remove_workspace_member(''%1$s'', ''%4$s'')',
		'remove_workspace_member(''%1$s'', ''%3$s'')', 'update_workspace(''%1$s'', name => ''Mine'')']) AS c
		WHERE pg_temp.as_(who, 'SELECT usermgmt.' || c) <> CASE who WHEN 'outsider' THEN 'UM002' ELSE '42501' END$$, :'site', :'worker', :'outsider', :'lead'),
	'S4.11 a member or viewer of it does not, and whoever has no place in it does not learn that it is there');
SELECT is_empty(format($$SELECT c FROM unnest(ARRAY['archive_workspace(''%1$s'')', 'restore_workspace(''%1$s'')', 'create_workspace(''x'', ''X'')', 'set_workspace_member(''%2$s'', ''%3$s'')', 'update_workspace(''%2$s'', name => ''Mine'')', 'remove_workspace_member(''%2$s'', ''%3$s'')']) AS c
		WHERE pg_temp.as_('lead', 'SELECT usermgmt.' || c) <> CASE WHEN strpos(c, '%2$s') > 0 THEN 'UM002' ELSE '42501' END$$, :'site', :'shop', :'worker'), 'S4.10 an admin of a workspace is none of another one, nor archives the own');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S4.11 what was refused left nothing');
SELECT is(pg_temp.as_('lead', format('SELECT usermgmt.update_workspace(%L, %L, %L, %L)', :'site', 'Ours', 'ours', '{}')), 'ok', 'S4.15 an admin of the workspace changes its settings, name and slug');
SELECT is(pg_temp.as_('lead', format('SELECT usermgmt.set_workspace_member(%L, %L, %L)', :'site', :'owner', 'viewer')), 'ok', 'S4.11 and gives places to anybody of the tenant');
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = :'gone';
SELECT is_empty(format($$SELECT who FROM unnest(ARRAY['owner', 'admin', 'lead']) AS who, unnest(ARRAY['admin', 'member']) AS r WHERE pg_temp.as_(who, format('SELECT usermgmt.set_workspace_member(%%L, %%L, %%L)', %L, %L, r)) <> 'UM037'$$, :'site', :'gone'),
	'S4.11 a deactivated person gets no place and no other role');
SELECT is((SELECT member_count FROM usermgmt.workspaces WHERE slug = 'site'), 3, 'S4.13 and does not count');
SELECT is((SELECT count(*) FROM usermgmt.workspace_members WHERE slug = 'site'), 4::bigint, 'S4.11 but is still assigned');
SELECT is(pg_temp.as_('lead', format('SELECT usermgmt.remove_workspace_member(%L, %L)', :'site', :'gone')), 'ok', 'S4.11 and can be taken off');

-- Who has which role (S4.10).
CREATE FUNCTION pg_temp.rights(who text, workspace uuid) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act(who, format('SELECT pg_temp.run_as(%L, %L)', 'tap_workspace_app', format('SELECT string_agg(r, '' '') FROM unnest(ARRAY[''viewer'', ''member'', ''admin'']) AS r WHERE usermgmt.has_workspace_role(%L, r)', workspace)))
$$;
SELECT results_eq(format($$SELECT w, pg_temp.rights(w || '@acme.test', %L), pg_temp.rights(w || '@acme.test', %L) FROM unnest(ARRAY['owner', 'admin', 'lead', 'worker', 'viewer', 'outsider']) AS w$$, :'site', :'shop'),
	$$VALUES ('owner', 'viewer member admin', 'viewer member admin'), ('admin', 'viewer member admin', 'viewer member admin'), ('lead', 'viewer member admin', NULL), ('worker', 'viewer member', 'viewer'), ('viewer', 'viewer', NULL), ('outsider', NULL, NULL)$$,
	'S4.10 C10 admin is more than member and member more than viewer, and admins of the tenant have every role');
SELECT is_empty(format($$SELECT w, p FROM unnest(ARRAY['owner@beta.test', 'bea@beta.test']) AS w, unnest(ARRAY[%L, %L, %L]::uuid[]) AS p WHERE pg_temp.rights(w, p) IS NOT NULL$$, :'site', :'shop', gen_random_uuid()), 'S4.8 nobody has any role in another tenant''s workspace, nor in one that is none');
SELECT is(pg_temp.rights('bea@beta.test', :'beta_site') || ', ' || coalesce(pg_temp.rights('bea@beta.test', :'beta_only'), 'none'), 'viewer member admin, none', 'S4.10 but in the own');
SELECT is(usermgmt.has_workspace_role(:'site', 'admin') || ' ' || usermgmt.has_workspace_role(:'beta_site', 'viewer'), 'true false', 'S4.10 an operator has every role in the tenant that is selected');
SELECT is(pg_temp.run_as('tap_workspace_app', format('SELECT usermgmt.has_workspace_role(%L, %L)', :'site', 'viewer')), 'false', 'S4.10 without a session there is none');
SELECT is(usermgmt.has_workspace_role(NULL, 'viewer'), false, 'S4.10 nor in no workspace');
SELECT is_empty($$SELECT r FROM unnest(ARRAY['owner', 'Admin', '', 'none', NULL]) AS r WHERE pg_temp.try(format('SELECT usermgmt.has_workspace_role(%L, %L)', pg_temp.ws('site'), r)) <> '22023'$$, 'S4.10 a role that does not exist is an error, not false');
SAVEPOINT ended;
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'lead@acme.test')) \gset
SELECT usermgmt.has_workspace_role(:'site', 'admin') AS at_first \gset
UPDATE usermgmt.session SET state = 'revoked', ended_at = now(), end_reason = 'test' WHERE user_id = :'lead' AND state = 'open';
SELECT is(:'at_first' || ' ' || usermgmt.has_workspace_role(:'site', 'viewer'), 't false', 'S4.10 S0.10 nor with a session that has ended, also for an operator''s connection');
SELECT is(pg_temp.try(format('SELECT usermgmt.%s', c)), 'UM001', 'S0.10 ' || f || ' needs a live session')
	FROM (VALUES ('create_workspace', 'create_workspace(''x'', ''X'')'), ('update_workspace', format('update_workspace(%L, name => ''X'')', :'site')), ('archive_workspace', format('archive_workspace(%L)', :'site')), ('restore_workspace', format('restore_workspace(%L)', :'site')),
		('set_workspace_member', format('set_workspace_member(%L, %L)', :'site', :'outsider')), ('remove_workspace_member', format('remove_workspace_member(%L, %L)', :'site', :'worker')), ('workspace_health', format('workspace_health(%L)', :'site')),
		('invite_users', 'invite_users(''{x@acme.test}'')'), ('change_invitation_workspaces', format('change_invitation_workspaces(%L, ''{}'')', gen_random_uuid()))) AS v (f, c);
SELECT is((SELECT count(*) FROM usermgmt.workspaces) + (SELECT count(*) FROM usermgmt.workspace_members), 0::bigint, 'S0.10 and the views show nothing');
ROLLBACK TO SAVEPOINT ended;
SELECT is(pg_temp.run_as('tap_workspace_app', 'SELECT usermgmt.create_workspace(''x'', ''X'')') || ' ' || pg_temp.run_as('tap_workspace_app', format('SELECT usermgmt.workspace_health(%L)', :'site')), 'error UM001 error UM001', 'S4.18 an application without a session may do nothing');
SAVEPOINT archived;
SELECT status AS x FROM usermgmt.archive_workspace(:'site') \gset
SELECT is_empty(format($$SELECT w FROM unnest(ARRAY['owner', 'admin', 'lead', 'worker', 'viewer']) AS w WHERE pg_temp.rights(w || '@acme.test', %L) IS NOT NULL$$, :'site'), 'S4.10 an archived workspace admits nobody, not even the owner');
SELECT is(usermgmt.has_workspace_role(:'site', 'viewer'), false, 'S4.10 nor an operator');
SELECT is((SELECT workspaces FROM usermgmt.members WHERE email = 'worker@acme.test'), '{"shop": "viewer"}'::jsonb, 'S4.11 the list of members leaves it out');
SELECT is(pg_temp.as_('lead', format('SELECT usermgmt.remove_workspace_member(%L, %L)', :'site', :'viewer')), 'ok', 'S4.11 people can be taken off it');
SELECT status AS x FROM usermgmt.restore_workspace(:'site') \gset
SELECT is(pg_temp.rights('worker@acme.test', :'site'), 'viewer member', 'S4.9 restored, it has the people that it had');
ROLLBACK TO SAVEPOINT archived;

-- Who sees what, through a database role that has access as application only.
CREATE FUNCTION pg_temp.sees(who text, query text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act(who, format('SELECT pg_temp.run_as(%L, %L)', 'tap_workspace_app', query))
$$;
\set spaces 'SELECT string_agg(slug, '' '' ORDER BY slug) FROM usermgmt.workspaces'
\set people 'SELECT string_agg(slug || '':'' || split_part(email, ''@'', 1) || '':'' || role, '' '' ORDER BY slug, email) FROM usermgmt.workspace_members'
SELECT results_eq(format('SELECT w, pg_temp.sees(w, %L) FROM unnest(ARRAY[%L]) AS w', :'spaces', 'owner@acme.test') || format(' UNION ALL SELECT w, pg_temp.sees(w, %L) FROM unnest(%L::text[]) AS w', :'spaces', '{admin@acme.test,lead@acme.test,worker@acme.test,viewer@acme.test,outsider@acme.test,owner@beta.test,bea@beta.test}'),
	$$VALUES ('owner@acme.test', '42 shop site'), ('admin@acme.test', '42 shop site'), ('lead@acme.test', 'site'), ('worker@acme.test', 'shop site'), ('viewer@acme.test', 'site'), ('outsider@acme.test', NULL),
		('owner@beta.test', 'beta-only site'), ('bea@beta.test', 'site')$$, 'S4.13 S4.8 admins see every workspace of their tenant, others the ones they work in');
SELECT results_eq(format('SELECT w, pg_temp.sees(w, %L) FROM unnest(%L::text[]) AS w', :'people', '{owner@acme.test,admin@acme.test,lead@acme.test,worker@acme.test,viewer@acme.test,outsider@acme.test,owner@beta.test,bea@beta.test}'),
	$$VALUES ('owner@acme.test', 'shop:worker:viewer site:gone:member site:lead:admin site:viewer:viewer site:worker:member'), ('admin@acme.test', 'shop:worker:viewer site:gone:member site:lead:admin site:viewer:viewer site:worker:member'),
		('lead@acme.test', 'site:gone:member site:lead:admin site:viewer:viewer site:worker:member'), ('worker@acme.test', 'shop:worker:viewer site:worker:member'), ('viewer@acme.test', 'site:viewer:viewer'), ('outsider@acme.test', NULL),
		('owner@beta.test', 'site:bea:admin'), ('bea@beta.test', 'site:bea:admin')$$, 'S4.11 S4.8 admins of the tenant see who works where, those of a workspace its people, others themselves');
SELECT is_empty(format($$SELECT w, q FROM unnest(ARRAY['owner@acme.test', 'lead@acme.test', 'outsider@acme.test']) AS w, unnest(ARRAY[%L, %L]) AS q
		WHERE pg_temp.sees(w, format('SELECT count(*) FROM usermgmt.%%I WHERE tenant_id <> %%L OR workspace_id IN (%%L, %%L)', q, %L, %L, %L)) <> '0'$$, 'workspaces', 'workspace_members', :'acme_id', :'beta_site', :'beta_only'), 'S4.8 asked for by id, another tenant''s stay hidden');
SELECT is(pg_temp.run_as('tap_workspace_app', 'SELECT count(*) FROM usermgmt.' || v), '0', 'S4.8 without a session ' || v || ' is empty') FROM unnest(ARRAY['workspaces', 'workspace_members']) AS v;
SELECT is_empty($$SELECT r, p FROM unnest(ARRAY['workspace', 'workspace_member', 'invitation_workspace', 'workspace_detail', 'workspace_member_detail']) AS r, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
		WHERE has_table_privilege('tap_workspace_app', 'usermgmt.' || r, p) OR (p <> 'SELECT' AND (has_table_privilege('tap_workspace_app', 'usermgmt.workspaces', p) OR has_table_privilege('tap_workspace_app', 'usermgmt.workspace_members', p)))$$,
	'S4.8 the application reads the two views and no table');
SELECT is(pg_temp.sees('viewer@acme.test', format($$SELECT concat_ws(' ', status, member_count, health, settings, metadata) FROM usermgmt.workspaces WHERE workspace_id = %L$$, :'site')), 'active 3 100 {"size": 3} {}', 'S4.13 the list has state, member count, health and settings, for a viewer too');
SELECT is(pg_temp.sees('lead@acme.test', format('SELECT (f).members || coalesce((g).members::text, '' none'') || coalesce((h).members::text, '' none'') FROM (SELECT usermgmt.workspace_facts(%L) AS f, usermgmt.workspace_facts(%L) AS g, usermgmt.workspace_facts(%L) AS h) AS x', :'site', :'shop', :'beta_site')),
	'3 none none', 'S4.8 the counts of a workspace are for those who may see it');
SAVEPOINT archived;
SELECT status AS x FROM usermgmt.archive_workspace(:'site') \gset
SELECT is(concat_ws(', ', pg_temp.sees('lead@acme.test', :'spaces'), pg_temp.sees('lead@acme.test', :'people'), pg_temp.sees('viewer@acme.test', :'spaces'), pg_temp.sees('outsider@acme.test', :'spaces')), 'site, site:lead:admin, site', 'S4.13 its people still see that a workspace is archived, and their own place');
SELECT is(pg_temp.sees('lead@acme.test', format('SELECT usermgmt.workspace_health(%L) || status FROM usermgmt.workspaces', :'site')), '100archived', 'S4.13 with its health');
ROLLBACK TO SAVEPOINT archived;
SELECT is(pg_temp.sees('admin@acme.test', format($$SELECT string_agg(slug, ' ' ORDER BY slug) FROM usermgmt.workspaces WHERE usermgmt.current_tenant_id() = %L$$, :'acme_id')), '42 shop site', 'S4.8 the view says so for the bound session');
SELECT usermgmt.use_tenant('beta') AS x \gset
SELECT results_eq('SELECT slug FROM usermgmt.workspaces ORDER BY slug', $$VALUES ('beta-only'), ('site')$$, 'S4.8 an operator sees the tenant that is selected');
SELECT usermgmt.use_tenant('acme') AS x \gset

-- One actor's role and another one's tenant (S4.8): a member here who is an owner elsewhere changes sessions while a query runs.
SAVEPOINT mixed;
SELECT slug AS x FROM usermgmt.create_workspace('zoo', 'Nobody''s') \gset
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'worker@acme.test')) \gset
DECLARE mixed NO SCROLL CURSOR FOR SELECT slug FROM usermgmt.workspaces;
DECLARE mixed_people NO SCROLL CURSOR FOR SELECT email FROM usermgmt.workspace_members;
FETCH mixed \gset first_
FETCH mixed_people \gset first_
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'owner@beta.test')) \gset
CREATE TEMPORARY TABLE fetched (what text);
CREATE FUNCTION pg_temp.fetch_all(cursor refcursor) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	found_one text;
BEGIN
	LOOP
		FETCH cursor INTO found_one;
		EXIT WHEN NOT FOUND;
		RETURN NEXT found_one;
	END LOOP;
END $$;
INSERT INTO fetched SELECT pg_temp.fetch_all('mixed') UNION ALL SELECT pg_temp.fetch_all('mixed_people');
SELECT usermgmt.end_use() AS x \gset
SELECT is_empty($$SELECT what FROM fetched WHERE what NOT IN ('site', 'shop', 'worker@acme.test')$$, 'S4.8 no query begun as a member ends with an admin''s view of the same tenant');
ROLLBACK TO SAVEPOINT mixed;

-- Isolation (S4.8).
CREATE TEMPORARY TABLE foreign_call AS SELECT c AS call FROM unnest(ARRAY[
	format('update_workspace(%L, name => ''X'')', :'beta_site'), format('update_workspace(%L)', :'beta_site'), format('archive_workspace(%L)', :'beta_site'), format('restore_workspace(%L)', :'beta_site'), format('workspace_health(%L)', :'beta_site'),
	format('set_workspace_member(%L, %L)', :'beta_site', :'worker'), format('set_workspace_member(%L, %L)', :'beta_site', :'bea'), format('set_workspace_member(%L, %L)', :'site', :'bea'), format('set_workspace_member(%L, %L)', :'site', gen_random_uuid()),
	format('remove_workspace_member(%L, %L)', :'beta_site', :'bea'), format('remove_workspace_member(%L, %L)', :'site', :'bea'), format('remove_workspace_member(%L, %L)', :'site', :'outsider'), format('archive_workspace(%L)', gen_random_uuid()),
	format('archive_workspace(%L)', '00000000-0000-0000-0000-000000000000'), format('archive_workspace(%L)', :'worker')]) AS c
UNION ALL SELECT format(f, w) FROM unnest(ARRAY['invite_user(''new@acme.test'', workspaces => ''{"%s": "member"}'')', 'invite_user(''new@acme.test'', workspaces => ''["site", "%s"]'')', 'invite_users(''{new@acme.test,newer@acme.test}'', workspaces => ''["%s"]'')',
		format('change_invitation_workspaces(%L, ''["%%s"]'')', (SELECT invitation_id FROM usermgmt.invite_user('standing@acme.test')))]) AS f,
	unnest(ARRAY[:'beta_site', usermgmt.public_id('ws', :'beta_site'), 'beta-only', 'nothing', gen_random_uuid()::text, usermgmt.public_id('user', :'site')]) AS w
UNION ALL SELECT format('change_invitation_workspaces(%L, %L)', i, p) FROM unnest(ARRAY[:'ben'::uuid, gen_random_uuid(), :'site']) AS i, unnest(ARRAY['[]', '["site"]']) AS p;
SELECT pg_temp.contents() AS before \gset
SELECT is_empty($$SELECT who, call, pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', who, 'SELECT usermgmt.' || call)) FROM foreign_call, unnest(ARRAY['owner@acme.test', 'admin@acme.test']) AS who
		WHERE pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', who, 'SELECT usermgmt.' || call)) <> 'UM002'$$, 'S4.8 the ids and slugs of another tenant are those of nothing: not found');
SELECT is_empty($$SELECT call FROM foreign_call WHERE pg_temp.state_of('SELECT usermgmt.' || call) <> 'UM002'$$, 'S4.8 for an operator too');
SELECT is_empty($$SELECT call FROM foreign_call WHERE call ~ '^(set|remove)_workspace_member|workspace_health|^update_' AND pg_temp.as_('lead', 'SELECT usermgmt.' || call) <> 'UM002'$$, 'S4.8 and for the admin of a workspace');
SELECT is(pg_temp.as_(w, format('SELECT usermgmt.workspace_health(%L)', :'shop')), 'UM002', 'S4.13 the health of a workspace is nothing to the ' || w) FROM unnest(ARRAY['lead', 'viewer', 'outsider']) AS w;
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S4.8 and nothing was written');
SELECT isnt(pg_temp.try(format('INSERT INTO usermgmt.workspace_member (tenant_id, workspace_id, user_id, role) VALUES (%L, %L, %L, %L)', t, w, u, 'member')), 'ok', 'S4.8 bare SQL puts nobody ' || what)
	FROM (VALUES ('into another tenant''s workspace', :'acme_id', :'beta_site', :'outsider'), ('from another tenant into a workspace', :'acme_id', :'site', :'bea'), ('into a workspace by way of the other tenant', :'beta_id', :'site', :'bea')) AS v (what, t, w, u);
SELECT isnt(pg_temp.try(format('INSERT INTO usermgmt.invitation_workspace (invitation_id, tenant_id, workspace_id, role) SELECT invitation_id, tenant_id, %L, %L FROM usermgmt.invitation WHERE email = %L', :'beta_site', 'member', 'standing@acme.test')), 'ok', 'S4.8 nor offers a place there');

-- Taken off, and gone (S0.14, S4.11).
SELECT is(pg_temp.does('lead', format('SELECT usermgmt.remove_workspace_member(%L, %L)::text', :'site', :'viewer')), '', 'S0.14 S4.11 a person can be taken from a workspace');
SELECT is(concat(pg_temp.places('viewer@acme.test'), pg_temp.rights('viewer@acme.test', :'site'), pg_temp.sees('viewer@acme.test', :'spaces')), '', 'S0.14 which ends every right in it at once');
SELECT is((SELECT status FROM usermgmt.members WHERE email = 'viewer@acme.test'), 'active', 'C6 while the membership in the tenant stays');
SELECT is(pg_temp.try(format('SELECT usermgmt.remove_workspace_member(%L, %L)', :'site', :'viewer')), 'UM002', 'S4.11 nobody is taken off twice');
SELECT is(pg_temp.as_('lead', format('SELECT usermgmt.remove_workspace_member(%L, %L)', :'site', :'lead')), 'ok', 'S4.11 people may leave a workspace that they administer');
SAVEPOINT gone;
SELECT is(pg_temp.trail(format('DELETE FROM usermgmt.membership WHERE user_id = %L', :'worker')) ~ 'workspace.member_removed worker@acme.test, workspace.member_removed worker@acme.test', true, 'S4.7 whoever leaves the tenant leaves every workspace, each with an entry');
SELECT is(pg_temp.places('worker@acme.test'), NULL, 'S4.7 and keeps no place');
SELECT is((SELECT count(*) FROM usermgmt.workspace_members WHERE slug = 'site'), 2::bigint, 'S4.7 the others keep theirs');
ROLLBACK TO SAVEPOINT gone;

-- What an invitation offers (S4.1).
SELECT role AS x FROM usermgmt.set_workspace_member(:'site', :'viewer', 'viewer') \gset
CREATE FUNCTION pg_temp.offer(places text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
BEGIN
	SELECT workspaces INTO answer FROM usermgmt.invite_user('offer@acme.test', workspaces => places::jsonb);
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN answer::text;
WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.offer(p), answer, 'S4.1 an invitation offers ' || what) FROM (VALUES
	('one place', '{"site": "viewer"}', '{"site": "viewer"}'),
	('several, each with its role', '{"site": "admin", "shop": "member", "42": "viewer"}', '{"42": "viewer", "shop": "member", "site": "admin"}'),
	('places of members, as an array', '["shop", "site"]', '{"shop": "member", "site": "member"}'),
	('places by id', format('{"%s": "admin"}', :'site'), '{"site": "admin"}'),
	('places by id in upper case', format('["%s"]', upper(:'site')), '{"site": "member"}'),
	('places by ws_ id', format('{"%s": "viewer", "shop": "admin"}', usermgmt.public_id('ws', :'site')), '{"shop": "admin", "site": "viewer"}'),
	('places by ids in an array', format('["%s", "%s", "42"]', :'site', usermgmt.public_id('ws', :'shop')), '{"42": "member", "shop": "member", "site": "member"}'),
	('none, as an object', '{}', '{}'), ('none, as an array', '[]', '{}'), ('none, as NULL', NULL, '{}')) AS v (what, p, answer);
SELECT is(pg_temp.offer(p), '22023', 'S4.1 refused: ' || what) FROM (VALUES ('a workspace named by slug and by id', format('{"site": "viewer", "%s": "viewer"}', :'site')), ('a slug named twice', '["site", "shop", "site"]'),
	('an id in both forms', format('["%s", "%s"]', :'site', usermgmt.public_id('ws', :'site'))), ('an id in both cases', format('["%s", "%s"]', :'site', upper(:'site'))),
	('the role owner', '{"site": "owner"}'), ('a role in capitals', '{"site": "Viewer"}'), ('an empty role', '{"site": ""}'), ('a NULL role', '{"site": null}'), ('a number for a role', '{"site": 1}'), ('an object for a role', '{"site": {"role": "viewer"}}'),
	('an array for a role', '{"site": ["viewer"]}'), ('a text', '"site"'), ('a number', '1'), ('true', 'true'), ('a JSON null', 'null'), ('numbers', '[1]'), ('nulls', '[null]'), ('nested arrays', '[["site"]]'), ('an array of objects', '[{"site": "viewer"}]'),
	('more than a thousand', (SELECT jsonb_agg('x' || n)::text FROM generate_series(1, 1001) AS n))) AS v (what, p);
SELECT is(pg_temp.offer(p), 'UM002', 'S4.1 not found: ' || p) FROM unnest(ARRAY['["nowhere"]', '{"site": "viewer", "nowhere": "viewer"}', '{"": "member"}', '["SITE"]', '[" site"]', '["ws_"]']) AS p;
SAVEPOINT archived;
SELECT status AS x FROM usermgmt.archive_workspace(:'shop') \gset
SELECT is(pg_temp.offer(p), 'UM036', 'S4.1 no place is offered in an archived workspace: ' || p) FROM unnest(ARRAY['["site", "shop"]', format('["%s"]', :'shop')]) AS p;
ROLLBACK TO SAVEPOINT archived;
SELECT is(pg_temp.as_('lead', $$SELECT usermgmt.invite_user('x@acme.test', workspaces => '["site"]')$$), '42501', 'S4.1 an admin of a workspace invites nobody into the tenant');

-- A slug in the form of another workspace's id does not take its place.
SAVEPOINT alike;
SELECT slug AS x FROM usermgmt.update_workspace(:'shop', slug => :'site') \gset
SELECT is(pg_temp.offer(format('{"%s": "admin"}', :'site')), '{"site": "admin"}', 'S4.1 an id means the workspace of that id, whatever slug another one has taken');
ROLLBACK TO SAVEPOINT alike;

-- Accepted (S4.2, S4.3).
SELECT invitation_id AS all_three, workspaces = '{"42": "viewer", "shop": "admin", "site": "member"}' AS offered FROM usermgmt.invite_user('new@acme.test', workspaces => '{"42": "viewer", "shop": "admin", "site": "member"}') \gset
SELECT is((SELECT count(*) FROM usermgmt.workspace_member WHERE workspace_id IN (:'site', :'shop', :'office')) || ' ' || :'offered', '5 t', 'S4.1 an invitation alone gives no place');
SELECT is(pg_temp.trail(format('SELECT pg_temp.accept(%L)', :'all_three')) ~ '(workspace.member_added new@acme.test(, )?){3}', true, 'S4.3 acceptance writes one entry for each place');
SELECT is(pg_temp.places('new@acme.test'), '42:viewer shop:admin site:member', 'S4.3 and assigns the person to every workspace named, in the role named');
SELECT results_eq($$SELECT DISTINCT actor_email, new ->> 'user_id' FROM usermgmt.audit_event WHERE action = 'workspace.member_added' AND subject_email = 'new@acme.test'$$, $$SELECT 'new@acme.test', user_id::text FROM usermgmt.account WHERE email = 'new@acme.test'$$, 'S4.3 by the one who accepted');
SELECT is((SELECT workspaces FROM usermgmt.invitations WHERE invitation_id = :'all_three'), '{"42": "viewer", "shop": "admin", "site": "member"}'::jsonb, 'S4.1 what it offered stays on record');
SELECT invitation_id AS known FROM usermgmt.invite_user('bea@beta.test', workspaces => '["site"]') \gset
SELECT is(pg_temp.accept(:'known', 'secret of bea@beta.test') || ' ' || pg_temp.places('bea@beta.test'), 'ok site:admin site:member', 'S4.2 S4.3 a person with an account gets the places too, beside those in the other tenant');
DELETE FROM usermgmt.membership WHERE user_id = :'bea' AND tenant_id = :'acme_id';
SELECT pg_temp.invite('plain@acme.test') AS plain \gset
SELECT is(pg_temp.accept(:'plain') || coalesce(pg_temp.places('plain@acme.test'), ' none'), 'ok none', 'S4.3 an invitation without workspaces gives none');
SELECT invitation_id AS meanwhile FROM usermgmt.invite_user('late@acme.test', workspaces => '{"42": "admin", "shop": "admin", "site": "viewer"}') \gset
SELECT status AS x FROM usermgmt.archive_workspace(:'shop') \gset
SELECT is(pg_temp.accept(:'meanwhile') || ' ' || pg_temp.places('late@acme.test'), 'ok 42:admin site:viewer', 'S4.3 a workspace that was archived meanwhile is passed over');
SELECT status AS x FROM usermgmt.restore_workspace(:'shop') \gset
SELECT is(pg_temp.places('late@acme.test'), '42:admin site:viewer', 'S4.3 also when it is restored afterwards');
SELECT invitation_id AS standing FROM usermgmt.invite_user('standby@acme.test', workspaces => '{"shop": "viewer", "site": "viewer"}') \gset
SAVEPOINT existing;
CREATE FUNCTION pg_temp.give_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO usermgmt.workspace_member (tenant_id, workspace_id, user_id, role) VALUES (new.tenant_id, pg_temp.ws('site'), new.user_id, 'admin');
	RETURN NULL;
END $$;
CREATE TRIGGER give_place AFTER INSERT ON usermgmt.membership FOR EACH ROW EXECUTE FUNCTION pg_temp.give_place();
SELECT is(pg_temp.accept(:'standing') || ' ' || pg_temp.places('standby@acme.test'), 'ok shop:viewer site:admin', 'S4.3 a place that the person has already is kept');
ROLLBACK TO SAVEPOINT existing;
SELECT is(pg_temp.try(format('SELECT 1 / (pg_temp.accept(%L) <> %L)::integer', :'standing', 'ok')) || coalesce(pg_temp.places('standby@acme.test'), ' none'), '22012 none', 'S4.3 an acceptance that is undone gives no place');

-- Changed while it is open.
CREATE FUNCTION pg_temp.offers(invitation uuid, places text) RETURNS text LANGUAGE sql AS $$
	SELECT workspaces::text FROM usermgmt.change_invitation_workspaces(invitation, places::jsonb)
$$;
SELECT is(pg_temp.offers(:'standing', '{"42": "admin", "site": "member"}'), '{"42": "admin", "site": "member"}', 'S4.1 the places of an open invitation can be changed, added and taken away');
SELECT is(pg_temp.trail(format('SELECT pg_temp.offers(%L, %L)', :'standing', '{"shop": "viewer", "site": "admin"}')), 'invitation.workspace_added, invitation.workspace_role_changed, invitation.workspace_removed', 'S4.1 each with one entry');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE action LIKE 'invitation.workspace%' AND object_id = :'standing'), 8::bigint, 'S4.1 about that invitation');
SELECT is(pg_temp.trail(format('SELECT pg_temp.offers(%L, %L)', :'standing', '{"shop": "viewer", "site": "admin"}')), NULL, 'S4.1 what is so already writes none');
SELECT is(pg_temp.offers(:'standing', '[]'), '{}', 'S4.1 all of them can be taken away');
SELECT is(pg_temp.offers(:'standing', '["shop", "site"]'), '{"shop": "member", "site": "member"}', 'S4.1 and given again');
SELECT pg_temp.contents() AS before \gset
SELECT is(pg_temp.state_of(format('SELECT usermgmt.change_invitation_workspaces(%L, %L)', :'standing', p)), state, 'S4.1 refused with ' || state || ': ' || coalesce(p, 'NULL'))
	FROM (VALUES (NULL, '22023'), ('"site"', '22023'), ('{"site": "owner"}', '22023'), ('["42", "nowhere"]', 'UM002'), ('["42", "42"]', '22023')) AS v (p, state);
SELECT is(pg_temp.state_of($$SELECT usermgmt.change_invitation_workspaces(NULL, '{}')$$), '22023', 'S4.1 and without an invitation');
SELECT is_empty(format($$SELECT w FROM unnest(ARRAY['lead', 'worker', 'outsider']) AS w WHERE pg_temp.as_(w, 'SELECT usermgmt.change_invitation_workspaces(''%s'', ''{}'')') <> '42501'$$, :'standing'), 'S4.1 members change no invitation, nor do admins of a workspace');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S4.1 what was refused left nothing');
UPDATE usermgmt.invitation SET expires_at = now() - interval '1 hour' WHERE invitation_id = :'standing';
SELECT is(pg_temp.offers(:'standing', '{"42": "viewer"}'), '{"42": "viewer"}', 'S4.1 an expired one can be changed too, before it is reopened');
SELECT status AS x FROM usermgmt.resend_invitation(:'standing') \gset
SELECT is(pg_temp.accept(:'standing') || ' ' || pg_temp.places('standby@acme.test'), 'ok 42:viewer', 'S4.3 acceptance gives exactly what is offered then');
SELECT pg_temp.invite('revoked@acme.test') AS revoked, pg_temp.invite('declined@acme.test') AS declined \gset
SELECT status AS x FROM usermgmt.revoke_invitation(:'revoked') \gset
SELECT status AS x FROM usermgmt.decline_invitation(pg_temp.token_of(:'declined')) \gset
SELECT is(pg_temp.try(format('SELECT usermgmt.change_invitation_workspaces(%L, %L)', i, p)), 'UM036', 'S0.3 no change of one that is ' || what)
	FROM (VALUES ('accepted', :'standing'), ('revoked', :'revoked'), ('declined', :'declined')) AS v (what, i), unnest(ARRAY['["site"]', '{}']) AS p;
SELECT is_empty('SELECT i.invitation_id FROM usermgmt.invitation_workspace AS p JOIN usermgmt.invitation AS i USING (invitation_id, tenant_id) WHERE p.is_open <> (i.state = ''pending'')', 'S4.12 places are open exactly as long as their invitation');

-- The trail (S0.15).
SELECT is(pg_temp.trail(s), entries, 'S0.15 one entry: ' || coalesce(entries, 'none for what changes nothing')) FROM (VALUES
	(1, $$SELECT usermgmt.create_workspace('trail', 'Trail')$$, 'workspace.created'),
	(2, $$SELECT usermgmt.update_workspace(pg_temp.ws('trail'), name => 'Trails')$$, 'workspace.updated'),
	(3, $$SELECT usermgmt.update_workspace(pg_temp.ws('trail'), name => 'Trails', slug => 'trail', settings => '{}')$$, NULL),
	(4, $$SELECT usermgmt.set_workspace_member(pg_temp.ws('trail'), pg_temp.id_of('worker@acme.test'))$$, 'workspace.member_added worker@acme.test'),
	(5, $$SELECT usermgmt.set_workspace_member(pg_temp.ws('trail'), pg_temp.id_of('worker@acme.test'), 'admin')$$, 'workspace.member_role_changed worker@acme.test'),
	(6, $$SELECT usermgmt.remove_workspace_member(pg_temp.ws('trail'), pg_temp.id_of('worker@acme.test'))$$, 'workspace.member_removed worker@acme.test'),
	(7, $$SELECT usermgmt.archive_workspace(pg_temp.ws('trail'))$$, 'workspace.archived'),
	(8, $$SELECT usermgmt.restore_workspace(pg_temp.ws('trail'))$$, 'workspace.restored'),
	(9, $$UPDATE usermgmt.workspace SET archived_at = now() WHERE slug = 'trail'$$, 'workspace.archived'),
	(10, $$INSERT INTO usermgmt.workspace_member (tenant_id, workspace_id, user_id, role) SELECT tenant_id, workspace_id, pg_temp.id_of('viewer@acme.test'), 'member' FROM usermgmt.workspace WHERE slug = 'trail'$$, 'workspace.member_added viewer@acme.test'),
	(11, $$SELECT usermgmt.invite_user('trail@acme.test', workspaces => '["site", "shop"]')$$, 'invitation.created trail@acme.test, invitation.workspace_added, invitation.workspace_added')) AS v (n, s, entries) ORDER BY n;
SELECT results_eq($$SELECT actor_email, old, new ->> 'role', object_id = pg_temp.ws('site')::text FROM usermgmt.audit_trail WHERE action = 'workspace.member_added' AND subject_email = 'viewer@acme.test' ORDER BY event_id LIMIT 1$$,
	$$VALUES ('lead@acme.test', NULL::jsonb, 'viewer', true)$$, 'S0.15 which says who, whom, where and what');
SELECT results_eq($$SELECT old, new FROM usermgmt.audit_trail WHERE action = 'workspace.member_role_changed' AND object_id = pg_temp.ws('trail')::text$$, $$VALUES ('{"role": "member"}'::jsonb, '{"role": "admin"}'::jsonb)$$, 'S0.15 and for a change what it was before');

-- Health (S4.12): 60 for the share of people who logged in within inactive_after, 20 for that of open invitations no older than three days, 20 for the last activity.
SELECT pg_temp.tenant('gamma') AS gamma_id \gset
-- A workspace with these people, given as hours since the last login and since last seen (NULL: never), and open invitations by age in hours.
CREATE FUNCTION pg_temp.clinic(logins float[], seen float[], invited float[] DEFAULT '{}') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	tenant uuid := (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'gamma');
	number text := (SELECT count(*) FROM usermgmt.workspace WHERE tenant_id = tenant);
	workspace uuid := (SELECT workspace_id FROM usermgmt.create_workspace('clinic-' || number, 'Clinic'));
	person uuid;
	offered uuid;
BEGIN
	FOR i IN 1 .. cardinality(logins) LOOP
		INSERT INTO usermgmt.account (user_id, email, canonical_email) VALUES (gen_random_uuid(), format('p%s-%s@gamma.test', number, i), '') RETURNING user_id INTO person;
		INSERT INTO usermgmt.membership (tenant_id, user_id, role, last_login_at, last_seen_at)
			VALUES (tenant, person, 'member', clock_timestamp() - logins[i] * interval '1 hour', clock_timestamp() - seen[i] * interval '1 hour');
		PERFORM usermgmt.set_workspace_member(workspace, person, 'viewer');
	END LOOP;
	FOR i IN 1 .. cardinality(invited) LOOP
		SELECT invitation_id INTO offered FROM usermgmt.invite_user(format('i%s-%s@gamma.test', number, i), workspaces => jsonb_build_array(workspace));
		UPDATE usermgmt.invitation SET created_at = clock_timestamp() - invited[i] * interval '1 hour' WHERE invitation_id = offered;
	END LOOP;
	RETURN workspace;
END $$;
CREATE TEMPORARY TABLE clinic AS SELECT n, what, expected, pg_temp.clinic(logins, seen, invited) AS workspace_id FROM (VALUES
	(1, 'nobody works in it', 0, '{}'::float[], '{}'::float[], '{}'::float[]),
	(2, 'nobody works in it, though people are invited', 0, '{}', '{}', '{1}'),
	(3, 'all is well', 100, '{1}', '{1}', '{}'),
	(4, 'all is well, and the invitations are fresh', 100, '{1,100,719}', '{1,200,700}', '{0,71.9}'),
	(5, 'nobody ever logged in, and every invitation waits', 0, '{NULL,NULL}', '{NULL,NULL}', '{100,72}'),
	(6, 'nobody ever logged in', 20, '{NULL}', '{NULL}', '{}'),
	(7, 'the last login was long ago, the last activity now', 40, '{721}', '{0}', '{}'),
	(8, 'the last login is a little less than 30 days ago', 100, '{719.9}', '{0}', '{}'),
	(9, 'two of three are active, seen half-way between a week and 30 days ago', 70, '{1,1,800}', '{444,800,NULL}', '{}'),
	(10, 'one of three is active, one of four invitations waits', 55, '{1,800,NULL}', '{1,800,NULL}', '{1,2,3,73}'),
	(11, 'seen a little less than a week ago', 100, '{1}', '{167.9}', '{}'),
	(12, 'seen a quarter of the way', 95, '{1}', '{306}', '{}'),
	(13, 'seen three quarters of the way', 85, '{1}', '{582}', '{}'),
	(14, 'seen almost 30 days ago', 80, '{1}', '{719}', '{}'),
	(15, 'seen 30 days ago', 80, '{1}', '{720}', '{}'),
	(16, 'three of seven are active: 25.7 + 40 is rounded up', 66, '{1,1,1,900,900,900,900}', '{1,1,1,1,1,1,1}', '{}'),
	(17, 'one of three active, one of three waiting: 53.3 is rounded down', 53, '{1,900,900}', '{1,1,1}', '{1,1,99}'),
	(18, 'one of eight active, one of eight waiting: 7.5 + 17.5 + 20', 45, '{1,900,900,900,900,900,900,900}', '{1,1,1,1,1,1,1,1}', '{1,1,1,1,1,1,1,99}'),
	(19, 'only waiting invitations are wrong', 80, '{1}', '{1}', '{72.1}'),
	(20, 'a login in the future, as after a clock went back', 100, '{-24}', '{-24}', '{}')) AS v (n, what, expected, logins, seen, invited);
SELECT is(usermgmt.workspace_health(workspace_id), expected, 'S4.12 health when ' || what) FROM clinic ORDER BY n;
SELECT results_eq($$SELECT c.what, w.health FROM usermgmt.workspaces AS w JOIN clinic AS c USING (workspace_id) ORDER BY c.n$$, 'SELECT what, expected FROM clinic ORDER BY n', 'S4.13 the list shows the same');
SELECT is_empty('SELECT slug, health FROM usermgmt.workspaces WHERE health NOT BETWEEN 0 AND 100 OR health IS NULL', 'S4.12 health is from 0 to 100');
SELECT results_eq($$SELECT (f).members, (f).active_members, (f).open_invitations, (f).overdue_invitations FROM (SELECT usermgmt.workspace_facts(workspace_id) AS f FROM clinic WHERE n = 10) AS x$$, 'VALUES (3, 1, 4, 1)', 'S4.12 and what it is made of can be read');
-- What is over does not count, an expired invitation does.
SELECT pg_temp.clinic('{1}', '{1}', '{100,100,100,1}') AS clinic \gset
SELECT array_agg(invitation_id ORDER BY invitation_id) AS invited FROM usermgmt.invitation_workspace WHERE workspace_id = :'clinic' \gset
SELECT is(usermgmt.workspace_health(:'clinic'), 85, 'S4.12 three of four invitations wait');
UPDATE usermgmt.invitation SET expires_at = now() - interval '1 hour' WHERE invitation_id = (:'invited'::uuid[])[1];
SELECT is(usermgmt.workspace_health(:'clinic'), 85, 'S4.12 an expired invitation waits as well');
SELECT status AS x FROM usermgmt.revoke_invitation((:'invited'::uuid[])[1]) \gset
SELECT is(usermgmt.workspace_health(:'clinic'), 87, 'S4.12 a revoked one does not: 80 + 20 / 3');
UPDATE usermgmt.invitation SET state = 'declined', declined_at = now() WHERE invitation_id = (:'invited'::uuid[])[2];
SELECT is(usermgmt.workspace_health(:'clinic'), 90, 'S4.12 nor does a declined one, by bare UPDATE: 80 + 20 / 2');
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(pg_temp.token_of((:'invited'::uuid[])[3]), 'a very good password')), 'ok', 'S4.3 and one is accepted');
SELECT is(usermgmt.workspace_health(:'clinic'), 100, 'S4.12 nor one that was accepted; the person counts, as just logged in');
SELECT is((usermgmt.workspace_facts(:'clinic')).members, 2, 'S4.12 as one of the people');
UPDATE usermgmt.membership SET last_login_at = NULL WHERE user_id IN (SELECT user_id FROM usermgmt.workspace_member WHERE workspace_id = :'clinic') AND user_id <> (SELECT accepted_by FROM usermgmt.invitation WHERE invitation_id = (:'invited'::uuid[])[3]);
SELECT is(usermgmt.workspace_health(:'clinic'), 70, 'S4.12 one of two is active');
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id IN (SELECT user_id FROM usermgmt.workspace_member WHERE workspace_id = :'clinic') AND last_login_at IS NULL;
SELECT is(usermgmt.workspace_health(:'clinic') || ' ' || (SELECT member_count FROM usermgmt.workspaces WHERE workspace_id = :'clinic'), '100 1', 'S4.12 a deactivated person counts on neither side');
SELECT pg_temp.clinic('{100,30}', '{100,100}') AS clinic \gset
UPDATE usermgmt.tenant SET settings = '{"inactive_after": "5d"}' WHERE slug = 'gamma';
SELECT is(usermgmt.workspace_health(:'clinic'), 100, 'S4.12 inactive_after of the tenant counts: less than a week, within it');
UPDATE usermgmt.tenant SET settings = '{"inactive_after": "4d"}' WHERE slug = 'gamma';
SELECT is(usermgmt.workspace_health(:'clinic'), 50, 'S4.12 less than a week, past it');
UPDATE usermgmt.tenant SET settings = '{"inactive_after": "7d"}' WHERE slug = 'gamma';
SELECT is(usermgmt.workspace_health(:'clinic'), 100, 'S4.12 a week');
UPDATE usermgmt.tenant SET settings = '{"inactive_after": "1"}' WHERE slug = 'gamma';
SELECT is(usermgmt.workspace_health(:'clinic'), 20, 'S4.12 a second');
UPDATE usermgmt.tenant SET settings = '{"inactive_after": "3650d"}' WHERE slug = 'gamma';
SELECT is_empty('SELECT slug, health FROM usermgmt.workspaces WHERE health NOT BETWEEN 0 AND 100', 'S4.12 ten years');
UPDATE usermgmt.tenant SET settings = '{}' WHERE slug = 'gamma';
SET LOCAL usermgmt.inactive_after = '99h';
SELECT is(usermgmt.workspace_health(:'clinic'), 50, 'S4.12 else the server''s');
RESET usermgmt.inactive_after;

-- Of many people the numbers are kept; each is looked at only where these do not tell.
SELECT pg_temp.clinic(array_agg(CASE WHEN i <= 60 THEN 1 WHEN i <= 90 THEN 719.9 WHEN i <= 119 THEN 720.1 WHEN i <= 300 THEN 2000 END ORDER BY i), array_agg(i + 1.0::float ORDER BY i)) AS crowd FROM generate_series(1, 325) AS i \gset
CREATE TEMPORARY VIEW counted AS SELECT count(*) AS members, count(*) FILTER (WHERE m.last_login_at > statement_timestamp() - interval '30 days') AS active_members, max(m.last_seen_at) AS last_active_at
	FROM usermgmt.workspace_member AS w JOIN usermgmt.membership AS m USING (tenant_id, user_id) WHERE w.workspace_id = current_setting('tap.crowd')::uuid AND m.status = 'active';
SELECT set_config('tap.crowd', :'crowd', true) AS x \gset
PREPARE crowd AS SELECT (f).members::bigint, (f).active_members::bigint, (f).last_active_at FROM (SELECT usermgmt.workspace_facts(current_setting('tap.crowd')::uuid) AS f) AS x;
SELECT is((members, active_members)::text, '(325,90)', 'S4.12 of 325 people 90 logged in within 30 days') FROM counted;
SELECT results_eq('crowd', 'TABLE counted', 'S4.12 which their kept number tells, to the second');
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id IN (SELECT m.user_id FROM usermgmt.workspace_member JOIN usermgmt.membership AS m USING (tenant_id, user_id) WHERE workspace_id = :'crowd' ORDER BY m.last_seen_at DESC LIMIT 7);
SELECT results_eq('crowd', 'TABLE counted', 'S4.12 also when the latest are deactivated, by bare UPDATE');
UPDATE usermgmt.membership SET last_login_at = clock_timestamp() - interval '30 days' + interval '1 minute', role = 'admin' WHERE user_id IN (SELECT user_id FROM usermgmt.workspace_member WHERE workspace_id = :'crowd' ORDER BY user_id DESC LIMIT 20);
SELECT results_eq('crowd', 'TABLE counted', 'S4.12 and when some log in and have another role');
DELETE FROM usermgmt.membership WHERE user_id IN (SELECT user_id FROM usermgmt.workspace_member WHERE workspace_id = :'crowd' ORDER BY user_id DESC LIMIT 3);
DELETE FROM usermgmt.workspace_member WHERE workspace_id = :'crowd' AND user_id IN (SELECT user_id FROM usermgmt.workspace_member WHERE workspace_id = :'crowd' ORDER BY user_id DESC LIMIT 2);
SELECT results_eq('crowd', 'TABLE counted', 'S4.12 and when some leave the tenant or only the workspace');
UPDATE usermgmt.membership SET last_seen_at = NULL WHERE user_id IN (SELECT user_id FROM usermgmt.workspace_member WHERE workspace_id = :'crowd');
SELECT results_eq('crowd', 'TABLE counted', 'S4.12 and when nobody was ever seen');
UPDATE usermgmt.workspace_member SET workspace_id = :'clinic' WHERE workspace_id = :'crowd' AND user_id IN (SELECT user_id FROM usermgmt.workspace_member WHERE workspace_id = :'crowd' ORDER BY user_id LIMIT 1);
SAVEPOINT kept;
DELETE FROM usermgmt.workspace_member WHERE workspace_id = :'crowd';
ROLLBACK TO kept;
SELECT results_eq('crowd', 'TABLE counted', 'S4.12 nor is anything counted that was rolled back');
SELECT is_empty($$SELECT * FROM usermgmt.check() WHERE problem = 'members are counted wrong'$$, 'R18 whatever happened in all these workspaces, it is counted');
SAVEPOINT kept;
SELECT usermgmt.run_maintenance() IS NOT NULL AS x \gset
SELECT is_empty($$SELECT * FROM usermgmt.check() WHERE problem = 'members are counted wrong'$$, 'R18 also when the counts are folded');
SET CONSTRAINTS ALL IMMEDIATE;
TRUNCATE usermgmt.workspace_member;
SELECT is_empty($$SELECT * FROM usermgmt.check() WHERE problem = 'members are counted wrong'$$, 'R18 and when all places are truncated');
ROLLBACK TO kept;

-- A function of the application's own.
SELECT usermgmt.use_tenant('acme') AS x \gset
CREATE SCHEMA tap_health;
CREATE ROLE tap_workspace_owner;
GRANT USAGE, CREATE ON SCHEMA tap_health TO tap_workspace_owner;
GRANT USAGE ON SCHEMA tap_health TO tap_workspace_app;
CREATE TABLE tap_health.score (workspace_id uuid, value integer);
ALTER TABLE tap_health.score OWNER TO tap_workspace_owner;
INSERT INTO tap_health.score VALUES (:'site', 42), (:'shop', 200), (:'office', -7);
SET LOCAL ROLE tap_workspace_owner;
CREATE FUNCTION tap_health.by_table(workspace uuid) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER SET search_path = tap_health AS 'SELECT value FROM score WHERE workspace_id = workspace';
CREATE FUNCTION tap_health.whoami(workspace uuid) RETURNS integer LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = tap_health AS $$BEGIN RETURN CASE current_user WHEN 'tap_workspace_owner' THEN 11 ELSE 99 END; END$$;
CREATE FUNCTION tap_health.nosy(workspace uuid) RETURNS integer LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = tap_health AS $$BEGIN RETURN (SELECT count(*) FROM usermgmt.account); END$$;
CREATE FUNCTION tap_health.pathless(workspace uuid) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT 50';
CREATE FUNCTION tap_health.invoker(workspace uuid) RETURNS integer LANGUAGE sql STABLE AS 'SELECT 50';
CREATE FUNCTION tap_health.bigger(workspace uuid) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = tap_health AS 'SELECT 50::bigint';
CREATE FUNCTION tap_health.many(workspace uuid) RETURNS SETOF integer LANGUAGE sql STABLE SECURITY DEFINER SET search_path = tap_health AS 'SELECT 50';
CREATE FUNCTION tap_health.by_text(workspace text) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT 50';
CREATE FUNCTION tap_health.fails(workspace uuid) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER SET search_path = tap_health AS 'SELECT 1 / 0';
CREATE PROCEDURE tap_health.procedure(workspace uuid) LANGUAGE sql SECURITY DEFINER AS 'SELECT 50';
RESET ROLE;
REVOKE ALL ON ALL ROUTINES IN SCHEMA tap_health FROM PUBLIC;
SET LOCAL usermgmt.workspace_health_function = 'tap_health.by_table';
SELECT is(usermgmt.workspace_health(:'site'), 42, 'S4.12 the application may put a function of its own in place of the formula');
SELECT is(usermgmt.workspace_health(:'shop') || ' ' || usermgmt.workspace_health(:'office'), '100 0', 'S4.12 whose word is held between 0 and 100');
SELECT results_eq($$SELECT slug, health FROM usermgmt.workspaces WHERE slug <> 'trail' ORDER BY slug$$, $$VALUES ('42', 0), ('shop', 100), ('site', 42)$$, 'S4.13 also in the list');
SELECT is(pg_temp.sees('viewer@acme.test', format('SELECT usermgmt.workspace_health(%L)', :'site')), '42', 'S4.12 for a role that may neither call the function nor read its table');
SELECT is(pg_temp.sees('viewer@acme.test', format('SELECT usermgmt.workspace_health(%L)', :'office')), 'error UM002', 'S4.12 but only about a workspace that the person may see');
DELETE FROM tap_health.score WHERE workspace_id = :'site';
SELECT is(usermgmt.workspace_health(:'site'), NULL, 'S4.12 it may have no answer');
SELECT is((SELECT health IS NULL AND member_count = 5 FROM usermgmt.workspaces WHERE slug = 'site'), true, 'S4.13 and the list shows none, with everything else');
SET LOCAL usermgmt.workspace_health_function = 'tap_health.whoami';
SELECT is(usermgmt.workspace_health(:'site') || ' ' || pg_temp.sees('viewer@acme.test', format('SELECT usermgmt.workspace_health(%L)', :'site')) || ' ' || pg_temp.sees('viewer@acme.test', 'SELECT health FROM usermgmt.workspaces'), '11 11 11', 'S4.12 it runs with its owner''s rights');
SET LOCAL usermgmt.workspace_health_function = 'tap_health.nosy';
SELECT is(pg_temp.try(format('SELECT usermgmt.workspace_health(%L)', :'site')), '42501', 'S4.12 not with ours');
SELECT is(pg_temp.try(format('SET LOCAL usermgmt.workspace_health_function = %L; SELECT usermgmt.workspace_health(%L)', f, :'site')), state, 'S4.12 refused: ' || what) FROM (VALUES ('a function that is no SECURITY DEFINER', 'tap_health.invoker', '42P17'), ('one that reads by the path of whoever calls it', 'tap_health.pathless', '42P17'), ('the extension''s own', 'usermgmt.workspace_health', '42P17'),
	('one that returns something else', 'tap_health.bigger', '42P17'), ('one that returns a set', 'tap_health.many', '42P17'), ('a procedure', 'tap_health.procedure', '42883'), ('an aggregate', 'pg_catalog.max', '42883'), ('one that takes something else', 'tap_health.by_text', '42883'),
	('one that does not exist', 'tap_health.none', '42883'), ('one in no schema', 'nowhere.none', '3F000'), ('what is no name', 'a..b', '42602')) AS v (what, f, state);
SET LOCAL usermgmt.workspace_health_function = 'tap_health.fails';
SELECT is(pg_temp.try('SELECT * FROM usermgmt.workspaces'), '22012', 'S4.12 the function''s own errors are shown');
SET LOCAL usermgmt.workspace_health_function = 'tap_health.by_table';
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'admin@acme.test')) \gset
SELECT is(pg_temp.run_as('tap_workspace_app', 'SET LOCAL usermgmt.workspace_health_function = ''tap_health.whoami'''), 'error 42501', 'S4.12 the application''s role does not choose the function');
SELECT usermgmt.end_use() AS x \gset
RESET usermgmt.workspace_health_function;

-- Many at once (C11, S2.27).
SELECT pg_temp.tenant('delta') AS delta_id, pg_temp.join('adam@delta.test', 'admin') AS adam, pg_temp.join('dan@delta.test') AS dan, pg_temp.join('dora@delta.test') AS dora \gset
SELECT slug AS x FROM usermgmt.create_workspace('one', 'One') \gset
SELECT slug AS x FROM usermgmt.create_workspace('two', 'Two') \gset
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = :'dora' AND tenant_id = :'delta_id';
SELECT pg_temp.invite('open@delta.test') AS open, pg_temp.invite('expired@delta.test') AS expired, pg_temp.invite('revoked@delta.test') AS revoked \gset
UPDATE usermgmt.invitation SET expires_at = now() - interval '1 hour' WHERE invitation_id = :'expired';
SELECT status AS x FROM usermgmt.revoke_invitation(:'revoked') \gset
SELECT usermgmt.allow_invite_domain('delta.test') AS x \gset
CREATE TEMPORARY TABLE invited AS SELECT * FROM usermgmt.invite_users(ARRAY['one@delta.test', 'no address', NULL, ' Two@Delta.test ', 'dan@delta.test', 'DORA@delta.test', 'open@delta.test', 'expired@delta.test', 'x@elsewhere.test', 'One@delta.test', '', 'revoked@delta.test',
	E'x@delta.test\r\nbcc: y@delta.test', 'owner@delta.test', 'three@delta.test', repeat('x', 100000)], 'admin', '{"one": "viewer", "two": "admin"}', 'Welcome!') WITH ORDINALITY;
SELECT results_eq('SELECT left(email, 20), outcome, invitation_id IS NOT NULL FROM invited ORDER BY ordinality', $$VALUES ('one@delta.test', 'invited', true), ('no address', 'invalid_address', false), (NULL, 'invalid_address', false), (' Two@Delta.test ', 'invited', true),
		('dan@delta.test', 'already_member', false), ('DORA@delta.test', 'already_member', false), ('open@delta.test', 'already_invited', false), ('expired@delta.test', 'already_invited', false), ('x@elsewhere.test', 'domain_not_allowed', false),
		('One@delta.test', 'already_invited', false), ('', 'invalid_address', false), ('revoked@delta.test', 'invited', true), (left(E'x@delta.test\r\nbcc: y@delta.test', 20), 'invalid_address', false), ('owner@delta.test', 'already_member', false), ('three@delta.test', 'invited', true),
		(repeat('x', 20), 'invalid_address', false)$$,
	'C11 of many addresses each has its outcome, in their order, and a bad one does not stop the others');
SELECT results_eq('SELECT i.email, i.role, i.workspaces, i.message, i.status, i.expires_at - i.created_at FROM usermgmt.invitations AS i JOIN invited USING (invitation_id) ORDER BY ordinality',
	$$SELECT e, 'admin', '{"one": "viewer", "two": "admin"}'::jsonb, 'Welcome!', 'pending', interval '7 days' FROM unnest(ARRAY['one@delta.test', 'Two@Delta.test', 'revoked@delta.test', 'three@delta.test']) AS e$$, 'C11 role, message and workspaces are those of all');
SELECT results_eq('SELECT recipient, count(*), min(state), min(kind) FROM usermgmt.mail_queue WHERE subject_id IN (SELECT invitation_id FROM invited) GROUP BY recipient ORDER BY recipient COLLATE "C"',
	$$VALUES ('Two@Delta.test', 1::bigint, 'queued', 'invitation'), ('one@delta.test', 1, 'queued', 'invitation'), ('revoked@delta.test', 1, 'queued', 'invitation'), ('three@delta.test', 1, 'queued', 'invitation')$$, 'C11 each gets one mail');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE action = 'invitation.created' AND object_id IN (SELECT invitation_id::text FROM invited)), 4::bigint, 'S0.15 and one entry');
SELECT is(pg_temp.accept((SELECT invitation_id FROM invited WHERE ordinality = 15)) || ' ' || pg_temp.places('three@delta.test'), 'ok one:viewer two:admin', 'S4.3 their links work');
SELECT pg_temp.contents() AS before \gset
SELECT set_eq($$SELECT outcome FROM usermgmt.invite_users(ARRAY['no address', NULL, 'dan@delta.test', 'one@delta.test', 'x@elsewhere.test'], workspaces => '["one"]')$$, $$VALUES ('invalid_address'), ('already_member'), ('already_invited'), ('domain_not_allowed')$$, 'C11 of those who are not invited');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'C11 nothing is left behind');
SELECT is_empty($$SELECT * FROM usermgmt.invite_users('{}')$$, 'C11 nobody is invited of nobody');
SELECT is_empty($$SELECT c, pg_temp.state_of('SELECT * FROM usermgmt.invite_users(' || c || ')') FROM unnest(ARRAY['NULL', '(SELECT array_agg(n || ''@delta.test'') FROM generate_series(1, 10001) AS n)', '(SELECT array_agg(ARRAY[n || ''@delta.test'', n || ''x@delta.test'']) FROM generate_series(1, 5001) AS n)',
		'''{a@delta.test}'', ''boss''', '''{a@delta.test}'', message => repeat(''x'', 2001)', '''{a@delta.test}'', workspaces => ''"one"''', '''{a@delta.test}'', workspaces => ''{"one": "owner"}''', '''{}'', workspaces => ''["one", "one"]''']) AS c
		WHERE pg_temp.state_of('SELECT * FROM usermgmt.invite_users(' || c || ')') <> '22023'$$, 'C11 refused as a whole: no array, more than 10,000, a role, message or workspaces that do not fit');
SELECT is(pg_temp.state_of($$SELECT * FROM usermgmt.invite_users('{a@delta.test}', 'owner')$$), 'UM038', 'C3 C11 owners are not invited, as a whole');
SELECT is(pg_temp.state_of($$SELECT * FROM usermgmt.invite_users('{a@delta.test}', workspaces => '["nowhere"]')$$), 'UM002', 'C11 nor into a workspace that is not there');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'C11 and nothing was written');
CREATE FUNCTION pg_temp.in_delta(who text, statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT pg_temp.act(%L, %L)', who || '@delta.test', statement))
$$;
SELECT is(pg_temp.in_delta('dan', c), '42501', 'C11 a member invites nobody: ' || c) FROM unnest(ARRAY['SELECT usermgmt.invite_users(''{a@delta.test}'')', 'SELECT usermgmt.invite_users(''{}'')']) AS c;
SELECT is(pg_temp.in_delta('adam', 'SELECT usermgmt.invite_users(''{a@delta.test}'', ''admin'')'), 'ok', 'C11 an admin does');
UPDATE usermgmt.tenant SET settings = '{"allow_owner_invitations": "on"}' WHERE slug = 'delta';
SELECT is(pg_temp.in_delta('adam', 'SELECT usermgmt.invite_users(''{a@delta.test}'', ''owner'')') || ' ' || pg_temp.in_delta('owner', 'SELECT usermgmt.invite_users(''{a@delta.test}'', ''owner'')'), '42501 ok', 'C11 nobody above the own role');
UPDATE usermgmt.tenant SET settings = '{"invitations_enabled": "off"}' WHERE slug = 'delta';
SELECT is(pg_temp.in_delta('adam', 'SELECT usermgmt.invite_users(''{a@delta.test}'')'), 'UM040', 'C11 nobody where invitations are switched off');
UPDATE usermgmt.tenant SET settings = '{}', suspended_at = now() WHERE slug = 'delta';
SELECT is(pg_temp.try('SELECT usermgmt.invite_users(''{a@delta.test}'')'), 'UM041', 'C11 nobody into a suspended tenant');
UPDATE usermgmt.tenant SET suspended_at = NULL WHERE slug = 'delta';
SELECT results_eq($$SELECT email, outcome FROM usermgmt.invite_users('[3:4][-1:0]={{p@delta.test,q@delta.test},{r@delta.test,p@delta.test}}') WITH ORDINALITY ORDER BY ordinality$$, $$VALUES ('p@delta.test', 'invited'), ('q@delta.test', 'invited'), ('r@delta.test', 'invited'), ('p@delta.test', 'already_invited')$$,
	'C11 an array of more dimensions is read row by row');
SELECT is((SELECT string_agg(outcome, ' ' ORDER BY ordinality) FROM usermgmt.invite_users((SELECT array_agg(CASE WHEN n <= 100 THEN 'Twice' ELSE 'twice' END || n % 100 || '@delta.test' ORDER BY n) FROM generate_series(1, 200) AS n)) WITH ORDINALITY),
	(SELECT string_agg(CASE WHEN n <= 100 THEN 'invited' ELSE 'already_invited' END, ' ' ORDER BY n) FROM generate_series(1, 200) AS n), 'C11 of one address twice the first is invited');
SELECT is((SELECT count(DISTINCT invitation_id) FROM generate_series(1, 20) AS n, LATERAL usermgmt.invite_users(ARRAY[n || 'a@delta.test', n || 'b@delta.test'])), 40::bigint, 'C11 it can be called for many rows of a query');
SELECT results_eq($$SELECT role, message, workspaces FROM usermgmt.invitations WHERE email IN ('q@delta.test', '1a@delta.test')$$, $$VALUES ('member', NULL::text, '{}'::jsonb), ('member', NULL, '{}')$$, 'C11 by default as members, without message and workspaces');
CREATE TEMPORARY TABLE csv (line integer, email text);
INSERT INTO csv SELECT n, format('csv%s@delta.test', n) FROM generate_series(1, 500) AS n;
SELECT results_eq($$SELECT count(*), count(DISTINCT u.email), min(outcome), max(outcome) FROM usermgmt.invite_users((SELECT array_agg(email ORDER BY line) FROM csv)) AS u$$, $$VALUES (500::bigint, 500::bigint, 'invited', 'invited')$$, 'S2.27 C11 a file of addresses is plain SQL');

-- Identifiers as the outside sees them (S4.18).
SELECT is_empty($$SELECT k, u FROM (SELECT gen_random_uuid() AS u FROM generate_series(1, 2000)) AS r, unnest(ARRAY['user', 'inv', 'ws']) AS k WHERE usermgmt.id(usermgmt.public_id(k, u)) <> u OR usermgmt.public_id(k, u) !~ ('^' || k || '_[0-7][0-9a-hjkmnp-tv-z]{25}$')$$,
	'S4.18 every id has an opaque form of 26 digits, and comes back from it');
SELECT is_empty($$SELECT u FROM (SELECT overlay(repeat('0', 32) PLACING d FROM p)::uuid AS u FROM generate_series(1, 32) AS p, unnest(ARRAY['1', '2', '4', '8', 'f']) AS d) AS r WHERE usermgmt.id(usermgmt.public_id('ws', u)) <> u$$, 'S4.18 each bit counts');
SELECT is_empty($$SELECT * FROM (SELECT u, usermgmt.public_id('ws', u) COLLATE "C" < lead(usermgmt.public_id('ws', u) COLLATE "C") OVER (ORDER BY u) AS rises FROM (SELECT gen_random_uuid() AS u FROM generate_series(1, 2000)) AS r) AS s WHERE NOT rises$$, 'S4.18 which sorts as the ids do');
SELECT is(usermgmt.public_id('user', '01890a5d-ac96-774b-bcce-b302099a8057'), 'user_01h455vb4pex5vsknk084sn02q', 'S4.18 as TypeID has it');
SELECT results_eq($$SELECT u, usermgmt.public_id('inv', u), usermgmt.id(usermgmt.public_id('inv', u)) = u FROM unnest(ARRAY['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff']::uuid[]) AS u$$,
	$$VALUES ('00000000-0000-0000-0000-000000000000'::uuid, 'inv_00000000000000000000000000', true), ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'inv_7zzzzzzzzzzzzzzzzzzzzzzzzz', true)$$, 'S4.18 the least and the greatest id included');
SELECT is(usermgmt.id('FFFFFFFF-0000-4abc-8DEF-ffffffffffff'), 'ffffffff-0000-4abc-8def-ffffffffffff'::uuid, 'S4.18 a uuid passes, in upper case too');
SELECT is_empty($$SELECT t FROM unnest(ARRAY['', ' ', 'user', 'user_', '_01h455vb4pex5vsknk084sn02q', '01h455vb4pex5vsknk084sn02q', 'ws_81h455vb4pex5vsknk084sn02q', 'ws_zzzzzzzzzzzzzzzzzzzzzzzzzz', 'ws_01h455vb4pex5vsknk084sn02', 'ws_01h455vb4pex5vsknk084sn02qq',
		'WS_01h455vb4pex5vsknk084sn02q', 'ws_01H455VB4PEX5VSKNK084SN02Q', 'ws_01h455vb4pex5vsknk084sn0iq', 'ws_01h455vb4pex5vsknk084sn0lq', 'ws_01h455vb4pex5vsknk084sn0oq', 'ws_01h455vb4pex5vsknk084sn0uq', 'ws_01h455vb4pex5vsknk084sn0-q', ' ws_01h455vb4pex5vsknk084sn02q',
		'ws_01h455vb4pex5vsknk084sn02q ', E'ws_01h455vb4pex5vsknk084sn02q\n', 'team_01h455vb4pex5vsknk084sn02q', 'ws_ws_01h455vb4pex5vsknk084sn02q', 'ws_01890a5d-ac96-774b-bcce-b302099a8057', '01890a5dac96774bbcceb302099a8057', '{01890a5d-ac96-774b-bcce-b302099a8057}',
		'01890a5d-ac96-774b-bcce-b302099a805', '01890a5d-ac96-774b-bcce-b302099a805g', '01890a5d-ac96-774b-bcceb-302099a8057', 'ws_01h455vb4pex5vsknk084sn0éq', 'ws_éééééééééééééééééééééééééé', repeat('ws_', 100000)]) AS t WHERE pg_temp.try(format('SELECT usermgmt.id(%L)', t)) <> '22023'$$,
	'S4.18 everything else is refused');
SELECT is_empty($$SELECT k FROM unnest(ARRAY['', 'User', 'users', 'ws_', 'u', 'tenant']) AS k WHERE pg_temp.try(format('SELECT usermgmt.public_id(%L, gen_random_uuid())', k)) <> '22023'$$, 'S4.18 and every other kind');
SELECT is(concat(usermgmt.id(NULL), usermgmt.public_id(NULL, gen_random_uuid()), usermgmt.public_id('ws', NULL)), '', 'S4.18 of NULL there is none');
SELECT is(pg_temp.run_as('tap_workspace_app', $$SELECT usermgmt.id(usermgmt.public_id('ws', '01890a5d-ac96-774b-bcce-b302099a8057'))$$), '01890a5d-ac96-774b-bcce-b302099a8057', 'S4.18 the application may use both');

-- Both at once, by plain SQL: a statement that changes a membership and its places counts once.
CREATE FUNCTION pg_temp.miscounted(statements text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	found bigint;
BEGIN
	EXECUTE format('WITH a AS (%s RETURNING 1), b AS (%s RETURNING 1) SELECT', VARIADIC statements);
	SELECT count(*) INTO found FROM usermgmt.check() WHERE problem = 'members are counted wrong';
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN found;
END $$;
SELECT pg_temp.tenant('both') AS both_id, pg_temp.join('in@both.test') AS placed, pg_temp.join('out@both.test') AS free \gset
SELECT workspace_id AS first FROM usermgmt.create_workspace('first', 'First') \gset
SELECT workspace_id AS second FROM usermgmt.create_workspace('second', 'Second') \gset
SELECT role AS x FROM usermgmt.set_workspace_member(:'first', :'placed') \gset
CREATE TEMPORARY TABLE change AS SELECT what, format(statement, :'placed', :'free', :'both_id', :'first', :'second') AS statement FROM (VALUES
	('role', 'UPDATE usermgmt.membership SET role = ''admin'' WHERE user_id IN (%1$L, %2$L)'),
	('log-in', 'UPDATE usermgmt.membership SET last_login_at = now() - INTERVAL ''40 days'' WHERE user_id IN (%1$L, %2$L)'),
	('status', 'UPDATE usermgmt.membership SET status = ''deactivated'' WHERE user_id IN (%1$L, %2$L)'),
	('leaving', 'DELETE FROM usermgmt.membership WHERE user_id = %1$L'),
	('place given', 'INSERT INTO usermgmt.workspace_member (tenant_id, workspace_id, user_id, role) VALUES (%3$L, %5$L, %2$L, ''member'')'),
	('place taken', 'DELETE FROM usermgmt.workspace_member WHERE user_id = %1$L'),
	('place moved', 'UPDATE usermgmt.workspace_member SET workspace_id = %5$L WHERE user_id = %1$L')) AS c (what, statement);
SELECT is(pg_temp.miscounted(ARRAY[a.statement, b.statement]), 0::bigint, format('S3.10 counted once: %s and %s in one statement', a.what, b.what))
	FROM change AS a, change AS b WHERE (a.what LIKE 'place%') <> (b.what LIKE 'place%') AND (a.what, b.what) NOT IN (('leaving', 'place moved'), ('place moved', 'leaving'));

SELECT * FROM finish();
ROLLBACK;
