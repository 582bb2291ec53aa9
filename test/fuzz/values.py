"""Boundary values of each type, as SQL that never fails by itself."""
import os
import random

LONG = "repeat('x', 1048576)"
TOKENS = ["acme_ann_token", "acme_bob_token", "acme_carl_token", "acme_owner_token",
          "beta_owner_token", "acme_ida_token", "beta_ida_token", "acme_bob_reset",
          "acme_bob_email_change", "checkpoint"]
IDS = ["acme", "beta", "acme_owner", "acme_ann", "acme_bob", "acme_carl", "acme_rex",
       "acme_site", "acme_old", "acme_ida", "acme_bob_session", "beta_owner", "beta_bob",
       "beta_carl", "beta_site", "beta_ida", "beta_bob_session", "held", "dead", "sending",
       "queued"]

# Words that mean something somewhere.
WORDS = ["owner", "admin", "member", "viewer", "application", "operator", "relay", "auditor",
         "transaction", "connection", "session_ttl", "seat_limit", "invitations_enabled",
         "license_tier", "base_url", "from_email", "locale", "7d", "1 day", "0", "-1", "none",
         "on", "off", "mutation", "export", "transfer", "keep", "refuse", "delete", "tenant",
         "workspace", "membership", "account", "user", "inv", "ws", "sso", "bob", "acme", "beta",
         "site", "lab", "old", "gamma", "en", "de", "pt-BR", "invitation", "password_reset",
         "welcome", "email_change", "manage_users", "acme.example", ".acme.example",
         "bob@acme.example", "ann@acme.example", "carl@acme.example", "ida@acme.example",
         "owner@acme.example", "owner@beta.example", "new@acme.example", "nobody@acme.example",
         "bounced@acme.example", "correct horse", "seven quiet lanterns", "5.1.1", "4.2.2",
         "250 taken", "192.0.2.1", "::1", "10.0.0.0/8", "fe80::1%eth0", "{{link}}",
         "{{invitee_name}}", "<p>{{link}}</p>", "<script>", "user_01m7ye0xjaey09g7pm76feyg2a"]

TEXTS = [
    "''", "' '", "E'\\t'", "E'\\n'", "E'a\\x01\\r\\nb@x.test'", "E'\\x1b[2J'", "E'\\x7f'",
    "U&'\\0085'", "U&'\\00a0'", "U&'\\200b'", "U&'\\202e' || 'abc'", "U&'\\2066x\\2069'",
    "U&'\\feff'", "U&'\\fffd'", "U&'\\+01F600'", "U&'\\+10FFFF'", "U&'\\+0E0041'", "U&'e\\0301'",
    "U&'\\0130'", "U&'\\00df'", "U&'\\fb01'", "repeat(U&'\\0301', 5000)", "'\\x00'", "'\\0'", "'%s%n%p'",
    "'%41'", "'%'", "'$1'", "'{{'", "'}}'", "'{{{{{{'", "'{{x'", "'{{' || repeat('a', 70000) || '}}'",
    "'''; --'", "'\"'", "'<a href=\"{{link}}\">'", "'&#0;'", "'&' || repeat('#', 9999)",
    "repeat('<', 20000)", "repeat('<p>', 9000)", "'<!--'", "repeat('a', 63)", "repeat('a', 64)",
    "repeat('a', 200)", "repeat('a', 201)", "repeat('a', 254) || '@x.test'", "repeat('a', 1024)",
    "repeat('a', 1025)", "repeat(U&'\\00e9', 512)", "repeat(U&'\\+01F600', 300)",
    "'a@' || repeat('b.', 130) || 'test'", "'a@' || repeat('c', 63) || '.test'",
    "'a@' || repeat('c', 64) || '.test'", "repeat('a', 64) || '@x.test'",
    "repeat('a', 65) || '@x.test'", "'@'", "'a@'", "'@b'", "'a@b@c.test'", "'\"a b\"@x.test'",
    "'a@[127.0.0.1]'", "U&'b\\00fccher@b\\00fccher.example'", "'a@xn--'", "'a..b@x.test'",
    "'a@-x.test'", "'a@x.test.'", "'A@X.TEST'", "'a\\@x.test'", "'a@x.test' || chr(10)",
    "'-'", "'--'", "'a--b'", "'a-'", "'-a'", "'A'", "'0'", "'null'", "'9223372036854775808'",
    "'1e999'", "'NaN'", "'infinity'", "'-0'", "'99999999999999999999 days'", "'1 year -1 day'",
    "'-7d'", "'7 d'", "'P1Y'", "'00:00:00'", "'178000000 years'", "'true'", "'{}'", "'[]'",
    "'usermgmt'", "'pg_catalog'", "'public'", "'information_schema'", "'pg_temp'",
    "'usermgmt.account'", "'usermgmt-checkpoint-1'", "'usermgmt-checkpoint-1:1:2:3'",
    "'http://'", "'javascript:alert(1)'", "'https://x.test/' || repeat('a', 3000)",
    "'<0190c4a0-0000-7000-8000-000000000000@localhost>'", "'<>'", "'um1_'", "'um1_' || repeat('A', 86)",
    "repeat('A', 43)", "repeat('_', 86)", "gen_random_uuid()::text", "repeat('-', 36)",
    "'00000000-0000-0000-0000-000000000000'", "'{00000000-0000-0000-0000-000000000000}'", LONG]

