"""What memory there is, asked before anything large is allocated."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

NO_LIMIT = 2.0**60
"""Limits from which on there is none: version 1 writes nearly 2^63."""


def available_memory(root: str = "/") -> float:
    """Return the bytes this process may still allocate, as far as the system tells; else inf.

    The least of what the machine has and what the process's control groups, of which a container is
    one, leave it. `root` is where the file system of the machine begins.
    """
    groups = (group.available() for group in _limited_groups(root))
    return min(_available_on_machine(Path(root)), *groups, float("inf"))


def _available_on_machine(root: Path) -> float:
    available = _table(root / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        return available * 1024.0
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return float("inf")


class ControlGroup(NamedTuple):
    """A limit on the memory of some processes, and where their usage stands."""

    limit: float
    usage: Path
    statistics: Path
    cache: str

    def available(self) -> float:
        """Return the bytes up to the limit; infinite where the usage is not known."""
        used = _number(self.usage)
        if used is None:
            return float("inf")
        # Files that were read and may be dropped: the kernel takes them back before it refuses.
        reclaimable = _table(self.statistics).get(self.cache, 0.0)
        return max(0.0, self.limit - max(0.0, used - reclaimable))


@lru_cache
def _limited_groups(root: str) -> tuple[ControlGroup, ...]:
    """Return the process's own control groups and those around them, as far as they have limits.

    /proc/self/cgroup has a line ``hierarchy:controllers:path`` for every hierarchy. In version 2
    there is one, ``0::path``; in version 1 that of memory is mounted on its own. A container may
    see its own group as the root of the mount, while the path is that of the machine: then the
    folders of the path are not there, and the mount itself is asked. Limits are read once; they
    are there before the process is.
    """
    groups = []
    for line in _read(Path(root) / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers == "":
            mount, limits = "", ["memory.max", "memory.high"]
            usage, cache = "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            mount, limits = "memory", ["memory.limit_in_bytes"]
            usage, cache = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        top = Path(root) / "sys/fs/cgroup" / mount
        folder = top / path.lstrip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(top):
                break
            numbers = [_number(group / name) for name in limits]  # None for "max"
            limit = min((number for number in numbers if number is not None), default=NO_LIMIT)
            if limit < NO_LIMIT:
                groups.append(ControlGroup(limit, group / usage, group / "memory.stat", cache))
    return tuple(groups)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _number(path: Path) -> float | None:
    text = _read(path).strip()
    return float(text) if text.isdecimal() else None


def _table(path: Path) -> dict[str, float]:
    """Return a file of lines ``name number``."""
    lines = (line.split() for line in _read(path).splitlines())
    return {line[0]: float(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}


def require_memory(n_bytes: float, what: str, advice: str) -> None:
    """Raise MemoryError, before anything is allocated, if `n_bytes` are not to be had."""
    available = available_memory()
    if n_bytes > available:
        raise MemoryError(
            f"{what} needs {_written(n_bytes)} and {_written(available)} are available. {advice}"
        )


def _written(n_bytes: float) -> str:
    """Return a size in the largest unit of which there is one."""
    units = {"GiB": 2**30, "MiB": 2**20}
    unit, size = next((each for each in units.items() if n_bytes >= each[1]), ("KiB", 2**10))
    return f"{n_bytes / size:,.1f} {unit}"
