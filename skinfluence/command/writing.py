"""Where files are written: never over what was read, and known before the work begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
        For one of the inputs, for what is no file, and for a folder that is not there or closed.
    """
    path = Path(given)
    folder = path.parent
    if not given or path.is_dir():
        raise Refusal(f"{option} {given!r} is a folder; the name of a file is accepted.")
    if path.exists() and not path.is_file():
        raise Refusal(f"{option} {given} is a device or a pipe; the name of a file is accepted.")
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
        raise Refusal(f"{option} {given}: the folder {folder} cannot be written to. Pass another.")
    return path