JSONS = [
    "'null'::jsonb", "'5'::jsonb", "'\"x\"'::jsonb", "'true'::jsonb", "'[]'::jsonb", "'{}'::jsonb",
    "'{\"\": [1]}'::jsonb", "'{\"a\": 1, \"a\": 2}'::jsonb", "'[null]'::jsonb", "'[[]]'::jsonb",
    "'[1e300]'::jsonb", "'{\"site\": \"viewer\"}'::jsonb", "'{\"site\": \"admin\", \"old\": \"member\"}'::jsonb",
    "'[\"site\", \"site\"]'::jsonb", "'[\"lab\"]'::jsonb", "'{\"site\": null}'::jsonb", "'{\"site\": 5}'::jsonb",
    "'{\"site\": {\"site\": \"viewer\"}}'::jsonb", "'{\"session_ttl\": \"-1d\"}'::jsonb",
    "'{\"session_ttl\": 1e40}'::jsonb", "'{\"seat_limit\": \"99999999999\"}'::jsonb",
    "'{\"name\": \"x\", \"logo_url\": \"javascript:x\", \"color\": \"#zzz\"}'::jsonb",
    "'{\"name\": [1], \"color\": {}}'::jsonb", "'[\"\\ud83d\\ude00\"]'::jsonb",
    "(repeat('[', 1000) || repeat(']', 1000))::jsonb", "(repeat('{\"a\":', 900) || '1' || repeat('}', 900))::jsonb",
    "jsonb_build_array(repeat('x', 1048576))", "jsonb_build_object(repeat('k', 100000), 'viewer')",
    "jsonb_build_object(probe.of('acme_site'), 'viewer')", "jsonb_build_array(probe.of('beta_site'))",
    "(SELECT jsonb_object_agg('w' || n, 'viewer') FROM generate_series(1, 10000) AS n)",
    "(SELECT jsonb_agg('site'::text) FROM generate_series(1, 10000) AS n)",
    "jsonb_build_array(U&'\\202e', E'\\n', '')"]

TIMES = ["'infinity'::timestamptz", "'-infinity'::timestamptz", "'294276-12-31 23:59:59.999999+00'::timestamptz",
         "'4713-01-01 00:00:00+00 BC'::timestamptz", "'1970-01-01 00:00:00+00'::timestamptz",
         "'2000-01-01'::timestamptz", "'0001-01-01'::timestamptz", "'9999-12-31'::timestamptz", "now()",
         "clock_timestamp() + INTERVAL '1 hour'", "clock_timestamp() + INTERVAL '400 days'",
         "clock_timestamp() - INTERVAL '1 microsecond'"]

INTERVALS = ["'0'::interval", "'-1 day'::interval", "'1 microsecond'::interval", "'1 day'::interval",
             "'30 days'::interval", "'100 years'::interval", "'170000000 years'::interval",
             "'-170000000 years'::interval", "'1 mon -30 days'::interval", "'2147483647 days'::interval",
             "'-2147483648 days'::interval", "make_interval(secs => 9e12)", "make_interval(secs => -9e12)",
             "make_interval(months => 2147483647)"]

COLUMNS = ["tenant_id", "owner_id", "workspace_id", "id", "plain_id", "a \"b", "j", "xid", "ctid", "tableoid",
           "no such", "", "all_ids", "twice", "gone", "........pg.dropped.1........"]

TABLES = ["fuzz." + name for name in (
    "plain", "keyless", "empty", "text_owner", "parted", "part", "nested", "parent", "child", "unlogged",
    "domains", "composite", "dropped", "generated", "sink", "wrong_sink", "view", "materialized", "sequence",
    "foreign_table", "pair", "plain_pkey")] + [
    "pg_catalog.pg_class", "pg_catalog.pg_authid", "pg_catalog.pg_largeobject", "pg_catalog.pg_user",
    "information_schema.sql_features", "usermgmt.account", "usermgmt.members", "usermgmt.audit_event",
    "usermgmt.audit_trail", "usermgmt.actor_signal", "public.probe_lead", "public.probe_deal",
    "public.probe_sink", "probe.call", "mine", "mine_too"]


def seed():
    """Of the choices: the given one, a new one in a soak, else always the same."""
    return int(os.environ.get("FUZZ_SEED", random.randrange(1 << 30) if "USERMGMT_SOAK" in os.environ else 8))


