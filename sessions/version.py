"""Read Headcode's version."""

import functools


@functools.cache
def version() -> str:
    """Return the installed distribution's version.

    Imported on first use: importlib.metadata takes longer to import than the rest of a client.
    """
    import importlib.metadata

    try:
        return importlib.metadata.version("headcode")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"
