"""What a node of a cluster is like. Sent by value to nodes that may not have Headcode: standard library only."""


def survey(packages: "tuple[str, ...]") -> "dict[str, object]":
    """Return the node's name, the versions of these packages (empty: not installed) and the bytes of each GPU."""
    import os
    import shutil
    import socket
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    gpus = []
    program = shutil.which("nvidia-smi")
    try:
        # A relative path would be a file of the node's current folder.
        if program is None or not os.path.isabs(program):  # noqa: PTH117
            raise FileNotFoundError("nvidia-smi")
        asked = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
        gpus = [int(line) * 2**20 for line in found.stdout.split() if line.isdigit()]
    except (OSError, subprocess.SubprocessError):
        pass
    return {"host": socket.gethostname(), "versions": versions, "gpus": gpus}
