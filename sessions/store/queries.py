"""Query the store: one function per question, with rows of sessions.rows as results."""

import shlex
from collections.abc import Sequence

import msgspec

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.examples import Example, content_hash
from engine.nodes import NodeId, NodeLayout
from engine.results import ModelInfo
from engine.tasks.registry import made_by
from sessions.errors import NoSuchRecord
from sessions.events import RunVerified
from sessions.rows import HeadCodes, NoteRow, RunRow, SessionDetail, SessionRow
from sessions.store.database import Row, Store
from sessions.store.run_names import run_by_name

_CANDIDATES = 5

_SESSION = """
    SELECT s.session_id, s.name, s.model, s.task, s.created_us, s.updated_us,
           coalesce(r.n_runs, 0), coalesce(e.n_positive, r.n_positive, 0), coalesce(e.n_negative, r.n_negative, 0),
           coalesce(t.tags, []), s.trashed_us
    FROM session s
    LEFT JOIN (
        SELECT session_id, count(*) AS n_runs, max_by(n_positive, number) AS n_positive,
               max_by(n_negative, number) AS n_negative
        FROM run GROUP BY session_id
    ) r ON r.session_id = s.session_id
    LEFT JOIN example_set e ON e.session_id = s.session_id AND e.version = s.examples_version
    LEFT JOIN (SELECT session_id, list(tag ORDER BY tag) AS tags FROM tag GROUP BY session_id) t
    ON t.session_id = s.session_id
"""
_RUN = """
    SELECT run_id, session_id, number, state, model, CASE WHEN made IS NOT FALSE THEN task END, config, queued_us,
           started_us, ended_us, failure, verified,
           model_name, model_identity, n_layers, n_heads, d_model, d_head, context, vocabulary,
           coalesce(nodes, 'heads'), coalesce(parallel_mlps, false), name, tags, n_positive, n_negative, content_hash
    FROM run
"""


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's next run works on."""

    session_id: str
    model: str
    task: str | None
    pairs: int
    task_seed: int
    examples: tuple[Example, ...]
    usable: bool = False
    """Only those of the task's pairs that the model answers correctly."""


def recent_sessions(store: Store, *, limit: int, tag: str | None = None, trashed: bool = False) -> list[SessionRow]:
    """Return sessions, the most recently changed first; the trash, the last trashed first.

    The id breaks ties.
    """
    where = "WHERE s.trashed_us IS NOT NULL " if trashed else "WHERE s.trashed_us IS NULL "
    values: dict[str, object] = {"limit": max(0, min(limit, 100_000))}
    if tag is not None:
        where += "AND s.session_id IN (SELECT session_id FROM tag WHERE tag = $tag) "
        values["tag"] = tag
    order = "s.trashed_us" if trashed else "s.updated_us"
    sql = f"{_SESSION}{where}ORDER BY {order} DESC, s.session_id DESC LIMIT $limit"
    return [_session(row) for row in store.rows(sql, values)]


def session_rows(store: Store, session_ids: Sequence[str]) -> dict[str, SessionRow]:
    """Return the rows of these sessions, by id."""
    found = store.rows(f"{_SESSION}WHERE s.session_id IN (SELECT unnest($ids))", {"ids": list(session_ids)})
    return {row[0]: _session(row) for row in found}


def session_row(store: Store, session_id: str) -> SessionRow:
    """Return the row of an existing session. Four short queries take half as long as the one that lists all."""
    it: dict[str, object] = {"session": session_id}
    row = store.rows(
        "SELECT session_id, name, model, task, created_us, updated_us, trashed_us, examples_version FROM session "
        "WHERE session_id = $session",
        it,
    )[0]
    n_runs, *newest = store.rows(
        "SELECT count(*), max_by(n_positive, number), max_by(n_negative, number) FROM run WHERE session_id = $session",
        it,
    )[0]
    counts: Row | None = tuple(each or 0 for each in newest)
    if row[7] is not None:
        sql = "SELECT n_positive, n_negative FROM example_set WHERE session_id = $session AND version = $version"
        counts = store.one(sql, it | {"version": row[7]})
    return _session((*row[:6], n_runs, *(counts or (0, 0)), session_tags(store, session_id), row[6]))


