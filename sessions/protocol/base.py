"""Define the base classes of requests and answers."""

import msgspec

from engine.errors import Failure

PROTOCOL = 1


MAX_LINE_BYTES = 64 << 20


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask"):
    """The base class of requests.

    Sessions are named by id, a unique beginning of an id, or name; runs by id, a unique beginning, or
    SESSION/NUMBER.
    """


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """The base class of answers."""


class Done(Message, tag="done", frozen=True, kw_only=True):
    """The request succeeded; there is nothing to return."""


class Refused(Message, tag="refused", frozen=True, kw_only=True):
    """The request failed."""

    failure: Failure
