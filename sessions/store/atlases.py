"""Atlases in the store: beside the event log, as they belong to a model and can be read again."""

import zlib

import msgspec

from engine.errors import EngineError
from engine.explanations import AtlasWords
from engine.node_atlas import METRIC_NAMES, Atlas
from engine.nodes import NodeId
from sessions.errors import NoSuchRecord, StoreDamaged
from sessions.rows import AtlasRow
from sessions.store.database import Store, append_rows

_LEVEL = 6
_MOST_BYTES = 256 << 20
"""An atlas that is larger when unpacked was not written by Headcode."""
_COLUMNS = "atlas, model, asked, identity, corpus, digest, tokens, passages, seconds, made_us, octet_length(body)"


def save_atlas(store: Store, key: str, asked: str, atlas: Atlas, made_us: int) -> AtlasRow:
    """Store an atlas; one with the same key is replaced. Raises StoreError."""
    body = zlib.compress(msgspec.msgpack.encode(atlas), _LEVEL)
    source = atlas.source
    row = (
        key,
        atlas.model.name,
        asked,
        atlas.model.identity,
        source.corpus,
        source.digest,
        source.tokens,
        source.passages,
        source.seconds,
        made_us,
        body,
    )
    nodes = [(key, each.layer, each.head, *(each.metrics.get(name) for name in METRIC_NAMES)) for each in atlas.nodes]
    with store.transaction() as con:
        for table in ("atlas", "atlas_node"):
            con.execute(f"DELETE FROM {table} WHERE atlas = $key", {"key": key})  # noqa: S608  # names of our own
        append_rows(con, "atlas", [row])
        append_rows(con, "atlas_node", nodes)
    return find_row(store, key)


def list_atlases(store: Store) -> list[AtlasRow]:
    """Return the stored atlases, the newest first."""
    return _rows(store, "")


def known_keys(store: Store) -> tuple[str, ...]:
    """Return the keys of all stored atlases."""
    return tuple(str(key) for (key,) in store.rows("SELECT atlas FROM atlas ORDER BY atlas"))


def find_row(store: Store, named: str) -> AtlasRow:
    """Return the newest of `find_rows`. Raises NoSuchRecord."""
    return find_rows(store, named)[0]


def find_rows(store: Store, named: str) -> list[AtlasRow]:
    """Return the atlases with that key or beginning of a key, model identity or model name, the newest first.

    Raises NoSuchRecord with the way to make one.
    """
    where = "WHERE atlas = $named OR identity = $named OR model = $named OR asked = $named"
    found = _rows(store, where, named)
    if not found and len(named) >= 4 and all(letter in "0123456789abcdef" for letter in named):
        found = _rows(store, "WHERE starts_with(atlas, $named)", named)
    if not found:
        raise NoSuchRecord(
            f"There is no atlas of {named[:100]!r}.",
            hint=f"Read one: headcode atlas {named[:100] if ' ' not in named else 'MODEL'}",
        )
    return found


def load_atlas(store: Store, key: str) -> Atlas:
    """Return a stored atlas. Raises NoSuchRecord, and StoreDamaged if it cannot be read."""
    row = store.one("SELECT body FROM atlas WHERE atlas = $key", {"key": key})
    if row is None:
        raise NoSuchRecord(f"There is no atlas {key[:12]}.", hint="List them: headcode atlas")
    try:
        unpack = zlib.decompressobj()
        data = unpack.decompress(row[0], _MOST_BYTES)
        if not unpack.eof:
            raise zlib.error("it does not end")
        return msgspec.msgpack.decode(data, type=Atlas)
    except (zlib.error, msgspec.MsgspecError, EngineError) as error:
        raise StoreDamaged(
            f"The atlas {key[:12]} cannot be read: {error}.", hint=f"Delete it: headcode atlas {key[:12]} --delete"
        ) from error


def words_at(store: Store, identity: str, node: NodeId) -> AtlasWords | None:
    """Return the tokens of a node by the newest atlas of the model with that identity; None without one.

    Raises StoreDamaged if it cannot be read.
    """
    rows = _rows(store, "WHERE identity = $named", identity)
    if not rows:
        return None
    return words_of(store, rows[0].key, rows[0].corpus, node)


def words_of(store: Store, key: str, corpus: str, node: NodeId) -> AtlasWords:
    """Return the tokens of a node by one atlas. Raises NoSuchRecord, and StoreDamaged if it cannot be read."""
    return AtlasWords(key=key, corpus=corpus, words=load_atlas(store, key).words_at(node))


def delete_atlas(store: Store, key: str) -> None:
    """Delete an atlas."""
    with store.transaction() as con:
        for table in ("atlas", "atlas_node"):
            con.execute(f"DELETE FROM {table} WHERE atlas = $key", {"key": key})  # noqa: S608  # names of our own


def _rows(store: Store, where: str, named: str = "") -> list[AtlasRow]:
    found = store.rows(
        f"SELECT {_COLUMNS} FROM atlas {where} ORDER BY made_us DESC, atlas",  # noqa: S608  # names of our own
        {"named": named} if where else None,
    )
    return [AtlasRow(*row) for row in found]
