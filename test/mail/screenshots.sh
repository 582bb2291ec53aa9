#!/bin/sh
# screenshots.sh DIRECTORY: every kind of mail in every shipped language as
# HTML, and as Chromium shows it at 640 and 375 pixels, light and dark. Reads a
# database that has the extension (PGHOST, PGDATABASE ...) and changes nothing;
# needs Debian's chromium and pngquant. KIND chooses some of the mails by a
# pattern, BRANDING is the tenant's.
set -eu
out=$1
mkdir -p "$out"

# A tenant and its branding for the time of a transaction.
mails()
{
	cat <<'END'
\set QUIET 1
\set ON_ERROR_STOP 1
\pset tuples_only on
\pset format unaligned
BEGIN;
SELECT FROM usermgmt.create_tenant('screenshots', 'Acme GmbH', 'olivia@example.org', 'Olivia Owner') \g /dev/null
SELECT usermgmt.use_tenant('screenshots') \g /dev/null
UPDATE usermgmt.tenant SET settings = '{"base_url": "https://app.example.org", "from_email": "mail@example.org", "time_zone": "Europe/Berlin"}',
	branding = :'branding' WHERE slug = 'screenshots';
SELECT format('SELECT html_body FROM usermgmt.preview_email(%L, %L) \g ''%s/%s.%s.html''', kind, locale, :'out', kind, locale)
FROM usermgmt.email_templates WHERE origin = 'shipped' \g :commands
\i :commands
ROLLBACK;
END
}

# shoot MAIL WIDTH light|dark
shoot()
{
	name=$out/$(basename "$1" .html).$2.$3
	scheme=0
	[ "$3" = light ] || scheme=1
	chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
		--user-data-dir="$profile" --blink-settings=preferredColorScheme=$((1 - scheme)) \
		--force-device-scale-factor=1 --window-size="$2,$4" --screenshot="$name.png" "file://$1" >/dev/null 2>&1
	pngquant --force --speed 1 --ext .png 32 "$name.png"
}

profile=$(mktemp -d)
commands=$(mktemp)
trap 'rm -rf "$profile" "$commands"' EXIT
out=$(cd "$out" && pwd -P)
mails | psql -X -v out="$out" -v commands="$commands" -v branding="${BRANDING:-{\"color\": \"#0f766e\"\}}"
for mail in "$out"/${KIND:-*}.html; do
	for theme in light dark; do
		shoot "$mail" 640 $theme 900
		shoot "$mail" 375 $theme 1000
	done
done
