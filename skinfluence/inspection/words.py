"""What changes are called: of a loss, of the support for a class, of a number."""

from __future__ import annotations

_TARGETS = {
    "predict": "prediction",
    "predict_proba": "probability",
    "decision_function": "decision function",
    "linear_predictor": "linear predictor",
}
_WORDS = {
    "loss": ("helps", "harms"),
    "class": ("supports", "opposes"),
    "number": ("raises", "lowers"),
}


def plain_number(number: float, digits: str = ".2g") -> str:
    """Return a relative error, or a noise, as a person reads it: no powers of ten.

    Parameters
    ----------
    number : float
    digits : str
        Format below 10.

    Examples
    --------
    >>> from skinfluence.inspection.words import plain_number
    >>> plain_number(0.123), plain_number(10.2), plain_number(7e58)
    ('0.12', '10', '> 1000')
    """
    if number > 1000.0:
        return "> 1000"
    return f"{number:.0f}" if number >= 10.0 else format(number, digits)


def kind_of(target: str) -> str:
    """Return what a target is: "loss", "class" (probability or decision of one) or "number"."""
    if target in ("predict_proba", "decision_function"):
        return "class"
    return "loss" if target == "loss" else "number"


def target_words(target: str) -> str:
    """Return what a target is called."""
    return _TARGETS.get(target, target)


def effect_words(kind: str, *, coming: bool = False) -> tuple[tuple[str, str], int]:
    """Return what rows do to a target, and the sign of the scores of those that do the first.

    Scores are of a target after a change minus before. Where the change takes a row away
    (not `coming`), the row does the opposite of its removal: it helps where the loss would grow.

    Parameters
    ----------
    kind : {"loss", "class", "number"}
    coming : bool
        Whether rows (or labels) come that are not there.
    """
    first, second = _WORDS[kind]
    sign = 1 if kind == "loss" else -1
    if not coming:
        return (first, second), sign
    return (f"would {first.removesuffix('s')}", f"would {second.removesuffix('s')}"), -sign
