"""How fast scores are, as ratios taken in one run: to what cannot be avoided, to the fit, to peers.

Cases:

binary        MNIST 1 v 7, all test rows: floor, fit, float32, pyinfluence, pyDVL, captum
classes       MNIST, ten classes: 100 test rows, and the mean over all 10,000
text          Enron, word 1-2-grams, sparse
wide          500 x 20,000
top           the ten best of 10^6 rows for each of 1,000 test rows
diagnostics   parameters without each row, against statsmodels
network       784-100-10, 10,000 rows of MNIST: block CG against pyDVL's, TracIn against captum's
post          LiSSA to the error of the blog post of 2017, against pyDVL's
auto          solver="auto" over the best of the others, shape by shape
growth        exponents of the seconds in rows, columns, classes, test rows

The floor is the products that no method can do without, in numpy and scipy. Ratios are medians over
several rounds, in which everything that is compared runs in turn; seconds begin with the fitted
model. Other packages live in environments of their own, which ``--rivals FOLDER`` makes or finds;
whether their scores are ours comes first, and where they are not there is no ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import clocks
import speed_growth
import speed_linear
import speed_networks
from speed_table import Line, plain, readme, rst

CASES = {
    "binary": speed_linear.binary,
    "classes": speed_linear.classes,
    "text": speed_linear.text,
    "wide": speed_linear.wide,
    "top": speed_linear.top,
    "diagnostics": speed_linear.diagnostics,
    "network": speed_networks.network,
    "post": speed_networks.post,
    "auto": speed_growth.auto,
    "growth": speed_growth.growth,
}
LIMIT = 900
"""Seconds for one case."""

HERE = Path(__file__).parent


@dataclass
class Setting:
    """What every case is told: small sizes, rounds, folder of the environments of peers."""

    quick: bool
    repeats: int
    rivals: str | None


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="*", choices=list(CASES), default=list(CASES), help="these cases alone")
    add("--quick", action="store_true", help="small sizes: a test of the benchmark, not of speed")
    add("--repeats", type=int, default=5, help="rounds at most")
    add("--cpu", action="store_true", help="CPU seconds on one thread, for busy machines")
    add("--rivals", metavar="FOLDER", help="environments of other packages, made if missing")
    add("--json", metavar="FILE", help="where numbers are kept (default: here; --quick: nowhere)")
    add("--rst", action="store_true", help="print the tables of the documentation")
    add("--readme", action="store_true", help="print the table of the README")
    add("--docs", action="store_true", help="write both where they belong in this checkout")
    add("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def child(args):
    """Run one case and write its lines, in a process of its own."""
    warnings.simplefilter("ignore")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (int(0.9 * pages), resource.RLIM_INFINITY))
    if args.cpu:
        clocks.count_cpu()
    (name,) = args.only
    rivals = None if args.rivals is None else str(Path(args.rivals).absolute())
    lines = []
    try:
        for line in CASES[name](Setting(args.quick, args.repeats, rivals)):
            lines.append(line)
            keep(lines, args.child)
            print(plain([line]).strip("\n"), file=sys.stderr, flush=True)
    except Exception as error:  # a case that fails is a line of the table
        traceback.print_exc()
        case = lines[-1].case if lines else name
        lines.append(Line(case, "failed", None, note=f"{type(error).__name__}: {error}"[:200]))
        keep(lines, args.child)


def keep(lines, file):
    """Write the lines so far: a process that is killed leaves them."""
    Path(file).write_text(json.dumps([line.kept() for line in lines]))


def run(name, args):
    """Return the lines of a case, from a process of its own."""
    threads = "1" if args.cpu else str(os.cpu_count())
    variables = {
        f"{one}_NUM_THREADS": os.environ.get(f"{one}_NUM_THREADS", threads)
        for one in ("OMP", "OPENBLAS", "MKL")
    }
    with tempfile.TemporaryDirectory() as made:
        found = Path(made) / "lines.json"
        command = [sys.executable, __file__, "--child", str(found), "--only", name]
        command += ["--repeats", str(args.repeats)]
        command += ["--quick"] * args.quick + ["--cpu"] * args.cpu
        command += ["--rivals", args.rivals] if args.rivals else []
        try:
            ended = subprocess.run(command, env=os.environ | variables, timeout=LIMIT).returncode
            why = f"with {ended}" if ended else None
        except subprocess.TimeoutExpired:
            why = f"after {LIMIT} s"
        lines = json.loads(found.read_text()) if found.exists() else []
        case = lines[-1]["case"] if lines else name
        return lines + [Line(case, f"ended {why}", None).kept()] * (why is not None)


def machine(args):
    """Return what ran, and where."""
    try:
        told = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line for line in told if line.startswith("model name")).split(":")[1].strip()
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    threads = "one thread" if args.cpu else f"{os.cpu_count()} cores"
    packages = ("skinfluence", "scikit-learn", "numpy", "scipy")
    return {
        "machine": f"{cpu}, {threads}",
        "unit": "CPU seconds" if args.cpu else "seconds",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "quick": args.quick,
        "repeats": args.repeats,
    }


def main():
    args = arguments()
    if args.child:
        child(args)
        return
    start = time.perf_counter()
    kept = Path(args.json) if args.json else None if args.quick else HERE / "speed.json"
    numbers = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    for name in args.only:
        numbers[name] = {"lines": run(name, args), "of": machine(args)}
        if kept is not None:
            kept.write_text(json.dumps(numbers, indent=1) + "\n")
    lines, intro = lines_of(numbers), said(numbers)
    if args.docs:
        write(rst(lines, intro), readme(lines, intro))
    if args.rst or args.readme:
        print(rst(lines, intro) if args.rst else readme(lines, intro), end="")
        return
    print(intro, plain(lines), sep="\n")
    missed = [line for line in lines if line.missed]
    barred = [line for line in lines if line.bar is not None]
    print(f"\n{len(missed)} of {len(barred)} bars missed; {time.perf_counter() - start:.0f} s")


def write(tables, table):
    """Put the tables into the documentation, and the one of the README between its marks."""
    root = HERE.parent
    (root / "doc" / "speed_measured.inc").write_text(tables)
    page = root / "README.rst"
    before, rest = page.read_text().split(".. speed: begin\n")
    after = rest.split(".. speed: end\n")[1]
    page.write_text(f"{before}.. speed: begin\n\n{table}\n.. speed: end\n{after}")


def lines_of(numbers):
    """Return the lines in the order of the cases."""
    return [
        Line(**{key: value for key, value in one.items() if key != "missed"})
        for name in CASES
        for one in numbers.get(name, {"lines": []})["lines"]
    ]


def said(numbers):
    """Return which machine and versions the numbers are of: one text, or one for some cases."""
    groups = {}
    for name in (name for name in CASES if name in numbers):
        of = numbers[name]["of"]
        versions = ", ".join(f"{k} {of[k]}" for k in ("python", "scikit-learn", "numpy", "scipy"))
        sizes = ", small sizes" if of["quick"] else ""
        text = f"{of['machine']}; {versions}; up to {of['repeats']} rounds, {of['unit']}{sizes}"
        groups.setdefault(text, []).append(name)
    if len(groups) == 1:
        return f"{next(iter(groups))}."
    return " ".join(f"{', '.join(names)}: {text}." for text, names in groups.items())


if __name__ == "__main__":
    main()
