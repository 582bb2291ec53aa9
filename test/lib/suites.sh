# shellcheck shell=sh disable=SC2154
# ./run test [ROOM]: every suite that exists, each bounded in time, then one
# line that sums them up. The programs run as the account, on a copy of the tree.

suite_limit=${SUITE_LIMIT:-900}

test_suites()
{
	passed=0
	failed=0
	choose_files
	need_packages test
	make_work
	rm -rf "$root/.build/results" 2>/dev/null || :
	began=$(now)
	build strict
	build_older
	printf '%-10s %s\n' build "$(seconds_since "$began")"
	start_cluster off
	prepare_environment
	[ -z "$regress" ] || suite regress run_regress
	[ -z "$isolation" ] || suite isolation run_isolation
	[ -z "$pgtap" ] || suite pgtap run_pgtap
	[ -z "$perl" ] || suite perl run_perl
	[ -z "$relay_tests" ] || suite relay run_relay
	[ -z "$fuzz" ] || suite fuzz run_fuzz
	find_crashes

	[ $((passed + failed)) -gt 0 ] || failed=1
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" -eq 0 ]
}

# soak: odd arguments, random use and crashes for long, and the relay's proofs in
# full size; each prints its figures.
soak()
{
	passed=0
	failed=0
	room=relay
	suite_limit=3600
	export FILE_LIMIT=3500 RELAY_SOAK=1 USERMGMT_SOAK=1 FUZZ_CALLS=1000000 FUZZ_SECONDS=3000 FUZZ_INPUTS=1000000
	need_packages test
	make_work
	build strict
	start_cluster off
	prepare_environment
	fuzz=$(existing 'test/fuzz/*_fuzz.py')
	suite fuzz run_fuzz
	perl='test/t/core_crash.pl test/t/core_soak.pl test/t/core_soak_crash.pl test/t/session_stress.pl test/t/outbox_notify_full.pl'
	suite perl run_perl
	relay_tests=test/relay/relay_test.py
	suite relay run_soak
	find_crashes
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" -eq 0 ]
}

run_soak()
{
	make_database relay_test
	export PGDATABASE=relay_test
	# shellcheck disable=SC2086
	tap relay 1 python $relay_tests
}

# choose_files: what each suite runs, as names below the tree; all, or the room's.
choose_files()
{
	regress=$(existing "sql/${room:-*}.sql")
	isolation=$(existing "test/specs/$room*.spec")
	pgtap=$(existing "test/pgtap/${room:-*}.sql" ${room:+"test/pgtap/${room}_*.sql"})
	perl=$(existing "test/t/$room*.pl")
	relay_tests=
	case $room in
		'' | relay) relay_tests=$(existing "test/relay/*_test.py") ;;
	esac
	fuzz=
	case $room in
		'' | fuzz) fuzz=$(existing 'test/fuzz/*_fuzz.py') ;;
	esac
	[ -n "$regress$isolation$pgtap$perl$relay_tests$fuzz" ] ||
		die "no test is named ${room:-anything}; a room is a name in sql/, test/pgtap, test/specs or test/t, or relay, or fuzz"
}

# existing PATTERN…: the files that match, one a line.
existing()
{
	(
		cd "$root" || exit
		for pattern; do
			# shellcheck disable=SC2254
			for file in $pattern; do
				[ ! -f "$file" ] || printf '%s\n' "$file"
			done
		done
	)
}

# find_crashes: a backend that died is a failure, whatever the tests made of it.
find_crashes()
{
	! cat "$work/pg/log" "$PGDATA"/*.log 2>/dev/null |
		grep -E 'TRAP:|PANIC:|terminated by signal' || failed=$((failed + 1))
}

prepare_environment()
{
	makefiles=$(dirname "$("$pg_config" --pgxs)")
	pgxs=${makefiles%/*}
	tree=$work/tree
	server_settings >"$work/temp_config"
	for directory in home tmp regress isolation perl relay fuzz; do
		account_directory "$work/$directory"
	done
	mkdir "$work/root"
	export HOME="$work/home" TMPDIR="$work/tmp" PATH="$bindir:$PATH"
	export USERMGMT_STAGE="$stage" RELAY="$relay" PG_BIN="$bindir"
	export TEMP_CONFIG="$work/temp_config" TESTDIR="$work/perl" \
		TESTDATADIR="$work/perl/tmp_check" TESTLOGDIR="$work/perl/tmp_check/log" PERL5LIB="$pgxs/test/perl"
	export PG_REGRESS="$pgxs/test/regress/pg_regress"
	export PG_TEST_TIMEOUT_DEFAULT=60 PGISOLATIONTIMEOUT=60
	make_database harness
	check_stage harness
}

# make_database NAME [EXTENSION…]: with usermgmt and those.
make_database()
{
	database=$1
	shift
	psql -d postgres -c "CREATE DATABASE \"$database\" TEMPLATE template0" ||
		die "CREATE DATABASE failed"
	for extension in "$@" usermgmt; do
		psql -d "$database" -c "CREATE EXTENSION $extension" ||
			die "CREATE EXTENSION $extension failed"
	done
}

# suite NAME FUNCTION: run it, add its counts, print a line with its duration.
suite()
{
	began=$(now)
	suite_passed=0
	suite_failed=0
	"$2"
	passed=$((passed + suite_passed))
	failed=$((failed + suite_failed))
	printf '%-10s %4d passed, %d failed   %s\n' "$1" "$suite_passed" "$suite_failed" "$(seconds_since "$began")"
}

# bounded DIRECTORY COMMAND…: as the account, in that directory, its output in
# DIRECTORY/output; ended after $suite_limit seconds. Waiting for a child, unlike
# running it in the foreground, lets a signal in.
bounded()
{
	where=$1
	shift
	start_child "$where/output" timeout -k 10 "$suite_limit" env -C "$where" "$@"
	outcome=0
	wait "$child" || outcome=$?
	[ "$outcome" -ne 124 ] || printf '%s: ended after %s s\n' "${1##*/}" "$suite_limit" >>"$where/output"
}

