"""What memory there is, asked before anything large is allocated."""

from __future__ import annotations

import os


def available_memory() -> float:
    """Return the bytes this process may still allocate, as far as the system tells; else inf."""
    limits = []
    try:
        with open("/proc/meminfo") as lines:
            known = dict(line.split(":", 1) for line in lines)
        limits.append(float(known["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError):
        try:
            limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
        except (ValueError, OSError, AttributeError):
            return float("inf")
    return min(limits)


def require_memory(n_bytes: float, what: str, way_out: str) -> None:
    """Raise MemoryError, before anything is allocated, if `n_bytes` are not to be had."""
    available = available_memory()
    if n_bytes > available:
        raise MemoryError(
            f"{what} needs {n_bytes / 2**30:,.1f} GiB and {available / 2**30:,.1f} GiB are "
            f"available. {way_out}"
        )
