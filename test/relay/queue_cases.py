"""Rows that cannot be sent, and servers that refuse for hours."""
import json
import subprocess
import time

from fault_cases import once
from harness import (Relay, case, check, equal, invite, psql, queue, serving,
                     state, wait_for)
from smtp_server import Hold, ScriptedServer


@case("F20: poisonous rows are dead after one try, and others proceed")
def poisonous_rows():
    server = serving(ScriptedServer())
    changes = ["recipient = 'no address'", "recipient = 'a@b.c, d@e.f'",
               "recipient = repeat('x', 5000) || '@a.example'",
               "recipient_name = E'a\\r\\nBcc: x@y.z'", "kind = 'unheard of'"]
    poisonous = [invite()[1] for _ in changes]
    for message, change in zip(poisonous, changes):
        psql(f"UPDATE usermgmt.outbox SET {change}"
             f" WHERE message_id = '{message}'")
    long_name = invite()[1]
    psql("UPDATE usermgmt.outbox SET recipient_name = repeat('Zoë ', 100000)"
         f" WHERE message_id = '{long_name}'")
    fine = [invite()[1] for _ in range(3)]
    equal(once(server, "--timeout", "20").wait(20), 0, "exit code")
    equal([state(message) for message in poisonous],
          ["dead"] * len(poisonous), "states")
    equal([queue(f"message_id = '{message}'")[0]["reply"] is None
           for message in poisonous], [False] * len(poisonous), "no reason")
    equal({state(message) for message in fine + [long_name]}, {"sent"}, "others")
    check(max(len(line) for mail in server.messages
              for line in mail.split(b"\r\n")) <= 998, "a long line")


@case("P8: with a queue the next mails are claimed ahead, without one they are not")
def claimed_ahead():
    second, third = Hold(), Hold()
    server = serving(ScriptedServer({"data": [None, second, third]}))
    messages = [invite()[1] for _ in range(3)]
    relay = Relay.plain(server, "--connections", "1", "--batch", "2")
    check(second.reached.wait(10), "the second mail did not begin")
    wait_for(lambda: state(messages[2]) == "claimed")
    second.released.set()
    check(third.reached.wait(10), "the third mail did not begin")
    # The last claim found one and could have taken two: this one is for anybody.
    messages.append(invite()[1])
    time.sleep(0.5)
    equal(state(messages[3]), "queued", "the fourth")
    third.released.set()
    wait_for(lambda: [state(message) for message in messages] == ["sent"] * 4)
    equal((relay.stop(), server.dots), (0, 4), "exit code and dots")


@case("F1: kill -9 in the middle of a claim: nothing is lost, and nothing twice")
def killed_claiming():
    server = serving(ScriptedServer())
    messages = [invite()[1] for _ in range(5)]
    lock = subprocess.Popen(["psql", "-XAtq"], stdin=subprocess.PIPE, text=True,
                            stdout=subprocess.DEVNULL)
    lock.stdin.write("BEGIN; LOCK TABLE usermgmt.outbox;\n")
    lock.stdin.flush()
    waiting = ("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type ="
               " 'Lock' AND application_name = 'usermgmt-relay'"
               " AND datname = current_database()")
    try:
        wait_for(lambda: psql("SELECT count(*) FROM pg_locks WHERE mode ="
                              " 'AccessExclusiveLock' AND granted AND relation"
                              " = 'usermgmt.outbox'::regclass") == "1")
        relay = Relay.plain(server)
        wait_for(lambda: psql(waiting) == "1")
        relay.kill()
    finally:
        lock.communicate("COMMIT;\n")
    Relay.plain(server, "--poll-interval", "1")
    took = wait_for(lambda: {state(message) for message in messages} == {"sent"})
    equal(len(server.messages), 5, "mails")
    return f"sent {took:.1f} s later"


@case("F22: after hours of 4xx nothing is mailed late: expiry bounds the backlog")
def storm_of_refusals():
    server = serving(ScriptedServer({"rcpt": b"451 4.3.0 not now\r\n"}))
    messages = [invite()[1] for _ in range(20)]
    psql("UPDATE usermgmt.outbox SET expires_at = clock_timestamp()"
         " + interval '3 seconds' WHERE state = 'queued'")
    relay = Relay.plain(
        server, "--poll-interval", "0.2", "-d",
        "options='-c usermgmt.mail_retry_after=1'")
    time.sleep(3.5)
    tries = server.verbs().count("RCPT")
    check(tries > 20, f"{tries} tries")
    server.script.clear()
    time.sleep(1.5)
    relay.kill()
    psql("SELECT usermgmt.run_maintenance()")
    equal(server.messages, [], "mails after their expiry")
    check({state(message) for message in messages} <= {"dead", "cancelled"},
          "something is left")
    attempts = int(psql("SELECT count(*) FROM usermgmt.outbox_attempt"
                        " WHERE message_id IN ('" + "','".join(messages) + "')"))
    check(attempts >= tries - 1, f"{attempts} attempts kept of {tries}")
    return f"{tries} tries, 0 late mails"


@case("R5: a refusal for now is tried again within the band that grows with it")
def growing_delays():
    server = serving(ScriptedServer({"rcpt": b"451 4.3.0 not now\r\n"}))
    bands = []
    messages = [invite()[1] for _ in range(30)]
    for attempt in range(3):
        once(server, "-d", "options='-c usermgmt.mail_retry_after=100'").wait()
        waits = json.loads(psql(
            "SELECT jsonb_agg(extract(epoch FROM o.due_at - a.ended_at))"
            " FROM usermgmt.outbox AS o JOIN usermgmt.outbox_attempt AS a"
            " USING (message_id, fence) WHERE message_id IN ('"
            + "','".join(messages) + "')"))
        equal(len(waits), 30, "attempts")
        limit = 100 * 2 ** attempt
        check(0 <= min(waits) and max(waits) <= limit + 1, waits)
        check(max(waits) > limit / 2 and min(waits) < limit / 2, "no jitter")
        bands.append(f"{min(waits):.0f} to {max(waits):.0f} s")
        psql("UPDATE usermgmt.outbox SET due_at = clock_timestamp()"
             " WHERE state = 'queued'")
    return ", ".join(bands)
