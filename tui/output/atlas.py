"""Atlases as tables and as JSON."""

from collections.abc import Sequence

import msgspec

from engine.analysis.atlas_search import AtlasHit
from engine.analysis.head_kinds import because, format_kinds, kinds_of
from engine.node_atlas import ATLAS_METRICS, Atlas, AtlasContext, AtlasNode, AtlasSource
from sessions.protocol import AtlasAnswer
from sessions.rows import AtlasRow
from tui.output.console import print_columns, print_line, shorten
from tui.output.places import format_token
from tui.terminal.times import day_or_clock

SCHEMA = "headcode.atlas/1"
LIST_SCHEMA = "headcode.atlases/1"
FOUND_SCHEMA = "headcode.atlas-search/1"
_BEFORE, _AFTER = 10, 2
_CONTEXT = 60
_TOKENS = 10
_TABLE = ("previous", "induction", "duplicate", "first", "entropy", "offset", "share", "copying")


def source_json(row: AtlasRow, atlas: Atlas) -> dict[str, object]:
    """Return what an atlas was read from as JSON values."""
    return {
        "atlas": row.key,
        "model": atlas.model.name,
        "identity": atlas.model.identity,
        **msgspec.to_builtins(atlas.source),
        "bytes": row.n_bytes,
    }


def atlas_json(found: AtlasAnswer, nodes: Sequence[AtlasNode]) -> dict[str, object]:
    """Return these nodes of the atlas as JSON values, schema headcode.atlas/1."""
    return {
        "schema": SCHEMA,
        **source_json(found.row, found.atlas),
        "nodes": [_node_json(found.atlas, node) for node in nodes],
    }


def list_json(rows: Sequence[AtlasRow]) -> dict[str, object]:
    """Return the stored atlases as JSON values, schema headcode.atlases/1."""
    return {"schema": LIST_SCHEMA, "atlases": msgspec.to_builtins(rows)}


def found_json(found: AtlasAnswer, searched: str, tokens: Sequence[str], hits: Sequence[AtlasHit]) -> dict[str, object]:
    """Return the nodes that were found as JSON values, schema headcode.atlas-search/1."""
    return {
        "schema": FOUND_SCHEMA,
        **source_json(found.row, found.atlas),
        "searched": searched,
        "tokens": [each.strip("\"'") for each in tokens],
        "found": [{"node": str(hit.node), **msgspec.to_builtins(hit)} for hit in hits],
    }


def _node_json(atlas: Atlas, node: AtlasNode) -> dict[str, object]:
    return {
        "node": str(node.node),
        "layer": node.layer,
        "head": node.head,
        "kinds": [kind.name for kind in kinds_of(node.metrics)],
        "metrics": node.metrics,
        "top": [_context_json(atlas, each) for each in node.top],
        "typical": [_context_json(atlas, each) for each in node.typical],
        "attends": [
            {
                "token": atlas.words[each.word],
                "share": each.share,
                "lift": each.lift,
                "occurrences": each.occurrences,
            }
            for each in node.attends
        ],
    }


def _context_json(atlas: Atlas, context: AtlasContext) -> dict[str, object]:
    passage = atlas.passages[context.passage]
    return {
        "passage": context.passage,
        "position": context.position,
        "tokens": [atlas.words[word] for word in passage[: context.position + 1 + _AFTER]],
        "norm": context.norm,
        "attends": [{"position": place, "attention": weight} for place, weight in context.attends],
        "raises": [[atlas.words[word], value] for word, value in context.raises],
    }


def print_atlases(rows: Sequence[AtlasRow]) -> None:
    """Print the stored atlases."""
    if not rows:
        print_line("no atlases; read one: headcode atlas MODEL")
        return
    table: list[tuple[str, ...]] = [
        (
            each.key[:8],
            each.model,
            each.corpus,
            f"{each.tokens:,}",
            f"{each.seconds:.0f} s",
            f"{each.n_bytes / 1e3:,.0f} kB",
            day_or_clock(each.made_us),
        )
        for each in rows
    ]
    print_columns(table, header=("atlas", "model", "corpus", "tokens", "read in", "size", "made"), right=(3, 4, 5))


