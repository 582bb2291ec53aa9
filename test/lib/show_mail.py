"""Wait for a mail in a Maildir, check its form and print it decoded.

usage: show_mail.py full|brief|token MAILDIR ADDRESS PAGE

ADDRESS is the recipient, PAGE the page that the mail's link leads to, such as
accept-invitation. "token" prints the link's token alone. Exit 1 when no such
mail arrives within 20 seconds, or when it is not well formed.
"""

import email
import email.policy
import pathlib
import re
import sys
import time

PATIENCE = 20


def mails(maildir):
    files = sorted(maildir.glob("new/*"), key=lambda file: file.stat().st_mtime)
    for file in files:
        yield email.message_from_bytes(file.read_bytes(), policy=email.policy.default)


def link(text, page):
    found = re.search(r"https?://\S+/" + re.escape(page) + r"\?token=([A-Za-z0-9_.~-]+)", text)
    return found and (found.group(0), found.group(1))


def part(mail, kind):
    body = mail.get_body((kind,))
    return body.get_content() if body else ""


def wait_for(maildir, address, page):
    """The newest mail to the address whose text holds a link to the page."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for mail in reversed(list(mails(maildir))):
            recipients = [to.addr_spec for to in mail["To"].addresses]
            if recipients == [address] and link(part(mail, "plain"), page):
                return mail
        time.sleep(0.1)
    sys.exit(f"no mail to {address} with a link to {page} arrived in {PATIENCE} s")


def faults(mail, page):
    yield from (f"defect: {defect}" for piece in mail.walk() for defect in piece.defects)
    for name in ("From", "To", "Subject", "Date", "Message-ID"):
        if len(mail.get_all(name, [])) != 1:
            yield f"there is not exactly one {name}"
        yield from (f"{name}: {defect}" for value in mail.get_all(name, []) for defect in value.defects)
    if mail["Auto-Submitted"] != "auto-generated":
        yield "no Auto-Submitted: auto-generated"
    kinds = [piece.get_content_type() for piece in mail.walk()]
    if kinds != ["multipart/alternative", "text/plain", "text/html"]:
        yield "parts are " + ", ".join(kinds)
    if link(part(mail, "plain"), page) != link(part(mail, "html"), page):
        yield "text and HTML have different links"


def main():
    form, maildir, address, page = sys.argv[1:]
    mail = wait_for(pathlib.Path(maildir), address, page)
    wrong = list(faults(mail, page))
    if wrong:
        sys.exit("the mail is not well formed: " + "; ".join(wrong))

    url, token = link(part(mail, "plain"), page)
    if form == "token":
        print(token)
        return
    for name in ("From", "To", "Subject"):
        print(f"{name}: {mail[name]}")
    print()
    print(part(mail, "plain").strip() if form == "full" else url)


main()
