-- The reports: who sees whose numbers, and what the numbers are.
BEGIN;
\ir helpers.psql
SELECT no_plan();
CREATE ROLE tap_report_app;
CREATE ROLE tap_report_auditor;
DO $$ BEGIN
	PERFORM usermgmt.grant_access('tap_report_app', 'application'), usermgmt.grant_access('tap_report_auditor', 'auditor');
END $$;
CREATE FUNCTION pg_temp.commit() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET CONSTRAINTS ALL IMMEDIATE;
	SET CONSTRAINTS ALL DEFERRED;
END $$;
CREATE TEMPORARY TABLE report AS
	SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind = 'v' AND relname LIKE 'report\_%' AND relname NOT LIKE '%\_detail';
SELECT is((SELECT count(*) FROM report), 10::bigint, 'there are ten reports');

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test', 'admin') AS eve, pg_temp.join('gus@other.test') AS gus, pg_temp.invite('old@other.test') AS old \gset
SELECT usermgmt.deactivate_user(:'gus') IS NULL AS x \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ann@acme.test', 'admin') AS ann, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('cat@acme.test') AS cat,
	pg_temp.invite('one@acme.test') AS one, pg_temp.invite('two@acme.test') AS two, pg_temp.invite('three@acme.test') AS three \gset
SELECT usermgmt.revoke_invitation(:'two') IS NULL AS x, usermgmt.decline_invitation(pg_temp.token_of(:'three')) IS NULL AS x \gset
INSERT INTO mail SELECT * FROM usermgmt.outbox_claim('test', 1000);
SELECT count(*) AS x FROM mail AS m, usermgmt.outbox_sending(m.message_id, m.fence), usermgmt.outbox_sent(m.message_id, m.fence, '250 ok') WHERE m.recipient IN ('ann@acme.test', 'one@acme.test') \gset
UPDATE usermgmt.invitation SET created_at = now() - interval '4 days', queued_at = now() - interval '4 days' WHERE invitation_id IN (:'one', :'old');

-- Everything of the other tenant must be invisible: to an admin, and to a cheap function.
CREATE FUNCTION pg_temp.leak(tenant_id uuid) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	IF tenant_id <> (SELECT t.tenant_id FROM usermgmt.tenants AS t) THEN
		RAISE 'leaked %', tenant_id;
	END IF;
	RETURN true;