def quoted(word):
    return "'" + word.replace("'", "''") + "'"


def text(chance):
    """Mostly something that means something, often in the wrong place."""
    kind = chance.random()
    if kind < 0.3:
        return quoted(chance.choice(WORDS))
    if kind < 0.45:
        return token(chance)
    if kind < 0.55:
        return f"probe.of('{chance.choice(IDS)}')"
    value = chance.choice(TEXTS)
    return chance.choice(TEXTS) if value == LONG else value


def token(chance):
    """A token, or one that is nearly right."""
    value = f"probe.of('{chance.choice(TOKENS)}')"
    kind = chance.randrange(8)
    if kind == 0:
        return f"left({value}, {chance.randrange(200)})"
    if kind == 1:
        return value + " || " + chance.choice(TEXTS[:-1])
    if kind == 2:
        return f"{value} || probe.of('{chance.choice(TOKENS)}')"
    if kind < 5:
        return f"fuzz.flip({value}, {chance.randrange(400)})"
    return value


def identifier(chance):
    """A uuid of something, or of nothing."""
    if chance.random() < 0.8:
        return f"probe.id('{chance.choice(IDS)}')"
    return chance.choice(["'00000000-0000-0000-0000-000000000000'::uuid", "gen_random_uuid()",
                          "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid",
                          "'0190c4a0-0000-7000-8000-000000000000'::uuid"])


def table(chance):
    """A relation of any kind, or what is none."""
    if chance.random() < 0.1:
        return chance.choice(["0::oid::regclass", "4294967295::oid::regclass", "1::oid::regclass"])
    return f"coalesce(to_regclass('{chance.choice(TABLES)}'), 4294967294::oid::regclass)"


def array(chance, element, kind):
    """None, one, many, with NULL, of two dimensions, not from 1."""
    one = element(chance)
    return chance.choice([
        f"'{{}}'::{kind}[]", f"ARRAY[{one}]::{kind}[]", f"ARRAY[{one}, {element(chance)}]::{kind}[]",
        f"ARRAY[{one}, NULL]::{kind}[]", f"ARRAY[NULL]::{kind}[]", f"ARRAY[{one}, {one}]::{kind}[]",
        f"ARRAY[ARRAY[{one}], ARRAY[{element(chance)}]]::{kind}[]",
        f"'[7:8]={{a@x.test,b@x.test}}'::{kind}[]", f"'[0:0][-3:-3]={{{{a}}}}'::{kind}[]",
        f"(SELECT array_agg('f' || n || '@x.test') FROM generate_series(1, {chance.choice([50, 50, 10001])}) AS n)::{kind}[]",
        f"array_fill(NULL::{kind}, ARRAY[10000])"])


def name(chance):
    """A name of a column, role or schema."""
    kind = chance.randrange(4)
    if kind == 0:
        return text(chance)
    if kind == 1:
        return quoted(chance.choice(["fuzz_nobody", "nobody at all", "public", "pg_read_all_data", "none",
                                     "current_user", "pg_new", "fuzz", "usermgmt", "facade " + chance.choice("abc")]))
    return quoted(chance.choice(COLUMNS))


def number(chance, bits):
    """A whole number of so many bits."""
    low = -(1 << (bits - 1))
    return str(chance.choice([0, 1, -1, 2, 100, 1000, 10001, 65536, -low - 1, low + 1])) + f"::int{bits // 8}"


# Types by their names in pg_type.
BY_TYPE = {
    "text": text,
    "name": lambda chance: f"({name(chance)})::name",
    "uuid": identifier,
    "regclass": table,
    "oid": lambda chance: f"({table(chance)})::oid",
    "jsonb": lambda chance: chance.choice(JSONS),
    "timestamptz": lambda chance: chance.choice(TIMES),
    "interval": lambda chance: chance.choice(INTERVALS),
    "bool": lambda chance: chance.choice(["true", "false"]),
    "int4": lambda chance: number(chance, 32),
    "int8": lambda chance: number(chance, 64),
    "_text": lambda chance: array(chance, text, "text"),
    "_name": lambda chance: array(chance, lambda c: quoted(c.choice(COLUMNS)), "name"),
    "outbox": lambda chance: chance.choice([
        "(SELECT o FROM jsonb_populate_record(NULL::usermgmt.outbox, '{\"state\": \"x\"}') AS o)",
        "(SELECT o FROM jsonb_populate_record(NULL::usermgmt.outbox, '{\"state\": \"sent\", \"kind\": \"\"}') AS o)"]),
}


def value(chance, kind):
    """A value of the type: one in eight is NULL."""
    if chance.random() < 0.12 or kind not in BY_TYPE:
        return "NULL"
    return BY_TYPE[kind](chance)
