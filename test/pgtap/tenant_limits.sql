-- Seats: reserved by invitations, taken by members, given back once, never oversold.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob \gset
CREATE FUNCTION pg_temp.counted() RETURNS text LANGUAGE sql AS $$
	SELECT members || '+' || invitations FROM usermgmt.seat_count WHERE tenant_id = usermgmt.current_tenant_id()
$$;
-- What the counters must be, counted from the rows.
CREATE FUNCTION pg_temp.actual() RETURNS text LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM usermgmt.membership WHERE tenant_id = usermgmt.current_tenant_id() AND status = 'active') || '+'
		|| (SELECT count(*) FROM usermgmt.invitation WHERE tenant_id = usermgmt.current_tenant_id() AND holds_seat)
$$;

-- No limit set means no limit, and nothing is counted.
SELECT count(pg_temp.invite('u' || n || '@acme.test')) AS x FROM generate_series(1, 20) AS n \gset
SELECT is((SELECT count(*) FROM usermgmt.seat_count), 0::bigint, 'S3.39 without a limit nothing is counted');
SELECT is(usermgmt.tenant_setting('seat_limit') || usermgmt.tenant_setting('pending_limit') || usermgmt.tenant_setting('license_tier'), 'nonenonenone', 'S3.39 by default there is no limit and no tier');
SELECT count(usermgmt.revoke_invitation(invitation_id)) AS x FROM usermgmt.pending_invitations \gset

-- Who sets it.
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', who, format('SELECT usermgmt.set_tenant_setting(%L, %L)', s, v))), answer, 'S3.39 S3.5 ' || who || ' sets ' || s || ' to ' || v)
	FROM (VALUES ('owner@acme.test', 'seat_limit', '5', 'ok'), ('owner@acme.test', 'pending_limit', 'none', 'ok'), ('owner@acme.test', 'license_tier', 'gold', 'ok'), ('admin@acme.test', 'seat_limit', '5', '42501'), ('admin@acme.test', 'pending_limit', '5', '42501'),
		('admin@acme.test', 'license_tier', 'gold', '42501'), ('admin@acme.test', 'license_window', '12 hours', '42501'), ('owner@acme.test', 'license_window', '1 day', 'ok'), ('bob@acme.test', 'seat_limit', '5', '42501'), ('owner@acme.test', 'seat_limit', '0', '22023'), ('owner@acme.test', 'seat_limit', '-1', '22023'), ('owner@acme.test', 'seat_limit', 'many', '22023'),
		('owner@acme.test', 'seat_limit', '1.5', '22023'), ('owner@acme.test', 'seat_limit', '99999999999', '22023'), ('owner@acme.test', 'seat_limit', '', '22023')) AS c (who, s, v, answer);
SELECT throws_ok($$UPDATE usermgmt.tenant SET settings = '{"seat_limit": "-3"}'$$, '22023', NULL, 'S3.39 bare SQL sets no nonsense either');

-- Limit 5, 3 used.
SELECT usermgmt.set_tenant_setting('seat_limit', '5') AS x \gset
SELECT is(usermgmt.tenant_setting('seat_limit'), '5', 'S3.39 the limit is shown');
SELECT pg_temp.invite('carol@acme.test') AS carol \gset
SELECT is(pg_temp.counted(), '3+1', 'complaint 15: members and open invitations take seats');
SELECT pg_temp.invite('dan@acme.test') AS dan \gset
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('erin@acme.test')$$), 'UM035', 'complaint 15: and beyond the limit nobody is invited');
SELECT is((SELECT outcome FROM usermgmt.invite_users('{erin@acme.test}')), 'limit_reached', 'complaint 15: in bulk neither');
SELECT is(pg_temp.counted(), '3+2', 'complaint 15: what was refused took nothing');
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(pg_temp.token_of(:'carol'), 'carols long password')), 'ok', 'complaint 15: accepting a reserved seat always succeeds');
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '4+1 4+1', 'complaint 15: and counts once, not twice');
SELECT usermgmt.set_tenant_setting('seat_limit', '2') AS x \gset
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(pg_temp.token_of(:'dan'), 'dans long password')), 'ok', 'complaint 15: even when the limit was lowered meanwhile');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('erin@acme.test')$$), 'UM035', 'complaint 15: above a lowered limit nobody is invited');
SELECT usermgmt.set_tenant_setting('seat_limit', '5') AS x \gset

