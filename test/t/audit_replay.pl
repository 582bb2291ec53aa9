# R16: whatever is done to an audited table, by whatever statement, can be
# replayed from the trail.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use UsermgmtTest;

my $operations = $ENV{OPERATIONS} // 10000;
my $seed = $ENV{SEED} // 8;
my $node = start_node('replay', conf => "max_prepared_transactions = 2\n");

# Two tables of the kind that the trigger is made for, one under the other,
# beside those of the extension.
$node->safe_psql('app', <<'END');
SELECT usermgmt.create_tenant('acme', 'Acme', 'olga@acme.example');
CREATE SCHEMA fuzz;
CREATE TABLE fuzz.parent (id integer PRIMARY KEY, "a Name" text, amount numeric, tags jsonb, dropped text, at timestamptz, secret text);
ALTER TABLE fuzz.parent DROP COLUMN dropped;
CREATE TABLE fuzz.child (id integer PRIMARY KEY, parent integer REFERENCES fuzz.parent ON DELETE CASCADE ON UPDATE CASCADE, note text, twice integer GENERATED ALWAYS AS (id * 2) STORED);
DO $$
DECLARE
	target text;
	timing text;
BEGIN
	FOREACH target IN ARRAY ARRAY['parent', 'child'] LOOP
		FOREACH timing IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] LOOP
			EXECUTE format('CREATE TRIGGER %I AFTER %s ON fuzz.%I %s FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_change(%L, ''id'', ''hide:secret'')',
				'audit_' || lower(timing), timing, target,
				CASE timing WHEN 'INSERT' THEN 'REFERENCING NEW TABLE AS new_rows' WHEN 'DELETE' THEN 'REFERENCING OLD TABLE AS old_rows'
					WHEN 'UPDATE' THEN 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows' ELSE '' END, target);
		END LOOP;
	END LOOP;
END $$;
CREATE TABLE fuzz.replayed (type text, id integer, row_ jsonb NOT NULL, PRIMARY KEY (type, id));
END

# The table as the trail tells it: a created row, changed columns, gone rows.
# An update names the row by the key it has afterwards; where the key changed,
# old has the one before.
$node->safe_psql('app', <<'END');
CREATE FUNCTION fuzz.replay() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	e record;
	found_rows integer;
	wrong integer := 0;
BEGIN
	TRUNCATE fuzz.replayed;
	FOR e IN SELECT * FROM usermgmt.audit_event WHERE object_type IN ('parent', 'child') ORDER BY event_id LOOP
		IF e.action LIKE '%.truncated' THEN
			DELETE FROM fuzz.replayed WHERE type = e.object_type;
			CONTINUE;
		ELSIF e.action LIKE '%.created' THEN
			INSERT INTO fuzz.replayed VALUES (e.object_type, e.object_id::integer, e.new) ON CONFLICT DO NOTHING;
		ELSIF e.action LIKE '%.deleted' THEN
			DELETE FROM fuzz.replayed WHERE type = e.object_type AND id = e.object_id::integer AND row_ = e.old;
		ELSE
			UPDATE fuzz.replayed SET row_ = row_ || e.new, id = e.object_id::integer
				WHERE type = e.object_type AND id = coalesce((e.old ->> 'id')::integer, e.object_id::integer) AND row_ @> e.old;
		END IF;
		GET DIAGNOSTICS found_rows = ROW_COUNT;
		wrong := wrong + (found_rows <> 1)::integer;
	END LOOP;
	RETURN wrong;
END $$;
END

srand($seed);
sub pick { return $_[ int(rand(@_)) ] }
sub id   { return 1 + int(rand(300)) }
sub text_value { return pick("'plain'", "E'tab\\tquote\\'\"'", 'NULL', "repeat('x', 3000)", "'\x{c3}\x{a4}'") }

# One random statement.
sub statement
{
	my ($a, $b, $t, $n) = (id(), id(), text_value(), rand(1000));

	return pick(
		"INSERT INTO fuzz.parent VALUES ($a, $t, $n, '{\"k\": [1, null]}', now(), 'hush') ON CONFLICT DO NOTHING",
		"INSERT INTO fuzz.parent (id, \"a Name\", secret) VALUES ($a, $t, 'x'), ($b + 300, $t, 'y') ON CONFLICT (id) DO UPDATE SET \"a Name\" = EXCLUDED.\"a Name\" || '!', secret = 'z'",
		"INSERT INTO fuzz.child SELECT g, p.id, $t FROM generate_series($a, $a + 3) AS g, LATERAL (SELECT id FROM fuzz.parent ORDER BY id LIMIT 1) AS p ON CONFLICT DO NOTHING",
		"UPDATE fuzz.parent SET amount = coalesce(amount, 0) + 1.50 WHERE id BETWEEN $a AND $a + 5",
		"UPDATE fuzz.parent SET \"a Name\" = $t, tags = tags || '[true]', at = NULL WHERE id = $a",
		"UPDATE fuzz.parent SET secret = 'same' WHERE id = $a",
		"UPDATE fuzz.parent SET \"a Name\" = \"a Name\" WHERE id < $a",
		"UPDATE fuzz.parent SET id = id + 1000 WHERE id = $a AND NOT EXISTS (SELECT FROM fuzz.parent WHERE id = $a + 1000)",
		"UPDATE fuzz.child SET note = $t, parent = NULL WHERE id = $b",
		"DELETE FROM fuzz.parent WHERE id = $a",
		"DELETE FROM fuzz.child WHERE id BETWEEN $a AND $a + 2",
		"MERGE INTO fuzz.parent AS p USING generate_series($a, $a + 4) AS g ON p.id = g WHEN MATCHED AND g % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET amount = g WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (g, -g)",
		"WITH gone AS (DELETE FROM fuzz.child WHERE id = $a RETURNING id) INSERT INTO fuzz.parent (id, amount) SELECT id + 5000, 1 FROM gone ON CONFLICT DO NOTHING",
		"INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name) SELECT tenant_id, gen_random_uuid(), 's' || replace(gen_random_uuid()::text, '-', ''), 'W' FROM usermgmt.tenant",
		"UPDATE usermgmt.workspace SET name = name || '.' WHERE workspace_id = (SELECT workspace_id FROM usermgmt.workspace ORDER BY random() LIMIT 1)");
}

my ($script, $done) = ('', 0);
while ($done < $operations)
{
	my $size = 1 + int(rand(8));
	my $body = '';

	foreach (1 .. $size)
	{
		my $one = statement() . ";\n";

		$body .= rand() < 0.2 ? "SAVEPOINT s;\n$one" . pick('ROLLBACK TO s', 'RELEASE s') . ";\n"
		  : rand() < 0.003 ? 'TRUNCATE fuzz.child' . pick('', ', fuzz.parent') . ";\n"
		  : rand() < 0.05 ? "COPY fuzz.child (id, note) FROM stdin;\n" . (20000 + $done) . "\tcopied\n\\.\n"
		  : $one;
		$done++;
	}
	$script .= "BEGIN;\n$body" . pick(('COMMIT') x 4, 'ROLLBACK', "PREPARE TRANSACTION 'p'") . ";\n";
	$script .= pick('COMMIT', 'ROLLBACK') . " PREPARED 'p';\n" if $script =~ /PREPARE TRANSACTION 'p';\n\z/;
}
my ($status, $out, $err) = $node->psql('app', $script, on_error_stop => 1, timeout => 200);
is($status, 0, 'R16: every operation runs') or diag(substr $err, 0, 500);
my $wrong = $node->safe_psql('app', 'SELECT fuzz.replay()');
is($wrong, 0, 'R16: every event fits the row as the trail had it');
my $events = $node->safe_psql('app', q(SELECT count(*) FROM usermgmt.audit_event WHERE object_type IN ('parent', 'child')));
my $difference = $node->safe_psql('app', <<'END');
WITH present AS (
	SELECT 'parent' AS type, id, to_jsonb(p) - 'secret' AS row_ FROM fuzz.parent AS p
	UNION ALL SELECT 'child', id, to_jsonb(c) FROM fuzz.child AS c
)
SELECT (SELECT count(*) FROM (SELECT * FROM present EXCEPT SELECT type, id, row_ FROM fuzz.replayed) AS m)
	|| '|' || (SELECT count(*) FROM (SELECT type, id, row_ FROM fuzz.replayed EXCEPT SELECT * FROM present) AS x) || '|' || (SELECT count(*) FROM present)
END
my ($missing, $extra, $rows) = split /\|/, $difference;
is($missing, 0, 'R16: no row misses in the replay');
is($extra, 0, 'R16: no row is too many');
cmp_ok($events, '>', $operations / 3, 'R16: many events are replayed');
is($node->safe_psql('app', q(SELECT count(*) FROM usermgmt.workspace AS w WHERE w.name IS DISTINCT FROM
	(SELECT e.new ->> 'name' FROM usermgmt.audit_event AS e WHERE e.object_type = 'workspace' AND e.object_id = w.workspace_id::text AND e.new ? 'name' ORDER BY e.event_id DESC LIMIT 1))),
	0, 'R16: so it is for a table of the extension');
is($node->safe_psql('app', q(SELECT count(*) FROM usermgmt.audit_event WHERE concat(old, new) ~ '(hush|"secret")')), 0, 'R11: a hidden column is never shown');
diag("R16: $done operations, $events events, $missing missing, $extra extra of $rows rows (seed $seed)");
$node->stop;
done_testing();
