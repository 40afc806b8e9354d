"""List what a run can be compared with."""

import msgspec

from engine.nodes import format_count
from engine.results import Reference
from sessions.rows import ComparisonChoice
from sessions.store.circuits import circuits_of
from sessions.store.comparison_sides import run_side
from sessions.store.database import Store

_MOST_ELSEWHERE = 200


def comparable_with(store: Store, run_id: str) -> list[ComparisonChoice]:
    """Return what a run can be compared with, each group newest first.

    Groups in order: the known circuit, the session's other runs, the run's own seeds, saved circuits, runs of other
    sessions with the same shape.
    """
    run = run_side(store, run_id)
    found: list[ComparisonChoice] = []
    if run.known is not None:
        found.append(_known(run.known, run_id))
    if run.shape is not None:
        found += _runs(store, run_id, run.session_id, run.shape, here=True)
    if run.config is not None and len(run.config.seeds) > 1:
        has_codes = store.one("SELECT 1 FROM code WHERE run_id = $run LIMIT 1", {"run": run_id}) is not None
        if has_codes:
            found += [
                ComparisonChoice(
                    reference=f"{run_id}@{seed}", group="Seeds of this run", title=f"seed {seed}", detail=""
                )
                for seed in run.config.seeds
            ]
    for row in circuits_of(store, run.session_id):
        found.append(
            ComparisonChoice(
                reference=f"circuit:{row.session_id}/{row.name}",
                group="Saved circuits",
                title=row.name,
                detail=f"{format_count(row.heads)} · {row.source}",
            )
        )
    if run.shape is not None:
        found += _runs(store, run_id, run.session_id, run.shape, here=False)
    return found


def _known(known: Reference, run_id: str) -> ComparisonChoice:
    detail = f"{format_count(known.heads)} · {known.source}"
    return ComparisonChoice(reference=f"known:{run_id}", group="Known circuit", title=known.name, detail=detail)


def _runs(store: Store, run_id: str, session_id: str, shape: tuple[int, int], *, here: bool) -> list[ComparisonChoice]:
    rows = store.rows(
        "SELECT r.run_id, r.number, s.name, r.state, r.model_name, r.config->>'$.sae.n_codes', "
        "r.config->>'$.sae.sparsity', r.config->>'$.seeds', r.n_positive, r.n_negative, r.name "
        "FROM run r JOIN session s ON s.session_id = r.session_id "
        "WHERE r.run_id <> $run AND (r.session_id = $session) = $here AND r.n_layers = $layers AND r.n_heads = $heads "
        "AND s.trashed_us IS NULL AND EXISTS (SELECT 1 FROM node_score n WHERE n.run_id = r.run_id) "
        "ORDER BY r.queued_us DESC, r.run_id DESC LIMIT $limit",
        {
            "run": run_id,
            "session": session_id,
            "here": here,
            "layers": shape[0],
            "heads": shape[1],
            "limit": _MOST_ELSEWHERE,
        },
    )
    found = []
    for row in rows:
        seeds = len(msgspec.json.decode(row[7], type=list[int]))
        words = [row[4] or "?", f"{row[5]} codes", f"lambda {row[6]}", f"{seeds} seeds" if seeds > 1 else "1 seed"]
        if row[8] is not None:
            words.append(f"{row[8]}+{row[9]}")
        if row[3] != "done":
            words.append(row[3])
        found.append(
            ComparisonChoice(
                reference=row[0],
                group="Runs of this session" if here else "Runs of other sessions",
                title=(f"run {row[1]}" if here else f"{row[2]}/{row[1]}") + (f" {row[10]}" if row[10] else ""),
                detail=" · ".join(words),
            )
        )
    return found
