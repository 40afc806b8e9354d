"""Removes the current folder from the import path and PATH. Imported before anything else.

`python -m tui.cli` puts it first, and so does an empty or relative entry of PYTHONPATH, as in `export
PYTHONPATH=$PYTHONPATH:/opt/x` where it was unset. A `torch.py` in a foreign folder would be executed. This module may
import only what Python has already loaded.
"""

import os
import sys


def leave(path: list[str], environ: "os._Environ[str]", own: str, *, first: bool, named: bool) -> None:
    """Remove the current folder from `path`, and relative folders of PATH from `environ`.

    The folder `own` stays: the running code was imported from it. `first`: whether Python puts the current folder (or a
    script's) first; `named`: whether it reads PYTHONPATH.
    """
    try:
        here = os.getcwd()  # noqa: PTH109  # pathlib may lie in that folder
    except OSError:
        here = ""
    if first and path and path[0] in ("", here) and here != own:
        del path[0]
    entries = environ["PYTHONPATH"].split(os.pathsep) if named and environ.get("PYTHONPATH") else []
    absolute = {entry for entry in entries if os.path.isabs(entry)}  # noqa: PTH117
    for entry in entries:
        if entry in absolute or not here:
            continue
        meant = os.path.abspath(entry)  # noqa: PTH100  # as Python itself has made it
        if meant in path and meant != own and meant not in absolute:
            path.remove(meant)
    path[:] = [entry for entry in path if entry and os.path.isabs(entry)]  # noqa: PTH117
    if "PATH" in environ:
        folders = environ["PATH"].split(os.pathsep)
        environ["PATH"] = os.pathsep.join(folder for folder in folders if os.path.isabs(folder)) or os.defpath  # noqa: PTH117


leave(
    sys.path,
    os.environ,
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),  # noqa: PTH100, PTH120
    first=not sys.flags.safe_path,
    named=not sys.flags.ignore_environment,
)