def session_tags(store: Store, session_id: str) -> tuple[str, ...]:
    """Return the session's tags, sorted."""
    rows = store.rows("SELECT tag FROM tag WHERE session_id = $session ORDER BY tag", {"session": session_id})
    return tuple(str(tag) for (tag,) in rows)


def session_detail(store: Store, session_id: str, *, last_seq: int) -> SessionDetail:
    """Return a session with its runs and notes."""
    sql = _RUN + "WHERE session_id = $session ORDER BY number DESC"
    runs = tuple(_run(row) for row in store.rows(sql, {"session": session_id}))
    row, notes = session_row(store, session_id), tuple(session_notes(store, session_id))
    return SessionDetail(session=row, runs=runs, last_seq=last_seq, notes=notes)


def session_notes(store: Store, session_id: str) -> list[NoteRow]:
    """Return the notes on the session, its runs and their heads, oldest first."""
    rows = store.rows(
        "SELECT n.note_id, n.run_id, r.number, n.layer, n.head, n.text, n.written_us FROM note n "
        "LEFT JOIN run r ON r.run_id = n.run_id WHERE n.session_id = $session ORDER BY n.written_us, n.note_id",
        {"session": session_id},
    )
    return [NoteRow(**dict(zip(NoteRow.__struct_fields__, row, strict=True))) for row in rows]


def run_row(store: Store, run_id: str) -> RunRow:
    """Return the row of an existing run."""
    return _run(store.rows(_RUN + "WHERE run_id = $run", {"run": run_id})[0])


def run_rows(store: Store, run_ids: Sequence[str]) -> dict[str, RunRow]:
    """Return the rows of these runs, by id."""
    found = store.rows(_RUN + "WHERE run_id IN (SELECT unnest($ids))", {"ids": list(run_ids)})
    return {row[0]: _run(row) for row in found}


def open_runs(store: Store) -> list[RunRow]:
    """Return the runs that have not ended, in the order in which they were queued."""
    return [_run(row) for row in store.rows(_RUN + "WHERE state IN ('queued', 'running') ORDER BY queued_us, run_id")]


def name_taken(store: Store, name: str) -> bool:
    """Return whether a session outside the trash has that name."""
    return store.one("SELECT 1 FROM session WHERE name = $name AND trashed_us IS NULL", {"name": name}) is not None


def find_session(store: Store, reference: str) -> str:
    """Resolve an id, a name, `latest`, or the beginning of an id to a session id.

    Raises NoSuchRecord, which lists candidates. A session in the trash is found by its full id only.
    """
    if store.one("SELECT 1 FROM session WHERE session_id = $it", {"it": reference}):
        return reference
    named = store.rows("SELECT session_id FROM session WHERE name = $it AND trashed_us IS NULL", {"it": reference})
    if len(named) == 1:
        return str(named[0][0])
    if reference == "latest":
        newest = store.one(
            "SELECT session_id FROM session WHERE trashed_us IS NULL ORDER BY updated_us DESC, session_id DESC LIMIT 1"
        )
        if newest is None:
            raise NoSuchRecord("There is no session yet.", hint="headcode probe ioi makes one.")
        return str(newest[0])
    matches = store.rows(
        "SELECT session_id, name FROM session WHERE starts_with(session_id, $it) AND $it <> '' "
        "AND trashed_us IS NULL ORDER BY session_id DESC LIMIT $limit",
        {"it": reference, "limit": _CANDIDATES},
    )
    if len(matches) == 1:
        return str(matches[0][0])
    if matches:
        listed = ", ".join(f"{session_id} ({name})" for session_id, name in matches)
        raise NoSuchRecord(f"{reference!r} begins several session ids: {listed}.", hint="Give more of the id.")
    raise _unknown_session(store, reference)


