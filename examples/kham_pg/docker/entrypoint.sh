#!/bin/sh
# Installs the module into the PostgreSQL that pg_config names, starts a server of its own (temporary data directory,
# unix socket only), runs the regression tests and takes everything away that it brought.
#
#   KHAM_MODULE  the built module            (default: libkham_pg.so beside the sources' target directory)
#   KHAM_SOURCE  the example's directory     (default: the directory above this script)
#   PG_CONFIG    the pg_config to ask        (default: pg_config)
#   PGUSER_OS    the system user to run as   (default: postgres; used only when started as root)
#   KHAM_KEEP    1: leave module and server files in place
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
KHAM_SOURCE=${KHAM_SOURCE:-$(dirname -- "$here")}
KHAM_MODULE=${KHAM_MODULE:-$KHAM_SOURCE/target/release/libkham_pg.so}
PG_CONFIG=${PG_CONFIG:-pg_config}
PGUSER_OS=${PGUSER_OS:-postgres}

# Every path comes from pg_config; only pg_regress, which it does not know, is found through pgxs.
bindir=$("$PG_CONFIG" --bindir)
pkglibdir=$("$PG_CONFIG" --pkglibdir)
extension_dir=$("$PG_CONFIG" --sharedir)/extension
pgxs=$("$PG_CONFIG" --pgxs)
pg_regress=$(dirname -- "$(dirname -- "$pgxs")")/test/regress/pg_regress
if [ ! -x "$pg_regress" ]; then
    echo "no pg_regress at $pg_regress: install the server's development package (postgresql-server-dev-NN)" >&2
    exit 1
fi
if [ ! -f "$KHAM_MODULE" ]; then
    echo "no module at $KHAM_MODULE: run cargo build --release, or set KHAM_MODULE" >&2
    exit 1
fi

# PostgreSQL refuses to run as root: switch to its user with what is there.
run_as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    if command -v gosu >/dev/null 2>&1; then
        run_as() { gosu "$PGUSER_OS" "$@"; }
    elif command -v su-exec >/dev/null 2>&1; then
        run_as() { su-exec "$PGUSER_OS" "$@"; }
    elif command -v runuser >/dev/null 2>&1; then
        run_as() { runuser -u "$PGUSER_OS" -- "$@"; }
    else
        echo "started as root, and neither gosu nor su-exec nor runuser is there to become $PGUSER_OS" >&2
        exit 1
    fi
fi

# An installation that was there before stays, with this module in it.
was_installed=0
if [ -e "$pkglibdir/kham_pg.so" ]; then
    was_installed=1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/kham_pg.XXXXXX")
export PGDATA="$work/data"
socket="$work/socket"
log="$work/log/server.log"
port=${PGPORT:-5432}

finish() {
    status=$?
    if [ -f "$PGDATA/postmaster.pid" ]; then
        run_as "$bindir/pg_ctl" stop -D "$PGDATA" -m immediate -s || true
    fi
    if [ "${KHAM_KEEP:-0}" != 1 ]; then
        if [ "$was_installed" = 0 ]; then
            rm -f "$pkglibdir/kham_pg.so" "$extension_dir/kham_pg.control" "$extension_dir"/kham_pg--*.sql
        fi
        rm -rf "$work"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What the server's user must own: data directory (700), socket directory (775), log, and the place of the results.
mkdir -p "$PGDATA" "$socket" "$work/log" "$work/regress"
cp -R "$KHAM_SOURCE/sql" "$KHAM_SOURCE/expected" "$work/regress/"
chmod 755 "$work"
chmod 700 "$PGDATA"
chmod 775 "$socket"
if [ "$(id -u)" = 0 ]; then
    chown -R "$PGUSER_OS" "$work"
fi

install -m 755 "$KHAM_MODULE" "$pkglibdir/kham_pg.so"
install -m 644 "$KHAM_SOURCE/extension/kham_pg.control" "$KHAM_SOURCE"/extension/kham_pg--*.sql "$extension_dir/"

cd "$work"
run_as "$bindir/initdb" -D "$PGDATA" -U postgres --encoding=UTF8 --locale=C --no-sync >"$work/log/initdb.log" 2>&1 || {
    cat "$work/log/initdb.log" >&2
    exit 1
}
# mmap needs neither /dev/shm of a certain size nor --ipc=host; "none" is gone since PostgreSQL 17.
cat >>"$PGDATA/postgresql.conf" <<CONF
dynamic_shared_memory_type = mmap
listen_addresses = ''
unix_socket_directories = '$socket'
port = $port
fsync = off
CONF
# After initdb, which writes pg_hba.conf anew.
printf 'local all all trust\n' >"$PGDATA/pg_hba.conf"

run_as "$bindir/pg_ctl" start -D "$PGDATA" -w -s -l "$log" || {
    echo "the server did not start; its log:" >&2
    cat "$log" >&2
    exit 1
}

# pg_regress makes results/ inside --outputdir, so it is run from there.
cd "$work/regress"
run_as "$pg_regress" --inputdir=. --outputdir=. --bindir="$bindir" --dbname=regression --encoding=UTF8 \
    --host="$socket" --port="$port" --user=postgres kham_fts || {
    if [ -f regression.diffs ]; then
        cat regression.diffs >&2
    else
        cat "$log" >&2
    fi
    exit 1
}
