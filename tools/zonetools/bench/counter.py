"""The processor's instruction counter, if the system lets a process read it (Linux on real hardware).

The count repeats within a fraction of a percent, while times vary with the load of the machine.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable

HARDWARE, SOFTWARE = 0, 1
INSTRUCTIONS, TASK_CLOCK = 1, 1
"""The counter of instructions (hardware), and of nanoseconds on a processor (software)."""

_SYSCALLS = {"x86_64": 298, "aarch64": 241}
# struct perf_event_attr in its first published size: kind, size, config, three unused fields, flags, and two
# more unused fields.
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")
_USER_ONLY = 1 << 5 | 1 << 6


def open_counter(kind: int = HARDWARE, config: int = INSTRUCTIONS) -> Callable[[], int] | None:
    """A function that reads the count of this process in user mode; None if there is no such counter."""
    number = _SYSCALLS.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return None
    attributes = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, config, 0, 0, 0, _USER_ONLY, 0, 0, 0)
    descriptor = ctypes.CDLL(None).syscall(number, attributes, 0, -1, -1, 0)
    if descriptor < 0:
        return None
    return lambda: int.from_bytes(os.read(descriptor, 8), sys.byteorder)
