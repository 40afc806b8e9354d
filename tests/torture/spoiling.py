"""Make hostile files: mutations of valid ones, and files made by hand."""

import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

from sessions.protocol.bundle_manifest import EVENTS, MANIFEST

from .sealing import Parts, open_up, seal

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**31 - 1,
    2**63,
    -(2**63),
    10**30,
    10**400,
    1.5,
    -0.0,
    1e308,
    "",
    " ",
    "x",
    "../../etc/passwd",
    "/etc/passwd",
    "\x00",
    "\x1b]52;c;aGk=\x07",
    "\u202e",
    "\ud800",
    "[@click=app.quit]x[/]",
    "a" * 5_000,
    "s0000000000000",
    "r0000000000000",
    [],
    [1],
    [[0, 0]],
    [[-1, 5]],
    [[10**9, 10**9]],
    {},
    {"kind": "run_queued"},
    {"kind": "nothing"},
    "running",
    "done",
    "NaN",
    "'; DROP TABLE event; --",
    [[[[[[[[]]]]]]]],
)


def spoil_bytes(rng: random.Random, raw: bytes, other: bytes) -> bytes:
    data = bytearray(raw)
    match rng.randrange(9):
        case 0 | 1:
            for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            del data[rng.randrange(len(data)) :]
        case 3:
            start = rng.randrange(len(data))
            del data[start : start + rng.choice((1, 4, 46, 1000))]
        case 4:
            data[rng.randrange(len(data)) : 0] = rng.randbytes(rng.choice((1, 4, 22, 500)))
        case 5:
            data += rng.choice((b"\0", rng.randbytes(30), other, bytes(data[-22:])))
        case 6:
            a, b = sorted((rng.randrange(len(data)), rng.randrange(len(other))))
            data = bytearray(raw[:a] + other[b:])
        case 7:
            # The directory and its end, which attacks use most.
            start = max(0, len(data) - 1500)
            for _ in range(rng.choice((1, 2, 4))):
                data[rng.randrange(start, len(data))] = rng.choice((0, 1, 8, 0x7F, 0xFF, rng.randrange(256)))
        case _:
            start = rng.randrange(len(data))
            data[start : start + 200] = bytes(len(data[start : start + 200]))
    return bytes(data)


