"""Read an atlas to its end, part by part."""

from collections.abc import Callable

import msgspec

from sessions.client.connection import HostClient
from sessions.protocol import AtlasProgress, ReadOn

Report = Callable[[AtlasProgress], None]


async def read_atlas(client: HostClient, request: ReadOn, report: Report) -> AtlasProgress:
    """Ask the host to read on until the atlas is stored; report every part. Raises what the host refuses."""
    while True:
        found = await client.ask(request, AtlasProgress)
        report(found)
        if found.finished:
            return found
        request = msgspec.structs.replace(request, after=found.done)