def _unknown_session(store: Store, reference: str) -> NoSuchRecord:
    """Return an error that suggests existing sessions."""
    message = f"There is no session {reference[:80]!r}."
    if store.one("SELECT 1 FROM session WHERE name = $it AND trashed_us IS NOT NULL", {"it": reference}):
        return NoSuchRecord(
            f"{message[:-1]}; one of that name is in the trash.",
            hint=f"headcode sessions restore {shlex.quote(reference)}",
        )
    similar = store.rows(
        "SELECT name FROM session, (SELECT lower($it) AS it) WHERE trashed_us IS NULL "
        "AND jaro_winkler_similarity(lower(name), it) > .8 "
        "ORDER BY jaro_winkler_similarity(lower(name), it) DESC, updated_us DESC, session_id LIMIT 3",
        {"it": reference[:200]},
    )
    if similar:
        meant = " or ".join(repr(name) for (name,) in similar)
        return NoSuchRecord(message, hint=f"Did you mean {meant}? headcode sessions list shows all.")
    recent = store.rows(
        "SELECT name FROM session WHERE trashed_us IS NULL ORDER BY updated_us DESC, session_id DESC LIMIT 3"
    )
    there = f"The latest: {', '.join(repr(name) for (name,) in recent)}. " if recent else ""
    return NoSuchRecord(message, hint=f"{there}headcode sessions list shows all.")


def active_session(store: Store, reference: str) -> str:
    """Resolve a reference to a session that may be changed. Raises NoSuchRecord for one in the trash, too."""
    session_id, sql = reference, "SELECT name, trashed_us FROM session WHERE session_id = $it"
    row = store.one(sql, {"it": session_id})
    if row is None:
        session_id = find_session(store, reference)
        row = store.rows(sql, {"it": session_id})[0]
    if row[1] is not None:
        raise NoSuchRecord(
            f"Session {row[0]!r} is in the trash.", hint=f"Take it out first: headcode sessions restore {session_id}"
        )
    return session_id


def active_among(store: Store, session_ids: Sequence[str]) -> set[str]:
    """Return those of these ids that are sessions outside the trash."""
    sql = "SELECT session_id FROM session WHERE session_id IN (SELECT unnest($ids)) AND trashed_us IS NULL"
    return {str(session_id) for (session_id,) in store.rows(sql, {"ids": list(session_ids)})}


def trashed_session(store: Store, reference: str) -> str:
    """Resolve an id, its beginning or a name to a session in the trash. Raises NoSuchRecord."""
    rows = store.rows(
        "SELECT session_id, name, trashed_us IS NULL FROM session "
        "WHERE session_id = $it OR name = $it OR (starts_with(session_id, $it) AND $it <> '') "
        "ORDER BY session_id = $it DESC, trashed_us DESC, session_id LIMIT 100",
        {"it": reference},
    )
    there = [row for row in rows if not row[2]]
    if there and (len(there) == 1 or there[0][0] == reference):
        return str(there[0][0])
    if there:
        listed = ", ".join(f"{session_id} ({name})" for session_id, name, _ in there[:_CANDIDATES])
        raise NoSuchRecord(f"{reference!r} may mean several in the trash: {listed}.", hint="Give the id.")
    if rows:
        raise NoSuchRecord(f"Session {rows[0][1]!r} is not in the trash.", hint="headcode sessions list shows it.")
    raise NoSuchRecord(
        f"There is no session {reference[:80]!r} in the trash.", hint="headcode sessions list --trash shows what is."
    )