END $$;
SELECT is_empty($$SELECT name, r FROM report, LATERAL pg_temp.act('ann@acme.test', format('SELECT pg_temp.run_as(''tap_report_app'', ''SELECT count(*) FROM usermgmt.%s WHERE tenant <> ''''acme'''''')', name)) AS r WHERE r <> '0'$$,
	'S4.8 an admin sees nothing of another tenant in any report');
SELECT is_empty($$SELECT name, r FROM report, LATERAL pg_temp.act('ann@acme.test', format('SELECT count(*) FROM usermgmt.%s WHERE pg_temp.leak(tenant_id)', name)) AS r WHERE r LIKE 'error%' OR r IS NULL$$,
	'S4.8 nor by a function that is cheaper than the barrier');
SELECT is_empty($$SELECT name, r FROM report, LATERAL pg_temp.act('bob@acme.test', format('SELECT pg_temp.run_as(''tap_report_app'', ''SELECT count(*) FROM usermgmt.%s'')', name)) AS r WHERE r <> '0'$$,
	'S3.1 an ordinary member sees no report');
SELECT is_empty($$SELECT name, r FROM report, LATERAL pg_temp.run_as('tap_report_app', format('SELECT count(*) FROM usermgmt.%s', name)) AS r WHERE r <> '0'$$,
	'S4.8 nor does anybody without a session');
SELECT set_eq($$SELECT name, pg_temp.run_as('tap_report_auditor', format('SELECT count(DISTINCT tenant) FROM usermgmt.%s', name)) FROM report
		WHERE name NOT IN ('report_bounces', 'report_leavers', 'report_inactive_members')$$,
	$$SELECT name, '2' FROM report WHERE name NOT IN ('report_bounces', 'report_leavers', 'report_inactive_members')$$, 'S3.27 an auditor sees all tenants');
SELECT is_empty($$SELECT name, r FROM report, LATERAL pg_temp.act('bob@acme.test', format('SELECT pg_temp.run_as(''tap_report_auditor'', ''SELECT count(*) FROM usermgmt.%s'')', name)) AS r WHERE r <> '0'$$,
	'with a member''s session bound, an auditor sees what the member sees');

-- The numbers.
SELECT results_eq($$SELECT sum(invited), sum(delivered), sum(accepted), sum(expired), sum(revoked), sum(declined), sum(open), round(sum(accepted)::numeric / sum(invited), 3) FROM usermgmt.report_invitation_funnel$$,
	$$VALUES (6::bigint, 1::bigint, 3::bigint, 0::bigint, 1::bigint, 1::bigint, 1::bigint, 0.5)$$, 'S2.18 B17 the funnel of invitations');
SELECT is((SELECT acceptance_rate FROM usermgmt.report_invitation_funnel ORDER BY month DESC LIMIT 1), round(3.0 / nullif((SELECT invited FROM usermgmt.report_invitation_funnel ORDER BY month DESC LIMIT 1), 0), 3), 'S2.18 the acceptance rate of a month');
UPDATE usermgmt.invitation SET created_at = accepted_at - interval '1 hour' * CASE email WHEN 'ann@acme.test' THEN 1 WHEN 'bob@acme.test' THEN 2 ELSE 9 END WHERE state = 'accepted' AND tenant_id = :'acme_id';
SELECT results_eq('SELECT accepted, median, mean, p90 FROM usermgmt.report_time_to_accept WHERE month IS NULL', $$VALUES (3, '2 hours'::interval, '4 hours'::interval, '7:36:00'::interval)$$,
	'S2.19 B17 median, mean and 90th percentile of the time to accept');
SELECT results_eq('SELECT email, status, days_open, delivery FROM usermgmt.report_open_invitations', $$VALUES ('one@acme.test', 'pending', 4, 'sent')$$, 'S3.29 open for more than three days, with its mail');
UPDATE usermgmt.membership SET last_login_at = CASE user_id WHEN :'bob' THEN now() - interval '40 days' END WHERE user_id IN (:'bob', :'cat');
SELECT set_eq('SELECT email, activity FROM usermgmt.report_inactive_members', $$VALUES ('bob@acme.test', 'inactive'), ('cat@acme.test', 'never_logged_in')$$, 'S3.24 S3.9 members to deactivate');
SELECT usermgmt.deactivate_user(:'cat', 'on leave') IS NULL AS x, pg_temp.commit() AS x \gset
SELECT set_eq('SELECT email FROM usermgmt.report_inactive_members', $$VALUES ('bob@acme.test')$$, 'S3.24 whoever is deactivated is none any more');
SELECT set_eq('SELECT email, role, activity, owners, admins, members, deactivated FROM usermgmt.report_role_review',
	$$VALUES ('owner@acme.test', 'owner', 'active', 1, 1, 2, 1), ('ann@acme.test', 'admin', 'active', 1, 1, 2, 1)$$, 'S3.25 S3.28 people above member, and whether they are active');
SELECT results_eq('SELECT licensed, members_with_access, used_share, license_tier, seat_limit FROM usermgmt.report_license_use', $$VALUES (3, 3, 1.000, 'none', NULL::integer)$$, 'S3.38 license use of 24 hours, a deactivated person not at all');
INSERT INTO usermgmt.membership (tenant_id, user_id, role, status, deactivated_at) VALUES (:'other_id', :'bob', 'member', 'deactivated', now());
SELECT is((SELECT licensed FROM usermgmt.report_license_use), 3, 'S3.38 S4.8 but one who is so in another tenant');
UPDATE usermgmt.session SET last_used_at = now() - interval '25 hours' WHERE user_id = :'bob';
SELECT is((SELECT licensed FROM usermgmt.report_license_use), 2, 'S3.38 nor one who was not there within them');
SELECT is((SELECT sent FROM usermgmt.report_delivery WHERE kind = 'invitation'), 1, 'S3.36 what became of the mails, by kind');
SELECT usermgmt.outbox_bounced(message_id_header, recipient, '5.1.1', 'no such user') AS x FROM mail WHERE recipient = 'one@acme.test' \gset
SELECT results_eq('SELECT recipient, bounce_detail LIKE ''%no such user%'', suppressed FROM usermgmt.report_bounces', $$VALUES ('one@acme.test', true, true)$$, 'S3.36 what came back, and that the address gets no more');
SELECT is((SELECT sum(delivered) FROM usermgmt.report_invitation_funnel), 0::bigint, 'S2.18 what bounced was not delivered');
SELECT pg_temp.act('ann@acme.test', format('SELECT usermgmt.change_role(%L, ''admin'')', :'bob')) AS x \gset
SELECT set_eq('SELECT email, acts, role_changes FROM usermgmt.report_admin_activity', $$VALUES ('owner@acme.test', 0, 0), ('ann@acme.test', 1, 1), ('bob@acme.test', 0, 0)$$, 'S3.27 what admins did, who did nothing included');
SELECT is_empty('SELECT * FROM usermgmt.report_leavers', 'within its own transaction a leaver had no access before');

-- A tenant without rows, and time zones.
SELECT pg_temp.tenant('empty') AS empty_id \gset
SELECT results_eq('SELECT count(*), sum(invited), sum(acceptance_rate) FROM usermgmt.report_invitation_funnel', 'VALUES (1::bigint, 0::bigint, NULL::numeric)', 'a tenant without invitations shows zeros, and no rate');
SELECT results_eq('SELECT accepted, median FROM usermgmt.report_time_to_accept WHERE month IS NULL', 'VALUES (0, NULL::interval)', 'and no time to accept');
SELECT is((SELECT count(*) FROM usermgmt.report_license_use), 1::bigint, 'and a row of license use');
SELECT pg_temp.invite('x@empty.test') AS x \gset
UPDATE usermgmt.tenant SET created_at = '2026-01-15 12:00Z' WHERE slug = 'empty';
UPDATE usermgmt.invitation SET created_at = '2026-03-31 23:30Z' WHERE tenant_id = :'empty_id';
SET LOCAL TimeZone = 'UTC';
SELECT is((SELECT month FROM usermgmt.report_invitation_funnel WHERE invited > 0), '2026-03-01', 'a month is one of the session''s time zone: UTC');
SET LOCAL TimeZone = 'Europe/Berlin';
SELECT is((SELECT month FROM usermgmt.report_invitation_funnel WHERE invited > 0), '2026-04-01', 'where the clocks have gone forward by then, the next one');
SET LOCAL TimeZone = 'America/New_York';
SELECT is((SELECT month FROM usermgmt.report_invitation_funnel WHERE invited > 0), '2026-03-01', 'in the west still this one');
SELECT is((SELECT sum(invited) FROM usermgmt.report_invitation_funnel), 1::bigint, 'and it counts once, whatever the zone');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE event_id >= usermgmt.id_at(occurred_at - interval '1 second') AND event_id < usermgmt.id_at(occurred_at + interval '1 second')), (SELECT count(*) FROM usermgmt.audit_event), 'the ids of a time are found by id_at()');

SELECT * FROM finish();
ROLLBACK;
