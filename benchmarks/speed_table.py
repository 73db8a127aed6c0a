"""Lines of the table of speed.py, and how it is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Line:
    """What was measured.

    Parameters
    ----------
    case : str
        Data, shape and model.
    what : str
        What was timed, over what.
    value : float or None
        None where there is none; `note` says why.
    unit : str
        "x" for ratios, "GiB", "exponent", "s".
    bar : float or None
        What is to be reached.
    least : bool
        Whether `bar` is the least value that reaches it, and not the largest.
    note : str
        Seconds that the ratio is of, agreement, what else there is to say.
    """

    case: str
    what: str
    value: float | None
    unit: str = "x"
    bar: float | None = None
    least: bool = False
    note: str = ""

    @property
    def missed(self):
        if self.bar is None or self.value is None:
            return False
        return self.value < self.bar if self.least else self.value > self.bar

    @property
    def cells(self):
        bar = ""
        if self.bar is not None:
            unit = "" if self.unit == "exponent" else f" {self.unit}"
            bar = f"{'>=' if self.least else '<='} {self.bar:g}{unit}"
        value = "no ratio" if self.value is None else shown(self.value, self.unit)
        return [self.what, bar, f"{value}, **missed**" if self.missed else value, self.note]

    def kept(self):
        return asdict(self) | {"missed": self.missed}


def shown(value, unit):
    """Return a number with its unit, in two to three digits."""
    digits = 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    text = f"{value:,.{digits}f}"
    return text if unit == "exponent" else f"{text} {unit}"


def seconds(value):
    """Return seconds as text, three digits."""
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


HEADER = ("what", "bar", "measured", "seconds and agreement")


def plain(lines):
    """Return the table as text for a terminal."""
    out, last = [], None
    for line in lines:
        if line.case != last:
            out += ["", line.case]
            last = line.case
        what, bar, value, note = line.cells
        out.append(f"  {what:<62s} {bar:<10s} {value:<18s} {note}")
    return "\n".join(out)


def rst(lines, intro):
    """Return the tables of the documentation, one for each case."""
    out, last = [intro], None
    for line in lines:
        if line.case != last:
            out += ["", f".. csv-table:: {line.case}", f"   :header: {', '.join(HEADER)}"]
            out += ["   :widths: 36 10 14 40", ""]
            last = line.case
        out.append(row(line.cells))
    return "\n".join(out) + "\n"


def readme(lines, intro):
    """Return one table without notes."""
    header = ", ".join(("case", *HEADER[:3]))
    out = [intro, "", ".. csv-table::", f"   :header: {header}", "   :widths: 30 42 10 18", ""]
    last = None
    for line in lines:
        out.append(row([line.case if line.case != last else "", *line.cells[:3]]))
        last = line.case
    return "\n".join(out) + "\n"


def row(cells):
    return "   " + ", ".join('"' + cell.replace('"', '""') + '"' for cell in cells)
