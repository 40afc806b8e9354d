"""Unpack bundles and pack them again with a matching manifest."""

import hashlib
import io
import json
import re
import zipfile

from sessions.protocol.bundle_manifest import EVENTS, MANIFEST

Parts = dict[str, bytes]


_QUEUED = re.compile(rb'"kind": ?"run_queued"')


def open_up(raw: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(raw)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def seal(parts: Parts, *, honest: bool = True) -> bytes:
    """Return a zip of the parts; `honest` makes the manifest match them."""
    if honest:
        manifest = json.loads(parts[MANIFEST])
        manifest["members"] = [
            {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in parts.items()
            if name != MANIFEST
        ]
        lines = parts.get(EVENTS, b"").splitlines()
        manifest["counts"] = {
            "events": len(lines),
            "runs": sum(_QUEUED.search(line) is not None for line in lines),
            "codes": sum(name.startswith("codes/") for name in parts),
            "sae": sum(name.startswith("sae/") for name in parts),
        }
        parts = {**parts, MANIFEST: json.dumps(manifest).encode()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in parts.items():
            zipped.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()