stems()
{
	printf '%s\n' "$1" | sed 's,.*/,,; s,\.[a-z]*$,,'
}

# run_regress: install goes first and uninstall last. A room that is run without
# install finds the extension there.
run_regress()
{
	names=$(stems "$regress")
	first=$(printf '%s\n' "$names" | grep -x install || :)
	last=$(printf '%s\n' "$names" | grep -x uninstall || :)
	names=$(printf '%s\n' "$names" | grep -vx -e install -e uninstall || :)
	case $first in
		'') make_database contrib_regression ;;
		*) psql -d postgres -c 'CREATE DATABASE contrib_regression TEMPLATE template0' ;;
	esac
	# shellcheck disable=SC2086
	compare regress "$PG_REGRESS" contrib_regression "$tree" $first $names $last
}

# run_isolation: fresh goes first, since it makes what the others begin with.
run_isolation()
{
	psql -d postgres -c 'CREATE DATABASE isolation_regression TEMPLATE template0'
	# shellcheck disable=SC2046
	compare isolation "$pgxs/test/isolation/pg_isolation_regress" isolation_regression "$tree/test" \
		fresh $(stems "$isolation" | grep -vx fresh)
}

# compare SUITE RUNNER DATABASE INPUT TEST…: each file is one test, and what the
# runner does not report as ok has failed. From 16 on it reports in TAP.
compare()
{
	output=$work/$1
	runner=$2
	database=$3
	input=$4
	shift 4
	bounded "$output" "$runner" --use-existing --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" \
		--bindir="$bindir" --dbname="$database" --inputdir="$input" --outputdir="$output" "$@"
	suite_passed=$(grep -Ec '^(test .*\.\.\. ok |ok [0-9])' "$output/output" || :)
	suite_failed=$(($# - suite_passed))
	[ "$outcome" -eq 0 ] || [ "$suite_failed" -gt 0 ] || suite_failed=1
	[ "$suite_failed" -gt 0 ] || return 0
	if [ -s "$output/regression.diffs" ]; then
		grep -E '^(test .*\.\.\. FAILED|not ok )' "$output/output" || :
		head -n 1000 "$output/regression.diffs"
		keep_results "$output"/results/* || :
	else
		cat "$output/output"
	fi
}

# keep_results FILE…: transcripts and logs to look at, or to copy to expected/.
keep_results()
{
	mkdir -p "$root/.build/results" 2>/dev/null &&
		cp -R "$@" "$root/.build/results" 2>/dev/null &&
		printf 'see .build/results\n'
}

# run_pgtap: a database for each file, so that two files at a time never wait
# for each other's rows.
run_pgtap()
{
	make_database template_pgtap pgtap
	for name in $(stems "$pgtap"); do
		printf 'CREATE DATABASE "pgtap_%s" TEMPLATE template_pgtap STRATEGY file_copy;\n' "$name"
	done | psql -d postgres
	# shellcheck disable=SC2086
	tap tmp 2 pgtap $pgtap
}

run_perl()
{
	# shellcheck disable=SC2086
	tap perl 2 perl $perl
	[ "$suite_failed" -eq 0 ] || keep_results "$work"/perl/tmp_check/log/* || :
}

# run_fuzz: short, and the same inputs each time; a soak takes new ones, and prints
# the seed.
run_fuzz()
{
	# shellcheck disable=SC2086
	tap fuzz 1 python $fuzz
}

# run_relay: each file in a database of its own, four at a time; those that
# restart the cluster come last and alone. What mounts file systems and starts a
# Postfix stays root, below a directory that the account may read.
run_relay()
{
	[ -n "$RELAY" ] || die "make install staged no usermgmt-relay"
	export PGDATABASE=postgres RELAY_DATABASES=1
	tap relay 4 python test/relay/mail_test.py test/relay/fault_test.py \
		test/relay/session_test.py test/relay/api_test.py
	relay_passed=$suite_passed
	relay_failed=$suite_failed
	tap relay 1 python test/relay/database_test.py
	relay_passed=$((relay_passed + suite_passed))
	relay_failed=$((relay_failed + suite_failed))
	TMPDIR=$work/root
	lend_root tap root 1 python test/relay/root_test.py
	TMPDIR=$work/tmp
	suite_passed=$((suite_passed + relay_passed))
	suite_failed=$((suite_failed + relay_failed))
	unset PGDATABASE RELAY_DATABASES
}

# tap DIRECTORY JOBS KIND FILE…: each assertion is one test.
tap()
{
	output=$work/$1
	shift
	bounded "$output" /usr/bin/perl "$tree/test/lib/tap.pl" "$tree" "$output/count" "$@"
	suite_passed=0
	suite_failed=1
	[ ! -s "$output/count" ] || read -r suite_passed suite_failed <"$output/count"
	[ "$outcome" -eq 0 ] || [ "$suite_failed" -gt 0 ] || suite_failed=1
	cat "$output/output"
}
