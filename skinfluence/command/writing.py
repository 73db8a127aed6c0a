"""Files that are written whole or not at all, and never over what was read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from skinfluence.command.refusal import Refusal


def output_file(option: str, given: str, inputs: Sequence[str]) -> Path:
    """Return where to write, once it is known that this can be done, and harms no input.

    Parameters
    ----------
    option : str
        Which asked for it, as messages have it.
    given : str
    inputs : sequence of str
        What is read; "-" is the standard input.

    Returns
    -------
    Path

    Raises
    ------
    Refusal
        For one of the inputs, a folder, and a folder that is not there or is closed.
    """
    path = Path(given)
    folder = path.parent
    if not given or path.is_dir():
        raise Refusal(f"{option} {given!r} is a folder; the name of a file is accepted.")
    for each in inputs:
        if each != "-" and path.exists() and Path(each).exists() and path.samefile(each):
            raise Refusal(
                f"{option} {given} is {each}, which is read; inputs are never written to. Pass "
                "another name."
            )
    if not folder.is_dir():
        raise Refusal(
            f"{option} {given}: the folder {folder} is not there. Make it first, or pass another."
        )
    if not os.access(folder, os.W_OK):
        raise Refusal(
            f"{option} {given}: the folder {folder} cannot be written to. Pass another."
        )
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name to write under, which becomes `path` once all is written, and else goes.

    Parameters
    ----------
    path : Path
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):  # a device, a pipe
        yield path
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Refusal(f"{path} cannot be written: {why}. Nothing is left of it.") from error
    finally:
        part.unlink(missing_ok=True)