-- Deactivation frees a seat, reactivation takes one.
SELECT usermgmt.deactivate_user(:'bob') IS NULL AS x \gset
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '4+0 4+0', 'complaint 15: a deactivation gives a seat back');
SELECT pg_temp.invite('erin@acme.test') AS erin \gset
SELECT is(pg_temp.try(format('SELECT usermgmt.reactivate_user(%L)', :'bob')), 'UM035', 'complaint 15: reactivation needs a seat');
SELECT usermgmt.revoke_invitation(:'erin') IS NULL AS x \gset
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '4+0 4+0', 'complaint 15: a revocation gives one back');
SELECT is(pg_temp.try(format('SELECT usermgmt.revoke_invitation(%L)', :'erin')) || pg_temp.counted(), 'UM0364+0', 'complaint 15: exactly once');
SELECT is(pg_temp.try(format('SELECT usermgmt.reactivate_user(%L)', :'bob')), 'ok', 'complaint 15: and then there is room');
SELECT pg_temp.invite('fay@acme.test') AS fay \gset
SELECT usermgmt.decline_invitation(pg_temp.token_of(:'fay')) IS NULL AS x \gset
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '4+0 4+0', 'complaint 15: whoever declines gives one back');

-- Expiry frees a seat when somebody needs it.
SELECT pg_temp.invite('gus@acme.test') AS gus \gset
UPDATE usermgmt.invitation SET created_at = created_at - INTERVAL '9 days', queued_at = queued_at - INTERVAL '9 days', expires_at = now() - INTERVAL '2 days' WHERE invitation_id = :'gus';
SELECT is(pg_temp.counted(), pg_temp.actual(), 'complaint 15: a bare change of the expiry is followed');
SELECT pg_temp.invite('hal@acme.test') AS hal \gset
SELECT is((SELECT can_resend FROM usermgmt.invitations WHERE invitation_id = :'gus'), false, 'S0.2 an expired invitation can not be reopened without a free seat');
SELECT is(pg_temp.try(format('SELECT usermgmt.resend_invitation(%L)', :'gus')), 'UM035', 'S0.5 complaint 15: nor does resend_invitation reopen it');
SELECT usermgmt.revoke_invitation(:'hal') IS NULL AS x \gset
SELECT is((SELECT can_resend FROM usermgmt.invitations WHERE invitation_id = :'gus'), true, 'S0.2 with a free one it can');
SELECT is((SELECT status FROM usermgmt.resend_invitation(:'gus')) || pg_temp.counted(), 'pending4+1', 'S0.5 and takes it');
-- By the clock alone, nobody having touched the row since.
SELECT usermgmt.revoke_invitation(:'gus') IS NULL AS x \gset
SELECT invitation_id AS ida FROM usermgmt.invite_user('ida@acme.test', expires_in => '1 millisecond') \gset
SELECT pg_sleep(0.005) AS x \gset
SELECT is(pg_temp.counted() || (SELECT status FROM usermgmt.invitations WHERE invitation_id = :'ida'), '4+1expired', 'complaint 15: expiry alone touches no row');
SELECT is(usermgmt.seat_is_free(), true, 'complaint 15: but its seat is free');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('jon@acme.test')$$), 'ok', 'complaint 15: for the next invitation');
SELECT pg_temp.invite('jon@acme.test') AS jon \gset
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '4+1 4+1', 'complaint 15: and given back exactly once');
SELECT is(pg_temp.try(format('SELECT usermgmt.resend_invitation(%L)', :'ida')), 'UM035', 'S0.5 after that, reopening needs a seat of its own');
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', pg_temp.token_of(:'jon'), 'jons long password')), 'ok', 'complaint 15: the seat that was taken over is a full one');

