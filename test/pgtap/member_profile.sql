-- Profiles and metadata: what people and applications keep about a person, a tenant, a workspace.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('beta') AS beta_id, pg_temp.id_of('owner@beta.test') AS beta_owner, pg_temp.join('eve@beta.test') AS eve \gset
SELECT workspace_id AS beta_ws FROM usermgmt.create_workspace('site', 'Site') \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ada@acme.test', 'admin') AS ada, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('carol@acme.test') AS carol \gset
SELECT pg_temp.id_of('owner@acme.test') AS owner, workspace_id AS ws FROM usermgmt.create_workspace('site', 'Site') \gset
CREATE FUNCTION pg_temp.as_(who text, statement text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE who WHEN 'operator' THEN pg_temp.try(statement) ELSE pg_temp.try(format('SELECT pg_temp.act(%L, %L)', who || '@acme.test', statement)) END
$$;
CREATE FUNCTION pg_temp.live(address text) RETURNS boolean LANGUAGE sql AS $$
	SELECT pg_temp.try((SELECT format('SELECT usermgmt.use_session(%L)', token) FROM person WHERE email = address)) = 'ok'
$$;
CREATE ROLE tap_profile_app;
SELECT usermgmt.grant_access('tap_profile_app', 'application') AS x \gset

-- The own name.
SELECT is(pg_temp.act('bob@acme.test', $$SELECT pg_temp.run_as('tap_profile_app', 'SELECT concat_ws('' '', user_id, name, email, role, status, activity) FROM usermgmt.update_profile(''  Bob B. '')')$$), :'bob' || ' Bob B. bob@acme.test member active active', 'S4.5 people change their own name, and see their row');
SELECT results_eq(format('SELECT action, actor_user_id, old, new FROM usermgmt.audit_event WHERE tenant_id = %L AND object_id = %L AND object_type = %L AND action <> %L', :'acme_id', :'bob', 'account', 'account.created'), format($$VALUES ('account.updated', %L::uuid, '{"name": null}'::jsonb, '{"name": "Bob B."}'::jsonb)$$, :'bob'), 'S0.15 one entry tells of it');
SELECT pg_temp.contents() AS before \gset
SELECT pg_temp.act('bob@acme.test', $$SELECT name FROM usermgmt.update_profile('Bob B.')$$) AS x \gset
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S0.15 the same name changes nothing');
SELECT is(pg_temp.as_('bob', format('SELECT usermgmt.update_profile(%L)', name)), '22023', 'S4.5 what is no name is refused: ' || what) FROM (VALUES ('none', NULL), ('too long a one', repeat('x', 201)), ('a line break', E'a\nb'), ('a control character', E'a\x1b[2J'), ('a tab', E'a\tb')) AS c (what, name);
SELECT is(pg_temp.act('bob@acme.test', format('SELECT name FROM usermgmt.update_profile(%L)', name)), name, 'S4.5 what is one is accepted') FROM unnest(ARRAY[repeat('x', 200), repeat('ä', 200), '<b>Bob</b> "Bobby" O''Hara {{link}}']) AS name;
SELECT is(pg_temp.act('bob@acme.test', format('SELECT coalesce(name, ''none'') FROM usermgmt.update_profile(%L)', name)), 'none', 'S4.5 an empty one takes it away') FROM unnest(ARRAY['', '   ']) AS name;
SELECT is(pg_temp.as_('operator', 'SELECT usermgmt.update_profile(''X'')'), 'UM001', 'S4.18 an operator has no profile');
SELECT is(pg_temp.run_as('tap_profile_app', 'SELECT usermgmt.update_profile(''X'')'), 'error UM001', 'S4.18 nor has who is not signed in');
SELECT is(pg_temp.contents('audit_event', 'account'), :'before'::jsonb - ARRAY['audit_event', 'account'], 'S4.5 the name is the account''s and nothing else''s');
SELECT is(pg_temp.live('bob@acme.test'), true, 'S4.5 a new name ends no session');
SELECT usermgmt.use_tenant('beta') AS x \gset
SELECT user_id AS x FROM usermgmt.accept_invitation(pg_temp.token_of(pg_temp.invite('bob@acme.test')), 'secret of bob@acme.test') \gset
SELECT pg_temp.act('bob@acme.test', $$SELECT name FROM usermgmt.update_profile('Bob')$$) AS x \gset
SELECT is((SELECT name FROM usermgmt.members WHERE user_id = :'bob') || (SELECT count(*) FROM usermgmt.audit_trail WHERE action = 'account.updated'), 'Bob0', 'S4.8 another tenant of the person shows the new name, and not where it was given');
SELECT usermgmt.use_tenant('acme') AS x \gset

-- Metadata: who may set whose.
CREATE TEMPORARY TABLE whose (what text, kind text, id text, owner text, ada text, bob text, operator text);
INSERT INTO whose VALUES
	('the tenant', 'tenant', :'acme_id', 'ok', 'ok', '42501', 'ok'),
	('a workspace', 'workspace', :'ws', 'ok', 'ok', '42501', 'ok'),
	('the membership of a member', 'membership', :'bob', 'ok', 'ok', '42501', 'ok'),
	('the membership of another one', 'membership', :'carol', 'ok', 'ok', '42501', 'ok'),
	('the membership of an admin', 'membership', :'ada', 'ok', 'ok', '42501', 'ok'),
	('the membership of the owner', 'membership', :'owner', 'ok', 'ok', '42501', 'ok'),
	('the account of a member', 'account', :'bob', 'UM002', 'UM002', 'ok', 'ok'),
	('the account of an admin', 'account', :'ada', 'UM002', 'ok', 'UM002', 'ok'),
	('the account of the owner', 'account', :'owner', 'ok', 'UM002', 'UM002', 'ok');
INSERT INTO whose SELECT what || ' as ' || kind, kind, id, 'UM002', 'UM002', CASE kind WHEN 'account' THEN 'UM002' ELSE '42501' END, 'UM002'
	FROM (VALUES ('another tenant', :'beta_id'), ('its workspace', :'beta_ws'), ('its member', :'eve'), ('its owner', :'beta_owner'), ('nothing', gen_random_uuid()::text), ('the zero id', '00000000-0000-0000-0000-000000000000')) AS i (what, id), unnest(ARRAY['tenant', 'workspace', 'membership', 'account']) AS kind
	UNION ALL SELECT 'a ' || k.kind || ' as ' || o.kind, o.kind, k.id, 'UM002', 'UM002', CASE o.kind WHEN 'account' THEN 'UM002' ELSE '42501' END, 'UM002'
	FROM (VALUES ('tenant', :'acme_id'), ('workspace', :'ws'), ('person', :'carol')) AS k (kind, id), unnest(ARRAY['tenant', 'workspace', 'membership', 'account']) AS o (kind) WHERE k.kind <> o.kind AND (k.kind <> 'person' OR o.kind IN ('tenant', 'workspace'));
SELECT pg_temp.contents() AS before \gset
SELECT is(pg_temp.as_(who.name, format('SELECT usermgmt.set_metadata(%L, %L, %L)', kind, id, '{"a": 1}')), who.outcome, 'S4.8 R10 ' || who.name || ' and ' || what || ': ' || who.outcome)
	FROM whose, LATERAL (VALUES ('owner', owner), ('ada', ada), ('bob', bob), ('operator', operator)) AS who (name, outcome) WHERE who.outcome <> 'UM002' AND what NOT LIKE '% as %';
SELECT is_empty($$SELECT who.name, what, who.outcome FROM whose, LATERAL (VALUES ('owner', owner), ('ada', ada), ('bob', bob), ('operator', operator)) AS who (name, outcome) WHERE pg_temp.as_(who.name, format('SELECT usermgmt.set_metadata(%L, %L, %L)', kind, id, '{"a": 1}')) <> who.outcome$$, 'S4.8 R10 ids of another tenant, of another kind and of nothing are the same: not found');
SELECT is(pg_temp.run_as('tap_profile_app', format('SELECT usermgmt.set_metadata(%L, %L, %L)', kind, id, '{"a": 1}')), 'error UM001', 'S4.18 without a session nobody sets any: ' || kind) FROM (VALUES ('tenant', :'acme_id'), ('workspace', :'ws'), ('membership', :'bob'), ('account', :'bob')) AS c (kind, id);

-- Which.
SELECT is(pg_temp.as_('operator', format('SELECT usermgmt.set_metadata(%L, %L, %L)', kind, :'acme_id', '{}')), '22023', 'there is no such kind: ' || coalesce(kind, 'null')) FROM unnest(ARRAY['Tenant', 'user', 'member', 'invitation', '', ' tenant', NULL]) AS kind;
SELECT is(pg_temp.as_('owner', format('SELECT usermgmt.set_metadata(%L, %L, %L)', kind, id, metadata)), '22023', 'metadata is an object, not ' || what || ': ' || kind)
	FROM (VALUES ('tenant', :'acme_id'), ('workspace', :'ws'), ('membership', :'bob'), ('account', :'owner')) AS k (kind, id),
		(VALUES ('null', NULL), ('JSON null', 'null'), ('a number', '1'), ('a string', '"{}"'), ('a truth', 'true'), ('an array', '[]'), ('an array of objects', '[{}]'), ('one of 100 kB', jsonb_build_object('x', repeat('x', 102400))::text)) AS m (what, metadata);
SELECT is(pg_temp.as_('owner', format('SELECT usermgmt.set_metadata(%L, NULL, %L)', kind, '{}')), '22023', 'it is something''s: ' || kind) FROM unnest(ARRAY['tenant', 'workspace', 'membership', 'account']) AS kind;
SELECT is(pg_temp.contents(), :'before'::jsonb, 'what was refused left nothing');
SELECT is(pg_temp.as_('owner', format('SELECT usermgmt.set_metadata(%L, %L, %L)', 'account', :'owner', jsonb_build_object('x', repeat('x', 99000)))), 'ok', 'a large one fits');

-- What it is then.
SELECT count(pg_temp.act(who || '@acme.test', format('SELECT usermgmt.set_metadata(%L, %L, %L)::text', kind, id, m))) AS x FROM (VALUES (1, 'ada', 'tenant', :'acme_id'), (2, 'ada', 'workspace', :'ws'), (3, 'ada', 'membership', :'bob'), (4, 'bob', 'account', :'bob')) AS c (n, who, kind, id), unnest(ARRAY['{"old": 1, "both": 1}', '{"both": {"deep": [1, null, "ü"]}}']) AS m \gset
SELECT results_eq(format('SELECT t.metadata, w.metadata, m.metadata, a.metadata FROM usermgmt.tenants AS t, usermgmt.workspaces AS w, usermgmt.members AS m, usermgmt.account AS a WHERE w.workspace_id = %L AND m.user_id = %L AND a.user_id = m.user_id', :'ws', :'bob'), $$SELECT m, m, m, m FROM (VALUES ('{"both": {"deep": [1, null, "ü"]}}'::jsonb)) AS v (m)$$, 'new metadata replaces the old, and the views show it');
SELECT is((SELECT string_agg(DISTINCT action, ',' ORDER BY action) FROM usermgmt.audit_event WHERE tenant_id = :'acme_id' AND new ->> 'metadata' = '{"both": {"deep": [1, null, "ü"]}}'), 'account.updated,tenant.updated,user.updated,workspace.updated', 'S0.15 R16 each is in the trail');
SELECT is((SELECT count(*) FROM usermgmt.membership WHERE user_id = :'bob' AND tenant_id = :'beta_id' AND metadata = '{}'), 1::bigint, 'S4.8 the membership in another tenant has its own');
SELECT is(pg_temp.live('bob@acme.test') AND pg_temp.live('ada@acme.test') AND pg_temp.live('owner@acme.test'), true, 'S1.12 nobody is signed out by it');
SELECT usermgmt.archive_workspace(:'ws') IS NULL AS x, usermgmt.deactivate_user(:'carol') IS NULL AS y \gset
SELECT is(pg_temp.as_('ada', format('SELECT usermgmt.set_metadata(%L, %L, %L)', kind, id, '{"a": 1}')), 'ok', 'also of what is not in use: ' || kind) FROM (VALUES ('workspace', :'ws'), ('membership', :'carol')) AS c (kind, id);
SELECT is(pg_temp.as_('carol', format('SELECT usermgmt.set_metadata(%L, %L, %L)', 'account', :'carol', '{"a": 1}')), 'UM001', 'S0.11 but not by who has no access');
SELECT account_closed AS x FROM usermgmt.remove_user(:'carol', confirm => true) \gset
SELECT is(pg_temp.as_('operator', format('SELECT usermgmt.set_metadata(%L, %L, %L)', kind, :'carol', '{"a": 1}')), 'UM002', 'S4.7 nor of who was removed: ' || kind) FROM unnest(ARRAY['membership', 'account']) AS kind;

SELECT * FROM finish();
ROLLBACK;
