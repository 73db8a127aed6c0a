"""What can be asked of the command, and its help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from skinfluence.command.pipelines import MODELS
from skinfluence.inspection.report.findings import SEVERITIES

PAGE, DEMO_PAGE = "skinfluence-report.html", "skinfluence-demo.html"

EXIT_CODES = """\
exit codes:
  0    done
  1    done, and a finding is as severe as --fail-on says, or worse
  2    the input cannot be used: the standard error says why and what to do
  130  interrupted; no file is left half written
"""

DESCRIPTION = """\
Which rows of a table made a model predict what it predicts, which of them hurt, and which labels
look wrong. Tables are CSV (separated by commas, semicolons, tabs or bars) or Parquet, gzipped or
not; "-" is the standard input. Rows are named by the lines of the file. Inputs are never changed.
"""

EXAMPLES = """\
examples:
  skinfluence demo
  skinfluence report train.csv --target price
  skinfluence report train.csv --target churn --test test.csv --model boosting --fail-on high
  skinfluence audit labels.tsv --target label --json audit.json
  zcat big.csv.gz | skinfluence report - --target y --max-rows 20000
"""

REPORT = """\
Fit a model to a table, and say which of its rows help and hurt the predictions for others: on the
terminal, and on a page that needs nothing but a browser. Scores are held against real refits.
"""

AUDIT = """\
Judge the target of every row by a model that never saw the row; the most suspect first. Nothing is
changed.
"""

DEMO = """\
A report and an audit of breast cancer data that come with scikit-learn, 12 labels of which are
swapped on purpose. Takes some seconds.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    whole = _parser(
        argparse.ArgumentParser, prog="skinfluence", description=DESCRIPTION, examples=EXAMPLES
    )
    whole.add_argument("--version", action="version", version=f"skinfluence {_version()}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    report = _parser(
        commands.add_parser,
        "report",
        help="which rows help and hurt, on a page",
        description=REPORT,
        examples="example:\n  skinfluence report train.csv --target price --html price.html\n",
    )
    _about_the_table(report, "training rows that are shown, and looked into (20)")
    report.add_argument(
        "--test", metavar="FILE", help="rows to predict; without, a quarter of TRAIN is held out"
    )
    report.add_argument("--html", metavar="F", default=PAGE, help=f"the page ({PAGE})")
    report.add_argument("--json", metavar="F", help="the numbers, too")
    report.add_argument(
        "--check",
        metavar="N",
        type=_number(0),
        default=30,
        help="rows that are removed and refitted to check the scores (30); 0 for no check",
    )
    report.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        help="end with code 1 where a finding is as severe as that, or worse",
    )
    audit = _parser(
        commands.add_parser,
        "audit",
        help="which labels look wrong",
        description=AUDIT,
        examples="example:\n  skinfluence audit reviews.csv --target stars --top 50\n",
    )
    _about_the_table(audit, "rows that are shown (20)")
    audit.add_argument("--json", metavar="F", help="the numbers, of every row")
    demo = _parser(
        commands.add_parser,
        "demo",
        help="both, on data that come with scikit-learn",
        description=DEMO,
        examples="",
    )
    demo.add_argument("--html", metavar="F", default=DEMO_PAGE, help=f"the page ({DEMO_PAGE})")
    return whole


def _parser(make: object, *names: str, examples: str, **options: object) -> argparse.ArgumentParser:
    assert callable(make)
    parser: argparse.ArgumentParser = make(
        *names,
        epilog=f"{examples}\n{EXIT_CODES}" if examples else EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **options,
    )
    return parser


def _about_the_table(parser: argparse.ArgumentParser, top: str) -> None:
    parser.add_argument("train", metavar="TRAIN", help='the table, CSV or Parquet; "-" for stdin')
    parser.add_argument("--target", metavar="COLUMN", required=True, help="what is predicted")
    parser.add_argument(
        "--model",
        choices=MODELS,
        default="auto",
        metavar="MODEL",
        help=f"{', '.join(MODELS)}; auto is logistic for classes, ridge for numbers",
    )
    parser.add_argument("--top", metavar="N", type=_number(1), default=20, help=top)
    parser.add_argument(
        "--max-rows", metavar="N", type=_number(1), help="so many rows alone, at random (seed 0)"
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_number(1),
        help="threads and processes (2; 1 for tables of up to a million cells, where a second "
        "process costs more than it gives)",
    )


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} was given; {least} or more is accepted")
        return value

    return number


def _version() -> str:
    try:
        return version("skinfluence")
    except PackageNotFoundError:
        return "(not installed)"