-- Bare SQL is held to the limit too.
SELECT is(pg_temp.try(format('UPDATE usermgmt.membership SET status = %L, deactivated_at = NULL WHERE user_id = %L', 'active', :'bob')), 'UM035', 'B10 a bare UPDATE takes no seat beyond the limit');
SELECT is(pg_temp.try(format('UPDATE usermgmt.invitation SET expires_at = now() + INTERVAL %L WHERE invitation_id = %L', '1 day', :'ida')), 'UM035', 'B10 nor does reopening by bare SQL');
DELETE FROM usermgmt.membership WHERE user_id = :'bob';
SELECT is(pg_temp.counted(), pg_temp.actual(), 'B10 a bare DELETE of a deactivated member gives nothing back');
DELETE FROM usermgmt.membership WHERE user_id = :'admin';
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '3+1 3+1', 'B10 of an active one, one seat');
SAVEPOINT s;
SELECT pg_temp.invite('kim@acme.test') IS NULL AS x \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '3+1 3+1', 'B10 a rollback gives everything back');

-- The pending limit alone.
SELECT usermgmt.reset_tenant_setting('seat_limit') AS x \gset
SELECT is(pg_temp.counted(), NULL, 'S3.39 with the last limit goes the count');
SELECT usermgmt.set_tenant_setting('pending_limit', '2') AS x \gset
SELECT pg_temp.invite('lea@acme.test') AS lea \gset
SELECT is(pg_temp.counted() || ' ' || pg_temp.actual(), '3+2 3+2', 'complaint 15: counting begins with what is there');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('max@acme.test')$$), 'UM035', 'complaint 15: no more than that many invitations are open at once');
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(pg_temp.token_of(:'lea'), 'leas long password')), 'ok', 'complaint 15: an acceptance makes room');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('max@acme.test')$$), 'ok', 'complaint 15: for the next');

-- A limit of the server, for every tenant without its own.
SET LOCAL usermgmt.seat_limit = 3;
SELECT pg_temp.tenant('beta') AS beta_id \gset
SELECT pg_temp.invite('ann@beta.test') IS NULL AS x, pg_temp.invite('ben@beta.test') IS NULL AS y \gset
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('cem@beta.test')$$), 'UM035', 'S3.39 the server''s limit holds for a tenant without one');
SELECT usermgmt.set_tenant_setting('seat_limit', 'none') AS x \gset
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('cem@beta.test')$$), 'ok', 'S3.39 a tenant may have none where the server has one');
SELECT is(usermgmt.tenant_setting('seat_limit'), 'none', 'S3.39 and says so');
SELECT is((SELECT settings ->> 'seat_limit' FROM usermgmt.tenant WHERE slug = 'beta'), 'none', 'S3.39 (it is kept by that word)');
SELECT is(usermgmt.effective_limit(settings, 'seat_limit') || ' ' || usermgmt.effective_limit('{}', 'seat_limit') || ' ' || usermgmt.effective_limit('{"seat_limit": 7}', 'seat_limit'), '0 3 7', 'S3.39 the limit that holds: none, the server''s, the tenant''s')
FROM usermgmt.tenant WHERE slug = 'beta';
SELECT is(pg_temp.try(format('SELECT usermgmt.effective_%s(''{}'', %L)', kind, name)), CASE WHEN fits THEN 'ok' ELSE '22023' END, kind || ' of ' || name || ': a setting of another kind is refused')
FROM (VALUES ('seconds', 'session_ttl', true), ('seconds', 'seat_limit', false), ('limit', 'pending_limit', true), ('limit', 'session_ttl', false), ('switch', 'invitations_enabled', true), ('switch', 'base_url', false)) AS v (kind, name, fits);

SELECT * FROM finish();
ROLLBACK;
