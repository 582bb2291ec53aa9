"""Every kind of mail in every shipped language, as it arrives."""
import json
import re
from email.header import decode_header, make_header

from delivery_cases import check_lines, parse
from harness import Relay, TENANT, case, check, equal, psql, serving
from smtp_server import ScriptedServer

NAME = 'Größe & <b>"Söhne"</b> 李'


def previews():
    """What every mail says, by kind and language, with made-up values."""
    return json.loads(psql(
        "SELECT usermgmt.use_tenant(:'slug')",
        "SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'locale',"
        " e.locale, 'subject', p.subject, 'text', p.text_body, 'html',"
        " p.html_body)) FROM usermgmt.email_templates AS e,"
        " usermgmt.preview_email(e.kind, e.locale) AS p"
        " WHERE e.origin = 'shipped'", slug=TENANT))


def queue_preview(number, mail):
    """Queues a mail that says just that."""
    address = f"t{number}-{mail['kind'].replace('_', '-')}@example.org"
    psql("SELECT usermgmt.use_tenant(:'slug')",
         "SELECT invitation_id FROM usermgmt.invite_user(:'email',"
         " locale => 'xx-' || :'number')",
         slug=TENANT, email=address, number=f"t{number}")
    psql("INSERT INTO usermgmt.email_template (tenant_id, kind, locale, subject,"
         " text_body, html_body) SELECT tenant_id, 'invitation', 'xx-' ||"
         " :'number', :'subject', :'text', :'html' FROM usermgmt.tenant"
         " WHERE slug = :'slug'", slug=TENANT, number=f"t{number}",
         subject=mail["subject"], text=mail["text"], html=mail["html"])
    return address


@case("R23: every kind of mail in every language arrives as it was rendered,"
      " text before HTML")
def every_kind():
    psql("UPDATE usermgmt.tenant SET name = :'name', branding ="
         " '{\"color\": \"#ffcc00\", \"logo_url\": \"https://cdn.example.org/l.png\"}'"
         " WHERE slug = :'slug'", name=NAME, slug=TENANT)
    try:
        mails = previews()
        equal(len(mails), 24, "kinds in two languages")
        wanted = {queue_preview(number, mail): mail
                  for number, mail in enumerate(mails, 10)}
        server = serving(ScriptedServer())
        equal(Relay.plain(server, "--once").wait(), 0, "exit code")
    finally:
        psql("DELETE FROM usermgmt.email_template WHERE NOT built_in",
             "UPDATE usermgmt.tenant SET name = 'Relay Test', branding = '{}'"
             " WHERE slug = :'slug'", slug=TENANT)

    seen = 0
    for wire in server.messages:
        check_lines(wire)
        mail = parse(re.sub(rb"(?m)^\.", b"", wire))
        expected = wanted.get(mail["To"].addresses[0].addr_spec)
        if expected is None:
            continue
        seen += 1
        equal(str(make_header(decode_header(mail["Subject"]))),
              expected["subject"], "subject")
        equal([part.get_content_type() for part in mail.walk()],
              ["multipart/alternative", "text/plain", "text/html"], "parts")
        text = mail.get_body(("plain",)).get_content()
        html = mail.get_body(("html",)).get_content()
        equal(text.replace("\r\n", "\n").rstrip("\n"),
              expected["text"].rstrip("\n"), "text")
        equal(html.replace("\r\n", "\n").rstrip("\n"),
              expected["html"].rstrip("\n"), "HTML")
        check(NAME in text and "&lt;b&gt;" in html and "<b>" not in html,
              "names are not as they should be")
        equal(mail["Auto-Submitted"], "auto-generated", "Auto-Submitted")
        for header in ("List-Unsubscribe", "Bcc", "Cc", "Reply-To"):
            equal(mail[header], None, header)
    equal(seen, len(wanted), "mails seen")
    return f"{seen} of {len(wanted)} equal"
