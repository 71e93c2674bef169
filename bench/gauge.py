"""What a process has used, as the kernel counts it; NaN where it does not tell."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from pathlib import Path

KILOBYTES = re.compile(r"^(?P<name>Pss|VmRSS|VmHWM):\s+(?P<size>\d+) kB", re.MULTILINE)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads so far, user and system, those that ended included."""
    if sys.platform != "linux":
        return math.nan
    # /proc/PID/stat rounds the same count to hundredths; the kernel numbers a process's CPU clock like this.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return math.nan


def family_cpu_seconds(pid: int) -> float:
    """CPU time of a process and all that it began, those that ended included; not of those that these began."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        living = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return math.nan
    # Of children that ended the kernel tells hundredths only.
    ended = (int(told[13]) + int(told[14])) / os.sysconf("SC_CLK_TCK")
    lasting = (cpu_seconds(int(child)) for child in living)
    return cpu_seconds(pid) + ended + sum(seconds for seconds in lasting if not math.isnan(seconds))


def resident_megabytes(pid: int) -> float:
    """Memory now, pages shared with others included."""
    return _megabytes(Path(f"/proc/{pid}/status"), "VmRSS")


def peak_megabytes(pid: int) -> float:
    """The most that `resident_megabytes` would have told so far."""
    return _megabytes(Path(f"/proc/{pid}/status"), "VmHWM")


def own_megabytes(pid: int) -> float:
    """Memory now, each shared page divided by those who share it."""
    return _megabytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def _megabytes(file: Path, name: str) -> float:
    try:
        found = {match["name"]: int(match["size"]) for match in KILOBYTES.finditer(file.read_text())}
    except OSError:
        return math.nan
    return found[name] / 1024 if name in found else math.nan