def spoil_json(rng: random.Random, value: Any) -> Any:
    """Return the value with one thing in it changed."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            if isinstance(child, dict | list):
                walk(child)

    walk(value)
    if not places:
        return rng.choice(ODD)
    node, key = rng.choice(places)
    match rng.randrange(8):
        case 0 if isinstance(node, dict):
            del node[key]
        case 0:
            node.append(rng.choice(ODD))
        case 1 if isinstance(node, dict):
            node[rng.choice(("extra", "kind", "__class__", "path"))] = rng.choice(ODD)
        case 2 if isinstance(node[key], int) and not isinstance(node[key], bool):
            node[key] += rng.choice((-1, 1, 1000, 2**31, 2**63))
        case 3 if isinstance(node[key], list):
            node[key] = node[key] * rng.choice((2, 50))
        case 4:
            other, place = rng.choice(places)
            node[key] = other[place] if place in other or (isinstance(place, int) and place < len(other)) else None
        case _:
            node[key] = rng.choice(ODD)
    return value


def as_json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"{}"


def spoil_log(rng: random.Random, parts: Parts) -> Parts:
    lines = parts[EVENTS].splitlines(keepends=True)
    at = rng.randrange(len(lines))
    match rng.randrange(12):
        case 0:
            lines.insert(at, lines[rng.randrange(len(lines))])
        case 1:
            del lines[at]
        case 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = rng.choice(
                (b"\n", b"null\n", b"[" * 60_000 + b"\n", b'{"seq":' * 5_000 + b"\n", b"\xff\xfe\n", b"{}")
            )
        case 4:
            raw = bytearray(lines[at])
            raw[rng.randrange(len(raw))] = rng.randrange(256)
            lines[at] = bytes(raw)
        case 5:
            # Numbers corrected after a removal: only the meaning is wrong.
            del lines[at : at + rng.choice((1, 3, 10))]
            lines = renumbered(lines)
        case 6:
            lines = renumbered([*lines[:at], lines[rng.randrange(len(lines))], *lines[at:]])
        case _:
            lines[at] = as_json(spoil_json(rng, json.loads(lines[at]))) + b"\n"
    return {**parts, EVENTS: b"".join(lines)}


def renumbered(lines: list[bytes]) -> list[bytes]:
    output = []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
            value["seq"] = number
            output.append(as_json(value) + b"\n")
        except (ValueError, TypeError):
            output.append(line)
    return output


def spoil_array(rng: random.Random, parts: Parts) -> Parts:
    """Change an array or a table, and make the manifest match."""
    name = rng.choice([name for name in parts if "/" in name])
    data = bytearray(parts[name])
    output = dict(parts)
    match rng.randrange(8):
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            data[:8] = struct.pack("<Q", rng.choice((0, 1, 2**63, len(data), 2**40, 7)))
        case 2:
            data += rng.randbytes(100)
        case 3:
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 4:
            data = data.replace(b"I32", rng.choice((b"F32", b"I64", b"BOO"))).replace(b"[2,", b"[9,")
        case 5:
            data = bytearray(rng.randbytes(rng.choice((0, 1, 100, 5000))))
        case 6:
            del output[name]
            new = rng.choice(("codes/r0000000000000.safetensors", f"sae/{'0' * 64}.safetensors", "tables/evil.parquet"))
            output[new] = bytes(data)
            return output
        case _:
            other = rng.choice([name for name in parts if "/" in name])
            data = bytearray(parts[other])
    output[name] = bytes(data)
    return output


# ---- made by hand


def raw_zip(entries: list[dict[str, Any]], *, tail: bytes = b"", count: int | None = None) -> bytes:
    """Make a zip file byte by byte: every field can be false."""
    body, directory = bytearray(), bytearray()
    for entry in entries:
        data, name = entry.get("data", b""), entry["name"]
        name = name if isinstance(name, bytes) else name.encode()
        method = entry.get("method", 8)
        if method == 8:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = deflate.compress(data) + deflate.flush()
        else:
            packed = data
        packed = entry.get("packed", packed)
        crc, size = entry.get("crc", zlib.crc32(data)), entry.get("size", len(data))
        extra, comment = entry.get("extra", b""), entry.get("comment", b"")
        offset = entry.get("offset", len(body))
        common = struct.pack(
            "<3H2H3L", 20, entry.get("flags", 0), method, 0, 33, crc, entry.get("n_packed", len(packed)), size
        )
        local = common if "local" not in entry else common[:-4] + struct.pack("<L", entry["local"])
        body += b"PK\3\4" + local + struct.pack("<2H", len(name), len(extra)) + name + extra + packed
        directory += b"PK\1\2" + struct.pack("<H", 0x0314) + common
        directory += struct.pack(
            "<5H2L", len(name), len(extra), len(comment), 0, 0, entry.get("mode", 0o100644) << 16, offset
        )
        directory += name + extra + comment
    number = len(entries) if count is None else count
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, number & 0xFFFF, number & 0xFFFF, len(directory), len(body), len(tail)
    )
    return bytes(body + directory + end + tail)


def made_by_hand(rng: random.Random, raw: bytes) -> bytes:
    parts = open_up(raw)
    entries: list[dict[str, Any]] = [{"name": name, "data": data} for name, data in parts.items()]
    victim = rng.choice(entries)
    other = rng.choice(entries)
    tricks: list[Callable[[], bytes | None]] = [
        lambda: victim.update(
            name=rng.choice(("../out.txt", "/tmp/out.txt", "..\\out.txt", "a/../../out", "C:\\x", "~/x", ""))
        ),
        lambda: entries.append(
            {"name": rng.choice(("../out.txt", "/tmp/out.txt", "x\0y", "\x1b[2J", "codes/../../x.safetensors"))}
        ),
        lambda: entries.append(dict(victim)),
        lambda: entries.append({**victim, "name": victim["name"].upper()}),
        lambda: victim.update(mode=0o120777, data=b"/etc/passwd"),
        lambda: victim.update(mode=rng.choice((0o010644, 0o040755, 0o060644, 0o140644))),
        lambda: victim.update(flags=rng.choice((1, 8, 0x800, 0x2000, 0x41))),
        lambda: victim.update(extra=struct.pack("<2H3Q", 1, 24, 1 << 40, 1 << 40, 0)),
        lambda: victim.update(comment=b"hello"),
        lambda: victim.update(data=bytes(rng.choice((10_000_000, 80_000_000)))),
        lambda: victim.update(data=bytes(5_000_000), size=100, local=100),
        lambda: victim.update(size=2**32 - 2, local=2**32 - 2),
        lambda: victim.update(offset=rng.choice((0, 1, 2**31, 2**32 - 1))),
        lambda: victim.update(crc=rng.getrandbits(32)),
        lambda: victim.update(n_packed=rng.choice((0, 1, 2**31, 2**32 - 1))),
        lambda: victim.update(method=rng.choice((1, 9, 12, 14, 93, 99))),
        lambda: victim.update(packed=rng.randbytes(200)),
        lambda: victim.update(packed=zlib.compress(victim["data"])),
        lambda: victim.update(name=other["name"]),
        lambda: entries.remove(victim),
        lambda: rng.shuffle(entries),
        lambda: raw_zip(entries, tail=rng.randbytes(rng.choice((1, 22, 60_000)))),
        lambda: raw_zip(entries, count=rng.choice((0, 1, 65_535))),
        lambda: raw_zip([{"name": f"tables/t{i}.parquet"} for i in range(rng.choice((11_000, 60_000)))]),
        lambda: rng.randbytes(rng.choice((1, 100))) + raw_zip(entries),
        lambda: raw_zip(entries)[:-22] + raw_zip(entries),
        lambda: raw_zip([]),
        lambda: rng.choice((b"", b"PK", b"PK\5\6" + bytes(18), b"\x89PNG", b"\0" * 1000, b"PAR1" + bytes(100))),
        lambda: seal({**parts, EVENTS: parts[EVENTS] + b" " * 30_000_000}),
        lambda: seal({**parts, EVENTS: parts[EVENTS].replace(b"toy", b"y" * 2_000_000, 1)}),
        lambda: seal({**parts, EVENTS: b"".join([b"\n"] * 100_000)}),
        lambda: seal({**parts, MANIFEST: b'{"format":"headcode-bundle","version":99,"headcode":"9"}'}, honest=False),
        lambda: seal({**parts, MANIFEST: b"[" * 200_000}, honest=False),
        lambda: seal({EVENTS: parts[EVENTS]}, honest=False),
    ]
    made = rng.choice(tricks)()
    return made if isinstance(made, bytes) else raw_zip(entries)


# ---- example files


JSONL = "".join(
    json.dumps(
        {
            "prompt": f"When {i} met",
            "polarity": side,
            "expected": [" B"],
            "foils": " A",
            "pair": rng_pair,
            "enabled": True,
        }
    )
    + "\n"
    for i, rng_pair in enumerate((1, 2, "x"))
    for side in ("positive", "negative")
)
LINES = '# mine\n+1 When A and B met => B | A, C\n-1 When A and C met => B | A\n+ Plain => "a, b"\n- Other =>\n'


def example_file(rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return spoil_bytes(rng, LINES.encode() * rng.choice((1, 3)), JSONL.encode())
    lines = JSONL.encode().splitlines(keepends=True)
    match rng.randrange(7):
        case 0:
            return spoil_bytes(rng, JSONL.encode(), LINES.encode())
        case 1:
            lines[rng.randrange(len(lines))] = rng.choice(
                (
                    b"[" * 100_000 + b"\n",
                    b'{"more": ' + b"[" * 100_000 + b"\n",
                    b'{"prompt":' * 20_000 + b"\n",
                    b'{"prompt": "' + b"a" * 5_000_000 + b'", "polarity": "positive"}\n',
                    b'{"prompt": "\\ud800", "polarity": "positive"}\n',
                    b'{"prompt": "a", "polarity": "positive", "pair": 1' + b"0" * 5_000 + b"}\n",
                    b'{"prompt": "a", "polarity": "positive", "pair": 9223372036854775808}\n',
                    b"\0" * 1000 + b"\n",
                    "\u2028\u2029\x85".encode() * 100 + b"\n",
                    b"{" + rng.randbytes(100) + b"\n",
                )
            )
        case 2:
            return b"".join(lines) * rng.choice((100, 20_000))
        case _:
            at = rng.randrange(len(lines))
            lines[at] = as_json(spoil_json(rng, json.loads(lines[at]))) + b"\n"
    return b"".join(lines)
