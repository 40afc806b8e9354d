#!/bin/sh
# DuckDB 2.0.1 draws its progress bar into a piped stdout where its code runs by `python -c` (seen on 2026-11-30, Linux).
#
# It takes such code for a person at a prompt: a statement of more than two seconds draws a bar, and whoever reads that
# process's output reads the bar, too. The same code from a file, or on standard input, draws none. The setting that turns it
# off, enable_progress_bar, belongs to a connection: connect(config=...) refuses it, and where lock_configuration is on it
# cannot be set afterwards. Setting progress_bar_time turns the bar on, everywhere, also where it was turned off before.
#
# Exit code 0: it is still so. 1: it has changed (good news; sessions/store/connection.py may be simpler).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check duckdb==2.0.1
cd "$folder"
cat > long.py <<'PYTHON'
import sys

import duckdb

con = duckdb.connect()
for statement in sys.argv[1:]:
    con.execute(statement)
con.execute("SELECT sleep_ms(3000)").fetchall()
PYTHON
drawn() {
    "$@" | wc -c
}
by_c=$(drawn venv/bin/python -c "$(cat long.py)")
by_file=$(drawn venv/bin/python long.py)
by_stdin=$(drawn venv/bin/python - < long.py)
off=$(drawn venv/bin/python -c "$(cat long.py)" "SET enable_progress_bar = false")
on_again=$(drawn venv/bin/python long.py "SET enable_progress_bar = false" "SET progress_bar_time = 100")
refused=$(venv/bin/python -c "
import duckdb
try:
    duckdb.connect(config={'enable_progress_bar': 'false'})
except duckdb.InvalidInputException:
    print('refused')
")
echo "DuckDB 2.0.1: bytes on stdout by -c $by_c, from a file $by_file, on standard input $by_stdin, by -c with the bar off $off,"
echo "from a file with progress_bar_time after it $on_again; in the configuration: ${refused:-taken}"
[ "$by_c" -gt 0 ] && [ "$by_file" -eq 0 ] && [ "$by_stdin" -eq 0 ] && [ "$off" -eq 0 ] && [ "$on_again" -gt 0 ] &&
    [ "$refused" = refused ] || exit 1
