# shellcheck shell=sh disable=SC2046,SC2154
# Several servers: the whole suite on each, and pg_upgrade from one to the next.

# majors PG_CONFIG…: R28's table of versions. Each server runs ./run test of its
# own, with pg_upgrade from the first given of every older major.
majors()
{
	[ $# -gt 0 ] || wrong_call
	table=
	outcome=0
	for config; do
		version=$("$config" --version) || die "$config does not run"
		version=$(printf '%s\n' "$version" | sed 's/^[^0-9]*\([^ ]*\).*/\1/')
		log=$root/.build/majors-$version-$(assertions "$config")
		mkdir -p "$root/.build"
		printf '== PostgreSQL %s, assertions %s\n' "$version" "$(assertions "$config")"
		PG_CONFIG=$config UPGRADE_FROM=$(older "${version%%.*}" "$@") \
			"$root/run" test $([ "$install" = yes ] || echo --no-install) 2>&1 | tee "$log"
		sum=$(tail -n 1 "$log")
		case $sum in
			*' passed, 0 failed') ;;
			*) outcome=1 ;;
		esac
		table="$table$(printf '%-10s %-10s %s' "$version" "$(assertions "$config")" "$sum")
"
	done
	printf '\nR28: %-5s %-10s %s\n' version assertions 'the whole suite'
	printf '%s' "$table"
	return "$outcome"
}

assertions()
{
	case $("$1" --configure) in
		*--enable-cassert*) echo on ;;
		*) echo off ;;
	esac
}

# older MAJOR PG_CONFIG…: of those, the first of every older major.
older()
{
	below=$1
	shift
	for candidate; do
		printf '%s %s\n' "$("$candidate" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')" "$candidate"
	done | awk -v below="$below" '$1 < below && !seen[$1]++ { print $2 }'
}
