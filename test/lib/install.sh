# shellcheck shell=sh disable=SC2154
# Which packages are missing, and installing them. Files and commands are
# probed, not dpkg, so a server built from source is as good as the package.

# find_postgres: the newest version with its development files, else the newest
# that apt offers, else 15; sets $major, $pg_config and $bindir.
find_postgres()
{
	if [ -n "${PG_CONFIG-}" ]; then
		pg_config=$PG_CONFIG
		bindir=$("$pg_config" --bindir) || die "PG_CONFIG=$PG_CONFIG does not run"
		major=$("$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
		return
	fi
	major=$(for pgxs in /usr/lib/postgresql/*/lib/pgxs/src/makefiles/pgxs.mk; do
		[ ! -e "$pgxs" ] || printf '%s\n' "$pgxs"
	done | cut -d/ -f5 | sort -n | tail -n 1)
	[ -n "$major" ] || major=$(apt-cache show postgresql 2>/dev/null |
		sed -n 's/^Version: \([0-9]*\)+.*/\1/p' | sort -n | tail -n 1)
	[ -n "$major" ] || major=15
	bindir=/usr/lib/postgresql/$major/bin
	pg_config=$bindir/pg_config
}

# need PACKAGE PATTERN…: note the package unless one of the files exists.
need()
{
	package=$1
	shift
	for file; do
		[ ! -e "$file" ] || return 0
	done
	missing="$missing $package"
}

need_command()
{
	command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}

find_missing()
{
	find_postgres
	pg=/usr/lib/postgresql/$major
	missing=
	need_command make make
	need_command gcc gcc
	need_command pkg-config pkg-config
	need libc6-dev /usr/include/stdio.h
	need "postgresql-$major" "$bindir/postgres"
	need "postgresql-server-dev-$major" "$pg/lib/pgxs/src/makefiles/pgxs.mk" \
		"$("$pg_config" --pgxs 2>/dev/null || :)"
	need libpq-dev /usr/include/postgresql/libpq-fe.h /usr/include/libpq-fe.h
	need libsodium-dev /usr/include/sodium.h
	need libcurl4-openssl-dev /usr/include/curl/curl.h /usr/include/*/curl/curl.h
	need libidn2-dev /usr/include/idn2.h
	need libjansson-dev /usr/include/jansson.h
	[ "$1" != build ] || return 0
	need python3 /usr/bin/python3
	[ "$1" != bench ] || need postfix /usr/sbin/smtp-sink
	[ "$1" != bench ] || return 0
	need python3-aiosmtpd /usr/lib/python3/dist-packages/aiosmtpd/main.py
	[ "$1" != demo ] || return 0
	need perl /usr/share/perl/*/TAP/Harness.pm
	need libipc-run-perl /usr/share/perl5/IPC/Run.pm
	need "postgresql-$major-pgtap" "/usr/share/postgresql/$major/extension/pgtap.control" \
		"$("$pg_config" --sharedir 2>/dev/null || :)/extension/pgtap.control"
	need_command openssl openssl
	need_command mandoc mandoc
	need libfaketime /usr/lib/*/faketime/libfaketime.so.1
	[ "$(id -u)" != 0 ] || need postfix /usr/sbin/postconf
	need pgbouncer /usr/sbin/pgbouncer /usr/bin/pgbouncer /usr/local/bin/pgbouncer
}

lists_are_empty()
{
	for list in /var/lib/apt/lists/*Packages*; do
		[ ! -e "$list" ] || return 1
	done
}

# apt ARGUMENT…: apt-get as root, silent unless it fails; no service is started.
apt()
{
	log=$(mktemp)
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=120 "$@" \
		>"$log" 2>&1 </dev/null && rm -f "$log" && return
	apt_log=$(cat "$log")
	rm -f "$log"
	return 1
}

# need_packages build|bench|demo|test: install what is missing, or say what is and exit 77.
need_packages()
{
	find_missing "$1"
	[ -n "$missing" ] || return 0
	as_root=
	[ "$(id -u)" = 0 ] || as_root='sudo -n'
	if [ "$install" = no ]; then
		refuse_to_install "--no-install was given"
	elif ! command -v apt-get >/dev/null 2>&1; then
		printf './run: missing, by their Debian names:%s\n' "$missing" >&2
		exit 77
	elif [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; then
		refuse_to_install "not root, and sudo is absent or wants a password"
	fi

	if lists_are_empty; then
		printf 'Reading the package lists\n'
		apt update || die "apt-get update failed:
$apt_log"
		find_missing "$1"
	fi
	printf 'Installing%s\n' "$missing"
	# One without a configuration can not run; the tests bring their own.
	case "$missing " in
		*" postfix "*)
			printf 'postfix postfix/main_mailer_type select No configuration\n' |
				debconf-set-selections
			;;
	esac
	# shellcheck disable=SC2086
	apt install -y --no-install-recommends $missing ||
		{ apt update && apt install -y --no-install-recommends $missing; } ||
		die "apt-get failed:
$apt_log"
	find_missing "$1"
	[ -z "$missing" ] || die "installed, and still not found:$missing"
}

refuse_to_install()
{
	printf './run: packages are missing (%s). As root:\n' "$1" >&2
	printf 'apt-get install -y --no-install-recommends%s\n' "$missing" >&2
	exit 77
}
