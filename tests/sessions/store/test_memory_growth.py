"""What C's allocator keeps: large blocks go back to the system as soon as they are freed."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
from sessions.store.memory_growth import keep_heap_small

class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks used free top".split()
    _fields_ = [(name, ctypes.c_size_t) for name in names]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.mallinfo2.restype = Mallinfo
if sys.argv[1] == "small":
    keep_heap_small()
libc.free(libc.malloc(20 << 20))
before = libc.mallinfo2().hblks
block = libc.malloc(1 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own settings")
@pytest.mark.parametrize(("how", "mapped"), [("small", "1"), ("as it is", "0")])
def test_a_large_block_has_memory_of_its_own_also_after_a_larger_one(how: str, mapped: str) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", PROGRAM, how], capture_output=True, text=True, check=False)
    if "mallinfo2" in done.stderr:
        pytest.skip("another C library")
    assert done.stdout.strip() == mapped, done.stderr
