"""Read an atlas in parts: each request reads for some seconds and saves how far it came."""

import hashlib
import time
from pathlib import Path

import msgspec

from engine.atlas.passages import Passages, make_passages
from engine.atlas.reading import AtlasReader
from engine.capture import activation_cache
from engine.corpora.corpora import check_tokens, read_corpus
from engine.errors import OutOfMemory
from engine.events import Monitor
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.protocol import AtlasRead, ReadAtlas
from engine.tensors.out_of_memory import is_out_of_memory
from engine.worker.make_atlas import make_atlas

VERSION = 3
"""Part of the key: what an earlier version of the reading saved is not continued."""


class AtlasRequests:
    """Answers ReadAtlas with the warm model; keeps the reader between the parts of one reading."""

    def __init__(self, warm_model: WarmModel) -> None:
        self._warm_model = warm_model
        self._reader: AtlasReader | None = None
        self._asked: object = None
        self._corpus = ("", "")

    def answer(self, request: ReadAtlas, monitor: Monitor) -> AtlasRead:
        """Read on for some seconds. Raises ConfigError for a corpus that cannot be used, ModelError, Cancelled."""
        check_tokens(request.tokens)
        try:
            return self._read(request, monitor)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"Memory ran out while the atlas was read: {str(error).strip().splitlines()[0][:300]}",
                hint="Read fewer tokens (--tokens), or choose a smaller model.",
            ) from error

    def _read(self, request: ReadAtlas, monitor: Monitor) -> AtlasRead:
        model, _ = self._warm_model.take(request.model, Path(request.models), request)
        begun = time.perf_counter()
        reader = self._ready(request, model)
        folder = Path(request.folder) if request.folder else None
        key = atlas_key(model, reader.passages)
        if key in request.known:
            self._forget()
            return self._progress(request, reader, key, done=True)
        if reader.done == 0 and folder is not None and (state := activation_cache.load(folder, f"{key}.part")):
            reader.state = state
        try:
            while reader.done < reader.n_batches:
                reader.read_next(monitor)
                if time.perf_counter() - begun >= request.seconds and reader.done < reader.n_batches:
                    self._save(reader, folder, key, begun)
                    return self._progress(request, reader, key, done=False)
        except BaseException:
            self._forget()  # a part of a batch may be in its sums
            raise
        reader.state["seconds"] += time.perf_counter() - begun
        atlas = make_atlas(model, reader, self._corpus)
        if folder is not None:
            activation_cache.drop(folder, f"{key}.part")
        self._forget()
        return msgspec.structs.replace(self._progress(request, reader, key, done=True), atlas=atlas)

    def _ready(self, request: ReadAtlas, model: Model) -> AtlasReader:
        asked = (id(model), request.corpus, request.tokens)
        if self._reader is None or self._asked != asked or self._reader.model is not model:
            corpus = read_corpus(request.corpus)
            self._reader, self._asked = AtlasReader(model, make_passages(model, corpus, request.tokens)), asked
            self._corpus = (corpus.name, corpus.digest)
        return self._reader

    def _forget(self) -> None:
        self._reader, self._asked = None, None

    def _save(self, reader: AtlasReader, folder: Path | None, key: str, begun: float) -> None:
        reader.state["seconds"] += time.perf_counter() - begun
        if folder is not None:
            activation_cache.save(folder, f"{key}.part", reader.state)

    def _progress(self, request: ReadAtlas, reader: AtlasReader, key: str, *, done: bool) -> AtlasRead:
        total = reader.tokens_in_all
        return AtlasRead(
            job=request.job,
            model=reader.model.info,
            key=key,
            done=total if done else reader.tokens_done,
            total=total,
            finished=done,
            atlas=None,
        )


def atlas_key(model: Model, passages: Passages) -> str:
    """Return what an atlas of this model and these passages is known by: a hash of all that decides its numbers."""
    content = (VERSION, model.info.identity, model.precision, passages.key)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
