"""What can go wrong with the host and the store."""

from engine.errors import Failure, HeadcodeError


class SessionError(HeadcodeError):
    """The root of this package's errors."""

    family = "store"


class StoreError(SessionError):
    """The store cannot be opened, read or written."""


class StoreTooNew(StoreError):
    """The store was written by a later Headcode."""


class StoreDamaged(StoreError):
    """The store's file is not what it should be."""


class NoSuchRecord(SessionError):
    """A session or run was named that the store does not hold."""

    family = "input"


class HostError(SessionError):
    """The host cannot be started, reached or understood."""

    family = "host"


class HostGone(HostError):
    """The connection to the host ended before the answer."""


class WrongProtocol(HostError):
    """A host of another version answered."""


class Refusal(SessionError):
    """An error another process reported, with its own family, name, message and hint."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, hint=failure.hint)
        self.failure = failure
        self.family = failure.family

    def as_failure(self) -> Failure:
        return self.failure
