"""Define the errors of the host and the store."""

import errno

from engine.errors import Failure, HeadcodeError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""The system's error numbers for a disk that cannot be written."""


class SessionError(HeadcodeError):
    """The base class of this package's errors."""

    family = "store"


class StoreError(SessionError):
    """The store cannot be opened, read or written."""


class StoreBusy(StoreError):
    """Another program has the store open."""


class StoreTooNew(StoreError):
    """A later version of Headcode wrote the store."""


class StoreDamaged(StoreError):
    """The store's file is damaged."""


class StoreFull(StoreError):
    """The disk of the store, or of another file to write, is full or read-only."""


class StoreLost(StoreError):
    """The store's file was removed, replaced or moved while open; the store is now read-only."""

    moved = False
    """Whether all files are at another path now, so that a host can continue there."""


class StoreUncertain(StoreError):
    """A write ended without it being known whether it was stored; the store was reopened."""

    full = False
    """Whether a full disk was the cause."""


class BadArray(StoreError):
    """An array file from the engine does not match its description."""


class BadBundle(SessionError):
    """A bundle cannot be written, or a file is not a bundle, is damaged or was made to do harm."""

    family = "input"


class CannotWrite(SessionError):
    """A file for the user cannot be written: it exists already, or its folder is not writable."""

    family = "input"


class SettingsError(SessionError):
    """A setting in config.toml is not valid."""

    family = "input"


class BadName(SessionError):
    """A name is not valid for a session."""

    family = "input"


class BadQuery(SessionError):
    """An SQL query cannot be run or is not allowed."""

    family = "input"


class NoSuchRecord(SessionError):
    """The store has no session or run of that name."""

    family = "input"


class NothingToStep(SessionError):
    """There is nothing to undo or redo."""

    family = "input"


class StaleExamples(SessionError):
    """Somebody else has changed the examples since they were read."""

    family = "input"


class HostError(SessionError):
    """The host cannot be started or reached, or its answer is not understood."""

    family = "host"


class NoHost(HostError):
    """No host is running, and none may be started."""


class HostRunning(HostError):
    """A host already serves this store, and a separate one was requested."""


class HostGone(HostError):
    """The connection to the host ended before the answer."""


class WrongProtocol(HostError):
    """The host has another version."""


class BadRequest(HostError):
    """The host does not understand the request."""


class Refusal(SessionError):
    """An error from another process, with its own family, name, message and hint."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, hint=failure.hint)
        self.failure = failure
        self.family = failure.family

    def as_failure(self) -> Failure:
        return self.failure


def error_from(failure: Failure) -> SessionError:
    """Return the error from another process in its own class if this package has it, else as a Refusal."""
    kind = {found.__name__: found for found in _family(SessionError)}.get(failure.name)
    if kind is None or kind is Refusal:
        return Refusal(failure)
    return kind(failure.message, hint=failure.hint)


def _family(root: type[SessionError]) -> list[type[SessionError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _family(child))]