def find_run(store: Store, reference: str) -> str:
    """Resolve a run's id, its beginning, `latest`, SESSION/NUMBER, SESSION/NAME or NAME to a run id.

    Raises NoSuchRecord, also for a name that runs of several sessions have.
    """
    if store.one("SELECT 1 FROM run WHERE run_id = $it", {"it": reference}):
        return reference
    session, slash, number = reference.rpartition("/")
    if slash and ((number.isascii() and number.isdecimal()) or number == "latest"):
        return _numbered_run(store, find_session(store, session), number)
    if (named := run_by_name(store, reference, find_session)) is not None:
        return named
    if reference == "latest":
        newest = store.one(
            "SELECT run_id FROM run JOIN session USING (session_id) WHERE trashed_us IS NULL "
            "ORDER BY queued_us DESC, run_id DESC LIMIT 1"
        )
        if newest is None:
            raise NoSuchRecord("There is no run yet.", hint="headcode probe ioi makes one.")
        return str(newest[0])
    matches = store.rows(
        "SELECT run_id FROM run WHERE starts_with(run_id, $it) AND $it <> '' ORDER BY run_id DESC LIMIT $limit",
        {"it": reference, "limit": _CANDIDATES},
    )
    if len(matches) == 1:
        return str(matches[0][0])
    if matches:
        listed = ", ".join(str(run_id) for (run_id,) in matches)
        raise NoSuchRecord(f"{reference!r} begins several run ids: {listed}.", hint="Give more of the id.")
    raise NoSuchRecord(
        f"There is no run {reference!r}.",
        hint="Give SESSION/NUMBER, its name or its id; headcode runs list shows them.",
    )


def plan_run(store: Store, session_id: str) -> RunPlan:
    """Return what the session's next run works on: its newest example set, else its task."""
    row = store.rows(
        "SELECT model, task, pairs, task_seed FROM session WHERE session_id = $session", {"session": session_id}
    )[0]
    return RunPlan(
        session_id=session_id,
        model=row[0],
        task=row[1],
        pairs=row[2],
        task_seed=row[3],
        examples=newest_examples(store, session_id),
    )


def without_foreign_task(store: Store, work: RunPlan) -> RunPlan:
    """Return the plan without its task if the examples do not belong to that task.

    The session keeps the task that it was created with. The examples belong to it if a run recorded that it
    generated them, or if each of them is recognised.
    """
    if not work.examples or work.task is None or made_by(work.task, work.examples):
        return work
    used = content_hash([example for example in work.examples if example.enabled])
    made = "SELECT 1 FROM run WHERE content_hash = $hash AND task = $task AND made LIMIT 1"
    if store.one(made, {"hash": used, "task": work.task}) is not None:
        return work
    return msgspec.structs.replace(work, task=None)


def newest_examples(store: Store, session_id: str) -> tuple[Example, ...]:
    """Return the session's current example set, complete; empty if it has none yet."""
    rows = store.rows(
        "SELECT content_hash FROM example_set e JOIN session s ON s.session_id = e.session_id "
        "AND s.examples_version = e.version WHERE s.session_id = $session",
        {"session": session_id},
    )
    return example_rows(store, str(rows[0][0])) if rows else ()


def example_rows(store: Store, content_hash: str) -> tuple[Example, ...]:
    """Return the examples with that content hash, in order; empty if there are none."""
    rows = store.rows(
        "SELECT prompt, polarity, expected, foils, pair, enabled FROM example WHERE content_hash = $hash "
        "ORDER BY position",
        {"hash": content_hash},
    )
    return tuple(
        Example(
            prompt=prompt,
            polarity=polarity,
            expected=tuple(expected),
            foils=tuple(foils),
            pair=pair,
            enabled=enabled,
        )
        for prompt, polarity, expected, foils, pair, enabled in rows
    )


def current_version(store: Store, session_id: str) -> tuple[int, str]:
    """Return the number and content hash of the session's current example set; 0 and "" if it has none."""
    row = store.one(
        "SELECT e.version, e.content_hash FROM example_set e JOIN session s ON s.session_id = e.session_id "
        "AND s.examples_version = e.version WHERE s.session_id = $session",
        {"session": session_id},
    )
    return (0, "") if row is None else (int(row[0]), str(row[1]))


