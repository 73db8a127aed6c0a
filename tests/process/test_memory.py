"""Available memory, on file systems made up for the purpose."""

import math
import re

import pytest

from skinfluence.process.memory import available_memory, require_memory

GIB = 2**30
MACHINE = {"proc/meminfo": f"MemTotal: {16 * 2**20} kB\nMemAvailable: {8 * 2**20} kB\n"}
V1 = "4:memory:/pod/box\n3:cpu,cpuacct:/pod/box\n1:name=systemd:/\n"
NO_LIMIT_OF_V1 = 9223372036854771712


def tree(root, files):
    """Write {path: text} under a folder and return it as `available_memory` takes it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))
    return str(root)


def group(path, **files):
    """Return the files of a control group, of version 2, without the `memory.` of their names."""
    return {f"sys/fs/cgroup/{path}memory.{name}": value for name, value in files.items()}


def of_version_1(path, limit, usage, stat=""):
    return {
        f"sys/fs/cgroup/memory/{path}memory.limit_in_bytes": limit,
        f"sys/fs/cgroup/memory/{path}memory.usage_in_bytes": usage,
        f"sys/fs/cgroup/memory/{path}memory.stat": stat,
    }


IN_BOX = MACHINE | {"proc/self/cgroup": "0::/pod/box\n"}
OUTSIDE = MACHINE | {"proc/self/cgroup": "0::/\n"}
CASES = {
    "no groups": (MACHINE, 8),
    "a group without limits": (OUTSIDE, 8),
    "max": (IN_BOX | group("pod/box/", max="max\n", high="max\n", current=GIB), 8),
    "a limit": (IN_BOX | group("pod/box/", max=3 * GIB, current=GIB), 2),
    "a soft limit": (IN_BOX | group("pod/box/", max=4 * GIB, high=2 * GIB, current=GIB), 1),
    "a limit of the group around it": (
        IN_BOX
        | group("pod/box/", max=7 * GIB, current=GIB)
        | group("pod/", max=6 * GIB, current=5 * GIB),
        1,
    ),
    "more than the machine has": (IN_BOX | group("pod/box/", max=99 * GIB, current=GIB), 8),
    "cache is taken back": (
        IN_BOX
        | group("pod/box/", max=3 * GIB, current=3 * GIB, stat=f"anon 1\ninactive_file {GIB}\n"),
        1,
    ),
    "cache counted elsewhere": (
        IN_BOX | group("pod/box/", max=3 * GIB, current=GIB, stat=f"inactive_file {2 * GIB}"),
        3,
    ),
    "used up": (IN_BOX | group("pod/box/", max=GIB, current=2 * GIB), 0),
    "seen from inside": (IN_BOX | group("", max=2 * GIB, current=GIB), 1),
    "no usage": (IN_BOX | group("pod/box/", max=2 * GIB), 8),
    "nonsense": (IN_BOX | group("pod/box/", max="", current="?", stat="inactive_file\n\nx y"), 8),
    "version 1": (
        MACHINE
        | {"proc/self/cgroup": V1}
        | of_version_1("pod/box/", 3 * GIB, 2 * GIB, f"total_inactive_file {GIB}\n"),
        2,
    ),
    "version 1 without a limit": (
        MACHINE | {"proc/self/cgroup": V1} | of_version_1("pod/box/", NO_LIMIT_OF_V1, GIB),
        8,
    ),
    "version 1 seen from inside": (
        MACHINE | {"proc/self/cgroup": V1} | of_version_1("", 3 * GIB, 2 * GIB),
        1,
    ),
    "both, and memory is of version 1": (
        MACHINE
        | {"proc/self/cgroup": V1 + "0::/\n"}
        | of_version_1("", NO_LIMIT_OF_V1, 7 * GIB)
        | of_version_1("pod/", 4 * GIB, 2 * GIB),
        2,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_least_of_machine_and_groups(name, tmp_path):
    files, expected = CASES[name]
    assert available_memory(tree(tmp_path, files)) == expected * GIB


def test_without_meminfo_a_system_may_tell_or_not(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.__getitem__)
    assert available_memory(str(tmp_path)) == 4096 * 1000
    monkeypatch.delattr("os.sysconf")
    assert available_memory(str(tmp_path)) == math.inf
    files = group("", max=2 * GIB, current=GIB) | {"proc/self/cgroup": "0::/\n"}
    assert available_memory(tree(tmp_path / "group", files)) == GIB


def test_here():
    assert 2**20 < available_memory() < 2**50


def test_what_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 1.5 * GIB)
    require_memory(1.5 * GIB, "A matrix", "Take less.")
    message = "A matrix needs 1.6 GiB and 1.5 GiB are available. Take less."
    with pytest.raises(MemoryError, match=re.escape(message)):
        require_memory(1.6 * GIB, "A matrix", "Take less.")


@pytest.mark.parametrize(
    ("n_bytes", "written"),
    [(3 * 2**40, "3,072.0 GiB"), (2**29, "512.0 MiB"), (1.5e5, "146.5 KiB"), (64, "0.1 KiB")],
)
def test_sizes_are_in_a_unit_that_fits(n_bytes, written, monkeypatch):
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 10.0)
    message = re.escape(f"A matrix needs {written} and 0.0 KiB are available.")
    with pytest.raises(MemoryError, match=message):
        require_memory(n_bytes, "A matrix", "Take less.")
