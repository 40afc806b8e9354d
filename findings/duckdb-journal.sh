#!/bin/sh
# DuckDB 2.0.1 opens a database with a damaged journal on its older state, without a word (seen on 2026-11-30).
#
# A journal (`.wal`) whose header or whose length of an entry is damaged is taken for one that a crash cut short: what was
# committed after that place is not there, nothing is raised, and the next write replaces the journal. A damaged byte inside
# an entry is refused, as it should be: there a checksum is compared. Of a journal of ten small commits one byte in seven
# is of the first kind.
#
# Exit code 0: it is still so. 1: it has changed (good news; sessions/journal.py may look for less).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check duckdb==2.0.1
cat > "$folder/seen.py" <<'PYTHON'
import os
import subprocess
import sys

import duckdb

WRITE = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("CREATE TABLE t (i INTEGER)")
con.execute("CHECKPOINT")
for number in range(10):
    con.execute("INSERT INTO t VALUES ($n)", {"n": number})
os._exit(0)  # as if killed: the journal stays
"""
folder = sys.argv[1]
path = os.path.join(folder, "a.duckdb")
subprocess.run([sys.executable, "-c", WRITE, path], check=True)
with open(path, "rb") as file:
    store = file.read()
with open(path + ".wal", "rb") as file:
    journal = file.read()


def rows(damaged):
    """The rows there are with that journal; None where it is refused."""
    with open(path, "wb") as file:
        file.write(store)
    with open(path + ".wal", "wb") as file:
        file.write(damaged)
    try:
        with duckdb.connect(path) as con:
            return con.execute("SELECT count(*) FROM t").fetchall()[0][0]
    except duckdb.Error:
        return None


def flipped(at):
    return journal[:at] + bytes([journal[at] ^ 0xFF]) + journal[at + 1 :]


header = journal.index(b"\xff\xff") + 2
middle = journal.index((5).to_bytes(8, "little"), len(journal) // 2)  # the entry that ends a commit
seen = {
    "whole": rows(journal),
    "first byte": rows(flipped(0)),
    "zeros": rows(bytes(len(journal))),
    "a text": rows((b"Dear aunt, " * len(journal))[: len(journal)]),
    "a length in the middle": rows(flipped(middle + 3)),
    "inside an entry": rows(flipped(header + 20)),
}
print(duckdb.__version__, seen)
as_seen = seen["whole"] == 10 and seen["inside an entry"] is None and seen["a length in the middle"] in range(10)
as_seen = as_seen and all(seen[name] == 0 for name in ("first byte", "zeros", "a text"))
print("It is still so." if as_seen else "It has changed.")
sys.exit(0 if as_seen else 1)
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" "$folder"