def neighbour_version(store: Store, session_id: str, *, by: int) -> tuple[int, str] | None:
    """Return the version that undo (-1) or redo (1) leads to, and its content hash; None if there is none.

    Undo leads to the version that the current one was made from, redo to the last one made from the current one.
    """
    wanted = "e.version = now.parent" if by < 0 else "e.parent = now.version"
    rows = store.rows(
        "SELECT e.version, e.content_hash FROM example_set e "  # noqa: S608  # wanted is one of two texts of ours
        "JOIN session s ON s.session_id = e.session_id "
        "JOIN example_set now ON now.session_id = s.session_id AND now.version = s.examples_version "
        f"WHERE s.session_id = $session AND {wanted} ORDER BY e.version DESC LIMIT 1",
        {"session": session_id},
    )
    return (int(rows[0][0]), str(rows[0][1])) if rows else None


def head_codes(store: Store, run_id: str, *, layer: int, head: int, seed: int | None) -> HeadCodes:
    """Return one head's codes, example by example.

    Raises NoSuchNode, or NoSuchRecord if the run stored no codes.
    """
    run = run_row(store, run_id)
    seed = run.config.seeds[0] if seed is None else seed
    if seed not in run.config.seeds:
        raise NoSuchRecord(
            f"Run {run_id} has no seed {seed}.", hint=f"It has {', '.join(str(each) for each in run.config.seeds)}."
        )
    info = run.model_info
    node = NodeId(layer, head)
    if info is not None:
        info.layout.check(node)
    rows = store.rows(
        "SELECT codes[$place] FROM code WHERE run_id = $run AND seed = $seed ORDER BY example",
        {"place": info.layout.index(node) + 1 if info else 0, "run": run_id, "seed": seed},
    )
    if info is None or not rows:
        raise NoSuchRecord(f"Run {run_id} is {run.state} and left no codes.", hint="Run it again to the end.")
    return HeadCodes(run_id=run_id, layer=layer, head=head, seed=seed, codes=tuple(int(code) for (code,) in rows))


def run_layout(store: Store, run_id: str | None) -> NodeLayout | None:
    """Return the nodes of a run; None for no run, or one whose model was not loaded."""
    info = None if run_id is None else run_row(store, run_id).model_info
    return None if info is None else info.layout


def _numbered_run(store: Store, session_id: str, number: str) -> str:
    if number == "latest":
        sql = "SELECT run_id FROM run WHERE session_id = $session ORDER BY number DESC LIMIT 1"
        row = store.one(sql, {"session": session_id})
    else:
        sql = "SELECT run_id FROM run WHERE session_id = $session AND number = $number"
        row = store.one(sql, {"session": session_id, "number": min(int(number), 2**31 - 1)})
    if row is None:
        count = store.rows("SELECT count(*) FROM run WHERE session_id = $session", {"session": session_id})[0][0]
        raise NoSuchRecord(f"Session {session_id} has no run {number}.", hint=f"It has {count}.")
    return str(row[0])


def _session(row: Row) -> SessionRow:
    found = dict(zip(SessionRow.__struct_fields__, row, strict=True))
    return SessionRow(**{**found, "tags": tuple(found["tags"])})


def _run(row: Row) -> RunRow:
    failure = None if row[10] is None else msgspec.json.decode(row[10], type=Failure)
    verified = None if row[11] is None else msgspec.json.decode(row[11], type=RunVerified)
    info = None if row[13] is None else ModelInfo(**dict(zip(ModelInfo.__struct_fields__, row[12:-5], strict=True)))
    return RunRow(
        run_id=row[0],
        session_id=row[1],
        number=row[2],
        state=row[3],
        model=row[4],
        model_info=info,
        task=row[5],
        config=msgspec.json.decode(row[6], type=ProbeConfig),
        queued_us=row[7],
        started_us=row[8],
        ended_us=row[9],
        failure=failure,
        verified=verified,
        name=row[-5] or "",
        tags=() if row[-4] is None else msgspec.json.decode(row[-4], type=tuple[str, ...]),
        n_positive=row[-3],
        n_negative=row[-2],
        examples_hash=row[-1],
    )
