"""Answer requests about the drawing of a run's edges: nodes that behave alike, and how it is drawn."""

import asyncio
import math

import msgspec
import numpy as np

from engine.code_scores.agreement import agreement, alike_groups
from engine.nodes import NodeId, NodeLayout
from sessions.edits.examples import clean_name
from sessions.errors import BadName, BadRequest
from sessions.events import DrawingChanged
from sessions.handlers.context import Answer, HandlerContext
from sessions.protocol import AlikeGroup, AlikeNodes, Done, FindAlike, SetDrawing
from sessions.store.drawings import newest_drawing, run_codes
from sessions.store.queries import find_run, run_layout, run_row
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

_MAX_GROUPS = 1_000


async def find_alike(host: HandlerContext, request: FindAlike) -> AlikeNodes:
    """Find the groups of the named nodes that behave alike. Raises NoSuchRecord, NoSuchNode."""
    layout, codes = await host.writer.read(lambda store: run_codes(store, find_run(store, request.run)))
    nodes = sorted({NodeId(*node) for node in request.nodes})
    for node in nodes:
        layout.check(node)
    return await asyncio.to_thread(group_nodes, layout, codes, nodes)


async def set_drawing(host: HandlerContext, request: SetDrawing) -> Done:
    """Record how a run is drawn. Raises NoSuchRecord, NoSuchNode, BadName, BadRequest."""

    def change(recorder: Recorder) -> tuple[None, list[RecordedEntry]]:
        run_id = find_run(recorder.store, request.run)
        drawing = _checked(request.drawing, run_layout(recorder.store, run_id))
        if drawing == (newest_drawing(recorder.store, run_id) or DrawingChanged()):
            return None, []
        session_id = run_row(recorder.store, run_id).session_id
        return None, recorder.append([EventDraft(session_id=session_id, run_id=run_id, event=drawing)])

    await host.writer.change(change)
    return Done()


def group_nodes(layout: NodeLayout, codes: list[list[list[int]]], nodes: list[NodeId]) -> AlikeNodes:
    """Return the groups of these nodes that behave alike; `codes` is [seed][example][node]."""
    # Heads share one dictionary, MLPs and the embedding another.
    dictionary = np.array([int(not node.is_head) for node in nodes], dtype=np.int64)
    agreed = agreement(np.array(codes)[:, :, [layout.index(node) for node in nodes]], dictionary)
    groups = [
        AlikeGroup(
            nodes=tuple(nodes[place] for place in group),
            agreement=round(min(float(agreed[a, b]) for a in group for b in group if a != b), 3),
        )
        for group in alike_groups(agreed)
    ]
    return AlikeNodes(groups=tuple(groups))


def _checked(drawing: DrawingChanged, layout: NodeLayout | None) -> DrawingChanged:
    """Return the drawing with clean names and without empty groups."""
    if not (math.isfinite(drawing.least) and 0 <= drawing.least <= 1) or drawing.most < 1:
        raise BadRequest(
            f"{drawing.most} edges from {drawing.least} of the strongest cannot be drawn.",
            hint="At least one edge, and a share from 0 to 1.",
        )
    if len(drawing.groups) > _MAX_GROUPS:
        raise BadRequest(f"{len(drawing.groups)} groups are too many.", hint=f"At most {_MAX_GROUPS}.")
    groups = tuple(
        msgspec.structs.replace(group, name=clean_name(group.name), nodes=tuple(dict.fromkeys(group.nodes)))
        for group in drawing.groups
        if group.nodes
    )
    names = [group.name for group in groups]
    members = [node for group in groups for node in group.nodes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadName(f"Two groups are called {twice!r}.", hint="Give one another name.")
    again = next((NodeId(*node) for node in members if members.count(node) > 1), None)
    if again is not None:
        raise BadRequest(f"{again} is in two groups.", hint="Take it out of one first.")
    if layout is not None:
        for node in (*drawing.pinned, *members):
            layout.check(NodeId(*node))
    return msgspec.structs.replace(drawing, pinned=tuple(sorted(set(drawing.pinned))), groups=groups)


ANSWERS: dict[type, Answer] = {FindAlike: find_alike, SetDrawing: set_drawing}
SLOW: frozenset[type] = frozenset({FindAlike})
