-- Complaint 12: one open invitation, however often it is sent; and C5 to C9 where
-- they concern invitations and members.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id \gset
SET LOCAL usermgmt.resend_cooldown = 0;
SELECT pg_temp.invite('twelve@acme.test') AS twelve \gset
SELECT expires_at AS expiry FROM usermgmt.invitations WHERE invitation_id = :'twelve' \gset
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user(' TWELVE@Acme.Test ')$$), 'UM033', 'complaint 12, complaint 11: a second invitation of the address, in whatever case, is refused');
SELECT pg_temp.token_of(:'twelve') AS first \gset
SELECT count(usermgmt.resend_invitation(:'twelve')) AS x FROM generate_series(1, 5) \gset
SELECT is((SELECT count(*) FROM usermgmt.invitation WHERE canonical_email = 'twelve@acme.test'), 1::bigint, 'complaint 12: sent again five times it is still one');
SELECT is((SELECT expires_at FROM usermgmt.invitations WHERE invitation_id = :'twelve'), :'expiry'::timestamptz, 'complaint 12 C2: with the expiry it had');
SELECT is(pg_temp.events('invitation.resent', :'twelve'), 5::bigint, 'complaint 12: and five entries in the trail');
SELECT is((SELECT count(*) FROM usermgmt.mail_queue WHERE subject_id = :'twelve'), 6::bigint, 'complaint 12: and one mail each');
SELECT is((SELECT status FROM usermgmt.preview_invitation(:'first')), 'pending', 'C2 by default the earlier link keeps working');
SELECT usermgmt.set_tenant_setting('resend_keeps_old_links', 'off') AS x \gset
SELECT status AS x FROM usermgmt.resend_invitation(:'twelve') \gset
SELECT pg_temp.token_of(:'twelve') AS second \gset
SELECT is((SELECT status FROM usermgmt.preview_invitation(:'first')) || (SELECT status FROM usermgmt.preview_invitation(:'second')), 'supersededpending', 'C2 complaint 12: or, where the tenant wants it, only the newest one');
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', :'first', 'seven quiet lanterns')), 'UM014', 'complaint 12: which the other says');
SELECT row_to_json(i)::text AS before FROM usermgmt.invitation AS i WHERE invitation_id = :'twelve' \gset
SELECT count(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', left(:'second', n) || 'A' || substr(:'second', n + 2), 'seven quiet lanterns'))) AS x FROM generate_series(1, 20) AS n \gset
SELECT is((SELECT row_to_json(i)::text FROM usermgmt.invitation AS i WHERE invitation_id = :'twelve'), :'before', 'complaint 12: wrong tokens never change it');
UPDATE usermgmt.invitation SET expires_at = clock_timestamp() WHERE invitation_id = :'twelve';
SELECT is((SELECT status || (expires_at > :'expiry'::timestamptz - interval '1 minute') FROM usermgmt.resend_invitation(:'twelve')), 'pendingtrue', 'complaint 12: an expired one can be sent again: the same row, a new expiry');
SELECT is(pg_temp.events('invitation.reopened', :'twelve'), 1::bigint, 'C2 which the trail calls reopened');
SELECT is((SELECT status FROM usermgmt.preview_invitation(:'second')), 'superseded', 'C2 and whose earlier links are void');
SELECT pg_temp.token_of(:'twelve') AS third \gset
SELECT status AS x FROM usermgmt.revoke_invitation(:'twelve') \gset
SELECT is_empty(format($$SELECT t FROM unnest(ARRAY[%L, %L, %L]) AS t WHERE pg_temp.try(format('SELECT usermgmt.accept_invitation(%%L, %%L)', t, 'seven quiet lanterns')) <> 'UM013'$$, :'first', :'second', :'third'), 'complaint 12: revoked, no link of any generation works');
SELECT pg_temp.join('thirteen@acme.test') AS thirteen \gset
SELECT throws_ok(format('SELECT usermgmt.revoke_invitation(%L)', (SELECT invitation_id FROM usermgmt.invitations WHERE email = 'thirteen@acme.test')), 'UM036', NULL, 'complaint 12: an accepted invitation is not revoked');

-- C6: out of a workspace is not out of the tenant; C9: two columns; C4: two times.
SELECT workspace_id AS site FROM usermgmt.create_workspace('site', 'Site') \gset
SELECT role AS x FROM usermgmt.set_workspace_member(:'site', :'thirteen') \gset
SELECT usermgmt.remove_workspace_member(:'site', :'thirteen') AS x \gset
SELECT is((SELECT status || workspaces FROM usermgmt.members WHERE user_id = :'thirteen'), 'active{}', 'C6 S0.14 out of a workspace, the person is still in the tenant');
UPDATE usermgmt.membership SET last_login_at = now() - interval '31 days' WHERE user_id = :'thirteen';
SELECT is((SELECT activity || ' ' || status FROM usermgmt.members WHERE user_id = :'thirteen'), 'inactive active', 'C9 C4 S3.8 inactive by the last login is not deactivated');
SELECT status AS x FROM usermgmt.deactivate_user(:'thirteen') \gset
SELECT is((SELECT activity || ' ' || status FROM usermgmt.members WHERE user_id = :'thirteen'), 'inactive deactivated', 'C9 nor the other way round');

SELECT * FROM finish();
ROLLBACK;
