"""What can go wrong with the host and the store."""

import errno

from engine.errors import Failure, HeadcodeError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What the system says of a disk that takes nothing more."""


class SessionError(HeadcodeError):
    """The root of this package's errors."""

    family = "store"


class StoreError(SessionError):
    """The store cannot be opened, read or written."""


class StoreBusy(StoreError):
    """Another program has the store open."""


class StoreTooNew(StoreError):
    """The store was written by a later Headcode."""


class StoreDamaged(StoreError):
    """The store's file is not what it should be."""


class StoreFull(StoreError):
    """The disk that holds the store, or what was to be written, takes nothing more."""


class StoreLost(StoreError):
    """The store's file was removed, replaced or moved while it was open; it is read, and no longer written."""

    moved = False
    """Whether everything lies at another place now, so that a host there can go on."""


class StoreUncertain(StoreError):
    """A write ended in a way that leaves open whether it was kept; the store was opened again."""

    full = False
    """Whether it was the disk that took no more."""


class BadArray(StoreError):
    """A file of arrays the engine left is not what it said."""


class BadBundle(SessionError):
    """A bundle that cannot be written, or a file that is no bundle, is damaged, or was made to do harm."""

    family = "input"


class CannotWrite(SessionError):
    """A file that was to be written for the person: it is there already, or the place takes none."""

    family = "input"


class SettingsError(SessionError):
    """A setting in config.toml that makes no sense."""

    family = "input"


class BadName(SessionError):
    """A name that a session cannot have."""

    family = "input"


class BadQuery(SessionError):
    """A question in SQL that cannot be answered, or must not be."""

    family = "input"


class NoSuchRecord(SessionError):
    """A session or run was named that the store does not hold."""

    family = "input"


class NothingToStep(SessionError):
    """An undo where nothing was changed, or a redo where nothing was undone."""

    family = "input"


class StaleExamples(SessionError):
    """A change of examples that have been changed by somebody else since."""

    family = "input"


class HostError(SessionError):
    """The host cannot be started, reached or understood."""

    family = "host"


class NoHost(HostError):
    """No host is running, and none was to be started."""


class HostRunning(HostError):
    """A host serves this store already, where one of our own was wanted."""


class HostGone(HostError):
    """The connection to the host ended before the answer."""


class WrongProtocol(HostError):
    """A host of another version answered."""


class BadRequest(HostError):
    """Something was said to the host that it does not understand."""


class Refusal(SessionError):
    """An error another process reported, with its own family, name, message and hint."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, hint=failure.hint)
        self.failure = failure
        self.family = failure.family

    def as_failure(self) -> Failure:
        return self.failure


def error_from(failure: Failure) -> SessionError:
    """The error another process reported, as its own class where it is one of this package's, else as a Refusal."""
    kind = {found.__name__: found for found in _family(SessionError)}.get(failure.name)
    if kind is None or kind is Refusal:
        return Refusal(failure)
    return kind(failure.message, hint=failure.hint)


def _family(root: type[SessionError]) -> list[type[SessionError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _family(child))]
