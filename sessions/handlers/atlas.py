"""Answer requests for atlases: read on, list, return, delete, and the same metrics on a run's prompts."""

import time

from engine.catalog.local_models import find_model
from engine.config import load_fields
from engine.corpora.corpora import check_corpus, default_corpus
from engine.node_atlas import Atlas
from engine.protocol import AtlasRead, MeasureOnPrompts, OnPromptsMeasured, ReadAtlas
from sessions.errors import BadRequest
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.node_parts import answer_of, run_fields
from sessions.ids import new_id
from sessions.protocol import (
    AtlasAnswer,
    AtlasesAnswer,
    AtlasProgress,
    DeleteAtlas,
    GetAtlas,
    GetOnPrompts,
    ListAtlases,
    OnPrompts,
    ReadOn,
)
from sessions.rows import AtlasRow
from sessions.store.atlases import delete_atlas, find_row, find_rows, known_keys, list_atlases, load_atlas, save_atlas
from sessions.store.database import Store
from sessions.store.recorder import RecordedEntry, Recorder


async def read_on(host: HandlerContext, request: ReadOn) -> AtlasProgress:
    """Read on for some seconds; store what is finished. Raises ConfigError, ModelError and the engine's errors."""
    asked, loading = request.model, load_fields(request)
    if request.run:
        _, _, fields = await host.writer.read(lambda store: run_fields(store, request.run))
        asked, loading = fields["model"], {name: fields[name] for name in loading}
    find_model(asked, host.places.models)
    corpus = check_corpus(request.corpus or default_corpus(asked))
    known = await host.writer.read(known_keys)
    worker_request = ReadAtlas(
        job=new_id("t"),
        model=asked,
        models=str(host.places.models),
        corpus=corpus,
        tokens=request.tokens,
        folder=str(host.places.activations),
        known=known,
        **loading,
    )
    answer = await answer_of(host, worker_request, AtlasRead)
    if answer.atlas is not None:
        atlas, key = answer.atlas, answer.key

        def save(recorder: Recorder) -> tuple[AtlasRow, list[RecordedEntry]]:
            return save_atlas(recorder.store, key, asked, atlas, time.time_ns() // 1000), []

        await host.writer.change(save, alone=True)
    return AtlasProgress(
        model=answer.model, key=answer.key, done=answer.done, total=answer.total, finished=answer.finished
    )


async def list_all(host: HandlerContext, _: ListAtlases) -> AtlasesAnswer:
    """Return the stored atlases."""
    return AtlasesAnswer(atlases=tuple(await host.writer.read(list_atlases)))


async def get_atlas(host: HandlerContext, request: GetAtlas) -> AtlasAnswer:
    """Return an atlas. Raises NoSuchRecord."""

    def look(store: Store) -> tuple[AtlasRow, Atlas]:
        row = find_row(store, request.atlas)
        return row, load_atlas(store, row.key)

    row, atlas = await host.writer.read(look)
    return AtlasAnswer(row=row, atlas=atlas)


async def delete(host: HandlerContext, request: DeleteAtlas) -> AtlasesAnswer:
    """Delete an atlas and return it. Raises NoSuchRecord, and BadRequest for words that several atlases answer to."""

    def remove(recorder: Recorder) -> tuple[AtlasRow, list[RecordedEntry]]:
        row, *others = find_rows(recorder.store, request.atlas)
        if others:
            listed = ", ".join(f"{each.key[:8]} ({each.tokens:,} tokens of {each.corpus})" for each in (row, *others))
            raise BadRequest(
                f"{1 + len(others)} atlases are called {request.atlas[:100]!r}: {listed[:500]}.",
                hint=f"Name one: headcode atlas {row.key[:8]} --delete",
            )
        delete_atlas(recorder.store, row.key)
        return row, []

    return AtlasesAnswer(atlases=(await host.writer.change(remove, alone=True),))


async def measure_on_prompts(host: HandlerContext, request: GetOnPrompts) -> OnPrompts:
    """Return the metrics on a run's positives. Raises NoSuchRecord and the engine's errors."""
    run, _, fields = await host.writer.read(lambda store: run_fields(store, request.run))
    worker_request = MeasureOnPrompts(job=new_id("t"), config=request.config, models=str(host.places.models), **fields)
    answer = await answer_of(host, worker_request, OnPromptsMeasured)
    return OnPrompts(run=run, model=answer.model, prompts=answer.prompts, nodes=answer.nodes)


ANSWERS: dict[type, Answer] = {
    ReadOn: read_on,
    ListAtlases: list_all,
    GetAtlas: get_atlas,
    DeleteAtlas: delete,
    GetOnPrompts: measure_on_prompts,
}
SLOW: frozenset[type] = frozenset({ReadOn, GetOnPrompts})
