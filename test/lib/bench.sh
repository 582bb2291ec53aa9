# shellcheck shell=sh disable=SC2154
# ./run bench [NAME]: the benchmark (test/bench) on a throw-away cluster with
# real fsync and a build as it is installed, and docs/performance.md from it.

bench()
{
	need_packages bench
	# shellcheck disable=SC2086
	/usr/bin/python3 "$root/test/bench/bench.py" --check $bench_options || exit 100
	make_work
	build plain
	start_cluster on
	account_directory "$work/bench"
	cat >>"$PGDATA/postgresql.conf" <<-'END'
		shared_buffers = 1GB
		max_wal_size = 8GB
		max_connections = 200
		checkpoint_timeout = 30min
		autovacuum = off
		jit = off
	END
	as_account "$bindir/pg_ctl" -D "$PGDATA" -l "$work/pg/log" -w -t 60 restart >"$work/start.log" 2>&1 ||
		die "the server did not start"
	export BENCH_WORK="$work/bench" SERVER_LOG="$work/pg/log" RELAY="$relay" PATH="$bindir:$PATH" HOME="$work/bench"
	# shellcheck disable=SC2086
	(cd / && exec setsid $drop /usr/bin/python3 "$work/tree/test/bench/bench.py" $bench_options) &
	child=$!
	children="$children $child"
	outcome=0
	wait "$child" || outcome=$?
	[ "$outcome" -eq 0 ] || die "the benchmark failed"
	[ ! -s "$work/bench/performance.md" ] || put_figures
}

# put_figures: into docs/performance.md, between the markers; only a whole run
# writes them.
put_figures()
{
	document=$root/docs/performance.md
	{
		sed '/<!-- bench:begin -->/q' "$document"
		cat "$work/bench/performance.md"
		sed -n '/<!-- bench:end -->/,$p' "$document"
	} >"$work/document"
	cat "$work/document" >"$document" && printf 'docs/performance.md is written\n'
}
