"""`headcode atlas`: a model's heads and MLPs on ordinary text."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.config import LoadOptions
from tui.commands.option_parameters import Chosen, with_options
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from engine.node_atlas import AtlasNode
    from sessions.protocol import AtlasAnswer, AtlasProgress


@with_options(*LoadOptions.__struct_fields__)
def atlas(
    *,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="As for probe. Without it, lists the stored atlases.")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Text or JSONL file, or english, toy or adder.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(metavar="N", help="Tokens to read. [default: 20000]")] = None,
    head: Annotated[str | None, typer.Option(metavar="L.H", help="One head or MLP (m8) with its contexts.")] = None,
    writes: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="Which nodes write these: are,was or ' are' for that exactly.")
    ] = None,
    attends: Annotated[str | None, typer.Option(metavar="TOKENS", help="Which heads attend to these tokens.")] = None,
    sort: Annotated[str, typer.Option(metavar="METRIC", help="Order of the table: induction, copying, ...")] = "",
    top: Annotated[int, typer.Option(metavar="N", help="Rows of the table.")] = 20,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the atlas.")] = False,
    chosen: Chosen,
    as_json: JsonOption = False,
) -> None:
    """Read ordinary text with a model and keep what each head and MLP does: kind, metrics, contexts; or show that.

    The first time, MODEL is read; ctrl+c stops, and the same command goes on from there. --head, --writes, --attends
    and --delete use what is stored (MODEL may be the atlas's own name in the list) and need no model.
    """
    from engine.analysis.atlas_search import find_attenders, find_writers, read_tokens
    from engine.errors import ConfigError
    from engine.node_atlas import METRIC_NAMES
    from sessions.protocol import AtlasAnswer, AtlasesAnswer, DeleteAtlas, GetAtlas, ListAtlases
    from tui.headless.host_request import with_host
    from tui.output.atlas import (
        atlas_json,
        found_json,
        list_json,
        print_atlas,
        print_atlases,
        print_hits,
        print_node,
    )
    from tui.output.console import narrate, print_json

    if not 1 <= top <= 100_000:
        raise ConfigError(f"--top {top}: a number from 1 to 100000.", hint="Try 20.")
    if sort and sort not in METRIC_NAMES:
        raise ConfigError(f"--sort {sort[:40]!r} is not a metric.", hint=f"One of {', '.join(METRIC_NAMES)}.")
    searches = {"--head": head, "--writes": writes, "--attends": attends}
    asked = [name for name, value in searches.items() if value is not None]
    if len(asked) > 1 or (asked and delete):
        raise ConfigError(f"{' and '.join([*asked, *(['--delete'] * delete)])} at once.", hint="One of them at a time.")
    reading = {"--corpus": corpus, "--tokens": tokens}
    unused = [name for name, value in reading.items() if value is not None]
    if unused and (asked or delete or model is None):
        raise ConfigError(
            f"{' and '.join(unused)} only for reading an atlas of a model.",
            hint="headcode atlas lists what is stored; a stored one is named by its key there.",
        )
    if model is None:
        if asked or delete:
            raise ConfigError("No model is named.", hint="headcode atlas MODEL; headcode atlas lists what is stored.")
        rows = with_host(lambda client: client.ask(ListAtlases(), AtlasesAnswer)).atlases
        print_json(list_json(rows)) if as_json else print_atlases(rows)
        return
    if delete:
        gone = with_host(lambda client: client.ask(DeleteAtlas(atlas=model), AtlasesAnswer)).atlases[0]
        narrate(f"The atlas {gone.key[:8]} of {gone.model} on {gone.corpus} is deleted.")
        return
    if asked:
        named = model
        found = with_host(lambda client: client.ask(GetAtlas(atlas=named), AtlasAnswer))
    else:
        found = _read(model, corpus, 20_000 if tokens is None else tokens, chosen)
    if head is not None:
        node = _node(found, head)
        print_json(atlas_json(found, [node])) if as_json else print_node(found.atlas, node)
        return
    if writes is not None or attends is not None:
        wanted = read_tokens(writes or attends or "")
        if not wanted:
            raise ConfigError(f"{asked[0]} names no token.", hint="Separate tokens by commas: are,was")
        searched = "writes" if writes else "attends"
        hits = find_writers(found.atlas, wanted) if writes else find_attenders(found.atlas, wanted)
        if as_json:
            print_json(found_json(found, searched, wanted, hits))
        else:
            print_hits(hits, "writes" if writes else "attends to", wanted, most=top)
        return
    nodes = list(found.atlas.nodes)
    if sort:
        nodes.sort(key=lambda each: -each.metrics.get(sort, float("-inf")))
    if as_json:
        print_json(atlas_json(found, nodes))
    else:
        print_atlas(found, nodes[:top] if sort else _telling(nodes, top))


def _read(model: str, corpus: str | None, tokens: int, chosen: Chosen) -> "AtlasAnswer":
    """Read the atlas, or go on with it, and return it. Raises ConfigError, ModelError."""
    from engine.config import load_fields
    from engine.corpora.corpora import BUNDLED, check_corpus, check_tokens, default_corpus, read_corpus
    from sessions.client.connection import HostClient
    from sessions.protocol import AtlasAnswer, GetAtlas, ReadOn
    from tui.commands.probe import make_loading, model_name
    from tui.headless.host_request import with_host
    from tui.headless.read_atlas import read_atlas
    from tui.output.console import narrate

    name = model_name(model)
    check_tokens(tokens)
    text = check_corpus(corpus) if corpus is not None else default_corpus(name)
    if text not in BUNDLED:
        read_corpus(text)
    request = ReadOn(model=name, corpus=text, tokens=tokens, **load_fields(make_loading(chosen)))
    clock = AtlasClock()

    async def work(client: HostClient) -> AtlasAnswer:
        done = await read_atlas(client, request, lambda found: narrate(clock.line(found)))
        return await client.ask(GetAtlas(atlas=done.key), AtlasAnswer)

    words = BUNDLED[text].words if text in BUNDLED else text
    narrate(f"{tokens:,} tokens of {text if text in BUNDLED else 'a file'}: {words}")
    try:
        return with_host(work)
    except KeyboardInterrupt:
        narrate("The same command goes on from here.")
        raise


class AtlasClock:
    """Progress in words, with the time left at the pace so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def line(self, found: "AtlasProgress") -> str:
        """Return a line about how far the reading is."""
        if found.finished:
            return f"read {found.total:,} tokens"
        now = self._clock()
        if self._first is None:
            self._first = (now, found.done)
        begun, done = self._first
        left = ""
        if found.done > done:
            left = f", {(found.total - found.done) * (now - begun) / (found.done - done):.0f} s left"
        return f"  {found.done:,} of {found.total:,} tokens{left}"


def _node(found: "AtlasAnswer", text: str) -> "AtlasNode":
    """Return the node that is written so. Raises ConfigError, NoSuchNode."""
    from engine.errors import ConfigError, NoSuchNode
    from engine.nodes import parse_node

    node = parse_node(text[:40].strip())
    info = found.atlas.model
    if node is None:
        raise ConfigError(f"{text[:40]!r} is no head and no MLP.", hint="Written 9.6 (layer.head) or m8.")
    there = found.atlas.find(node)
    if there is None:
        raise NoSuchNode(text[:40], info.n_layers, info.n_heads, mlps=True)
    return there


def _telling(nodes: "Sequence[AtlasNode]", most: int) -> "list[AtlasNode]":
    """Return the heads with the clearest habits: of each kind the best in turn, then others; in the model's order."""
    from engine.analysis.head_kinds import KINDS, kinds_of

    by_kind = []
    for kind in KINDS:
        name = kind.at_least[0][0]
        own = [each for each in nodes if kind in kinds_of(each.metrics)]
        sign = 1 if kind.negative else -1
        by_kind.append(sorted(own, key=lambda each, name=name, sign=sign: sign * each.metrics.get(name, 0.0)))  # type: ignore[misc]
    chosen: dict[tuple[int, int], AtlasNode] = {}
    for place in range(max(map(len, by_kind), default=0)):
        for own in by_kind:
            if place < len(own) and len(chosen) < most:
                chosen.setdefault(own[place].node, own[place])
    for each in nodes:
        if len(chosen) < most:
            chosen.setdefault(each.node, each)
    return sorted(chosen.values(), key=lambda each: each.node)
