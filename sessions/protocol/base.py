"""What every request and every answer is."""

import msgspec

from engine.errors import Failure

PROTOCOL = 1


MAX_LINE_BYTES = 64 << 20


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask"):
    """The root of what a client may ask. Sessions are named by id, unique beginning of an id, or name;
    runs by id, unique beginning, or SESSION/NUMBER."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """The root of what the host sends."""


class Done(Message, tag="done", frozen=True, kw_only=True):
    pass


class Refused(Message, tag="refused", frozen=True, kw_only=True):
    failure: Failure