def print_atlas(found: AtlasAnswer, nodes: Sequence[AtlasNode]) -> None:
    """Print these nodes with their kinds and metrics."""
    print_line(format_source(found.atlas.model.name, found.atlas.source))
    metrics = [each for each in ATLAS_METRICS if each.name in _TABLE]
    rows = []
    for node in nodes:
        numbers = [
            f"{node.metrics[each.name]:.{each.digits}f}" if each.name in node.metrics else "-" for each in metrics
        ]
        rows.append((str(node.node), *numbers, format_kinds(node.metrics)))
    print_columns(
        rows, header=("node", *(each.title for each in metrics), "kind"), right=tuple(range(1, len(metrics) + 1))
    )


def format_source(model: str, source: AtlasSource) -> str:
    """Format what an atlas was read from."""
    return (
        f"{model} on {source.tokens:,} tokens of {source.corpus}, {source.passages:,} passages; "
        f"read in {source.seconds:.0f} s"
    )


def print_node(atlas: Atlas, node: AtlasNode) -> None:
    """Print the page of one head or MLP: its kinds, metrics, contexts and the tokens that it attends to."""
    print_line(f"{node.node} of {format_source(atlas.model.name, atlas.source)}")
    for kind in kinds_of(node.metrics):
        print_line(f"  {kind.name} ({because(kind, node.metrics)}): {kind.words}")
    print_line()
    rows: list[tuple[str, ...]] = [
        (each.title, f"{node.metrics[each.name]:.{each.digits}f}", each.words)
        for each in ATLAS_METRICS
        if each.name in node.metrics
    ]
    print_columns(rows, right=(1,))
    for title, contexts in (("writes most", node.top), ("at random places", node.typical)):
        if contexts:
            print_line()
            print_columns(
                [_context_row(atlas, each) for each in contexts],
                header=(title, "length", "attends to", "raises"),
                right=(1,),
            )
    if node.attends:
        print_line()
        shares = [each for each in node.attends if each.share > 0][:_TOKENS]
        print_columns(
            [
                (format_token(atlas.words[each.word]), f"{each.share:.3f}", f"{each.lift:.1f}", str(each.occurrences))
                for each in shares
            ],
            header=("attends to", "share", "x even", "in the text"),
            right=(1, 2, 3),
        )


def _context_row(atlas: Atlas, context: AtlasContext) -> tuple[str, ...]:
    words = [atlas.words[word] for word in atlas.passages[context.passage]]
    before = "".join(words[max(0, context.position - _BEFORE) : context.position])
    text = " ".join((before + f"[{words[context.position]}]").split())
    attends = " ".join(f"{format_token(words[place]).strip()} {weight:.2f}" for place, weight in context.attends[:2])
    raises = " ".join(format_token(atlas.words[word]).strip() for word, _ in context.raises[:4])
    return text[-_CONTEXT:], f"{context.norm:.1f}", shorten(attends, 28), shorten(raises, 34)


def print_hits(hits: Sequence[AtlasHit], searched: str, tokens: Sequence[str], *, most: int) -> None:
    """Print the nodes that were found."""
    named = ", ".join(repr(each.strip("\"'")) for each in tokens)
    if not hits:
        print_line(f"no node {searched} {named} on this text")
        return
    writes = searched == "writes"
    print_line(f"{len(hits)} nodes {'write' if writes else 'attend to'} {named}")
    header = ("node", "places" if writes else "share", "logit" if writes else "x even", "tokens")
    rows: list[tuple[str, ...]] = [
        (
            str(hit.node),
            f"{hit.score:.0%}" if writes else f"{hit.score:.3f}",
            f"{hit.strength:.2f}",
            shorten(" ".join(format_token(each).strip() for each in hit.tokens), 60),
        )
        for hit in hits[:most]
    ]
    print_columns(rows, header=header, right=(1, 2))
