"""Entries of the palette beside actions: nodes, runs, sessions, models, themes, settings, documents."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial

from engine.nodes import NodeId
from sessions.rows import ListedRun, SessionRow
from tui.state.documents import DocumentPage, documents
from tui.state.entry_search import PaletteEntry, cut_words
from tui.state.run import SessionRun
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import clock

_NODE = re.compile(r"(?:(?:head|node|layer|mlp|unit)\s+)?(\d+(?:\.\d*)?|m\d*|e(?:mb(?:edding)?)?)", re.IGNORECASE)
_MOST_NODES = 8
"""Nodes listed while a name is still incomplete."""
_OTHER_RUN = 0.85
_RUN, _SESSION, _MODEL, _DOCUMENT = 0.9, 0.9, 0.92, 0.93
"""Weights: an action with the same words precedes."""


def node_entries(state: WorkbenchState, query: str, go: Callable[[NodeId], object]) -> list[PaletteEntry]:
    """Return the nodes whose name begins with the query: 26.0, m8, emb. A complete name is the first."""
    found = _NODE.fullmatch(query.strip())
    places, view = state.places(), state.view()
    if found is None or places is None:
        return []
    name = found[1].lower()
    name = "emb" if name.startswith("e") else name
    ranked = () if view is None else (node for node in view.order if NodeId(*node).in_circuits)
    ranks = {node: place for place, node in enumerate(ranked, 1)}
    nodes = (NodeId(*node) for row in range(places.rows) for node in places.in_row(row))
    begun = [node for node in nodes if str(node).startswith(name)]
    begun.sort(key=lambda node: (str(node) != name, ranks.get(node, len(ranks) + 1)))
    return [
        PaletteEntry(
            id=f"node:{node}",
            title=f"Go to {'head ' if node.is_head else ''}{node}",
            detail=f"rank {ranks[node]} of {len(ranks)} by {view.measure.title}"
            if view is not None and node in ranks
            else "the embedding",
            do=partial(go, node),
        )
        for node in begun[:_MOST_NODES]
    ]


def run_entries(runs: Sequence[SessionRun], show: Callable[[str], object]) -> Iterator[PaletteEntry]:
    """Yield the runs of the session, the newest first."""
    for run in reversed(runs):
        tags = (f"#{clean(tag)}" for tag in run.tags)
        parts = (run.state, clean(run.model), run.config.sae.recipe, clock(run.queued_us), *tags)
        yield PaletteEntry(
            id=f"run:{run.run_id}",
            title=clean(f"Run {run.number} {run.name}".strip()),
            detail=f"Show this run: {' · '.join(parts)}",
            words=(clean(run.name),) if run.name else (),
            weight=_RUN,
            do=partial(show, run.run_id),
        )


def other_run_entries(
    runs: Iterable[ListedRun], current: str | None, open_run: Callable[[str, str], object]
) -> Iterator[PaletteEntry]:
    """Yield the runs of other sessions, the newest first."""
    for each in runs:
        run = each.run
        if run.session_id != current:
            called = f" {clean(run.name)}" if run.name else ""
            tags = (f"#{clean(tag)}" for tag in run.tags)
            parts = (run.state, clean(run.model), run.config.sae.recipe, clock(run.queued_us), *tags)
            yield PaletteEntry(
                id=f"run:{run.run_id}",
                title=f"Run {clean(each.session)}/{run.number}{called}",
                detail=f"Open its session and show it: {' · '.join(parts)}",
                words=(clean(run.name),) if run.name else (),
                weight=_OTHER_RUN,
                do=partial(open_run, run.session_id, run.run_id),
            )


def session_entries(
    sessions: Iterable[SessionRow], current: str | None, switch: Callable[[str], object]
) -> Iterator[PaletteEntry]:
    """Yield the other sessions, the most recently changed first."""
    for row in sessions:
        if row.session_id != current:
            runs = f"{row.n_runs} run{'s' * (row.n_runs != 1)}"
            parts = [clean(row.model), clean(row.task or "own examples"), runs, *(f"#{clean(tag)}" for tag in row.tags)]
            yield PaletteEntry(
                id=f"session:{row.session_id}",
                title=f"Session {clean(row.name)}",
                detail=f"Open this session: {' · '.join(parts)}",
                words=(clean(row.name),),
                weight=_SESSION,
                do=partial(switch, row.session_id),
            )


def model_entries(names: Iterable[str], current: str, use: Callable[[str], object]) -> Iterator[PaletteEntry]:
    """Yield the models of this machine."""
    for name in names:
        yield PaletteEntry(
            id=f"model:{name}",
            title=f"Model {clean(name)}",
            detail="The model of the next run" if name == current else "Use this model for the next run",
            words=(clean(name),),
            weight=_MODEL,
            do=partial(use, name),
        )


@cache
def document_texts() -> Mapping[str, frozenset[str]]:
    """Return the words of every document, by its name. Reads all of them: a tenth of a second."""
    return {page.name: frozenset(cut_words(page.path.read_text(encoding="utf-8"))) for page in documents()}


def document_entries(
    show: Callable[[DocumentPage], object], texts: Mapping[str, frozenset[str]]
) -> Iterator[PaletteEntry]:
    """Yield README and the pages of docs/, with the words of their texts where those are read."""
    for page in documents():
        yield PaletteEntry(
            id=f"doc:{page.name}",
            title=page.title,
            label=f"{page.title}  ({page.name})",
            detail="Read this page",
            words=page.words,
            text=texts.get(page.name, frozenset()),
            weight=_DOCUMENT,
            do=partial(show, page),
        )
