"""Which Headcode this is."""

import functools


@functools.cache
def version() -> str:
    """The installed distribution's version; looked up late, the look-up costs more than the rest of a client."""
    import importlib.metadata

    try:
        return importlib.metadata.version("headcode")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"
