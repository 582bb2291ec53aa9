# shellcheck shell=sh disable=SC2034,SC2154
# Building: in place for a developer, or a copy of the tree for tests and demo,
# which then neither need a writable checkout nor disturb a build in it.

build_in_place()
{
	make -C "$root" -j"$(nproc)" PG_CONFIG="$pg_config" with_llvm=no
}

# build strict…|plain: a copy of the tree in $work/tree, what it installs in
# $stage and the relay's path in $relay. The outcome is kept in .build until a
# source changes.
build()
{
	flavour=$1
	stage=$work/stage
	kept=$root/.build/$flavour
	mkdir "$work/tree"
	(cd "$root" && tar -cf - --exclude=./.git --exclude=./.build --exclude='*.o' \
		--exclude='*.so' --exclude='*.bc' --exclude=usermgmt-relay .) |
		tar -xf - --no-same-owner -C "$work/tree"
	chmod -R u+w,a+rX "$work/tree"

	sources=$(digest_sources)
	if [ "$sources" = "$(cat "$kept/sources" 2>/dev/null)" ]; then
		cp -R "$kept/stage" "$stage"
	else
		build_stage
		keep_stage
	fi
	chmod -R a+rX "$stage"
	relay=$(find "$stage" -type f -name usermgmt-relay | head -n 1)
}

digest_sources()
{
	(cd "$work/tree" && {
		echo "$flavour"
		"$pg_config"
		gcc --version
		find . \( -path ./test -o -path ./sql -o -path ./expected -o -path ./docs \) -prune \
			-o -type f -exec sha256sum {} + | sort
	}) | sha256sum
}

build_stage()
{
	set -- PG_CONFIG="$pg_config" with_llvm=no
	[ "$flavour" = plain ] || set -- "$@" STRICT=1
	for target in all install; do
		make -s -C "$work/tree" -j"$(nproc)" "$target" "$@" DESTDIR="$stage" >"$work/build.log" 2>&1 || {
			cat "$work/build.log" >&2
			die "the build failed"
		}
	done
}

# A checkout that cannot be written to is built anew each time.
keep_stage()
{
	mkdir -p "$root/.build" 2>/dev/null || return 0
	fresh=$(mktemp -d "$root/.build/new.XXXXXX" 2>/dev/null) || return 0
	cp -R "$stage" "$fresh/stage"
	printf '%s\n' "$sources" >"$fresh/sources"
	rm -rf "$kept"
	mv -T "$fresh" "$kept" 2>/dev/null || rm -rf "$fresh"
}

# build_older: the extension for each older server whose pg_config is named in
# UPGRADE_FROM, and the file that names them to test/t/installation_upgrade.pl.
build_older()
{
	unset UPGRADE_SERVERS
	[ -n "${UPGRADE_FROM-}" ] || return 0
	export UPGRADE_SERVERS="$work/upgrade_servers"
	for old in $UPGRADE_FROM; do
		(
			PG_CONFIG=$old
			find_postgres
			work=$work/$major
			mkdir -m 755 "$work"
			build "strict-$major"
			server_settings >"$work/settings"
			printf '%s %s\n' "${bindir%/bin}" "$work/settings" >>"$UPGRADE_SERVERS"
		) || die "the build for $old failed"
	done
}
