"""What newcomers type into the palette finds what they mean: among the first three results, for 97 of 100 queries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tui.screens.palette import PaletteContents

from ..visits import whole

LEAST = 0.97
FIRST = 3


def read_queries() -> Iterator[tuple[str, frozenset[str]]]:
    for line in Path(__file__).with_name("newcomer_queries.txt").read_text(encoding="utf-8").splitlines():
        query, between, wanted = line.partition(" => ")
        if between and not line.startswith("#"):
            yield query, frozenset(wanted.split(" | "))


async def test_queries_of_newcomers_find_what_they_mean(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*whole(recorded))
    async with open_screen(host) as (app, _pilot, _until):
        contents = PaletteContents(app.screen, lambda: None)
        await contents.load()
        known = {entry.id for entry in contents.entries()}
        queries = list(read_queries())
        missed = []
        for query, wanted in queries:
            unknown = {name for name in wanted - known if not name.startswith("node:")}
            assert not unknown, f"{query}: {unknown} is in no entry"
            found = [entry.id for _, entry in contents.search(query)[:FIRST]]
            if not wanted.intersection(found):
                missed.append(f"{query}: {', '.join(found)}, not {' or '.join(sorted(wanted))}")
        share = 1 - len(missed) / len(queries)
        print(f"{share:.1%} of {len(queries)} queries", *missed, sep="\n")
        assert len(queries) >= 150
        assert share >= LEAST, "\n".join(missed)
