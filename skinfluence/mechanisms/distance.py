"""How far a fit stopped from its optimum: said where it matters, refused where it is absurd."""

from __future__ import annotations

from sklearn.exceptions import ConvergenceWarning

from skinfluence.mechanisms.contract import Settings
from skinfluence.minimisers.distance import Refinement
from skinfluence.process.warnings import warn

FAR = 0.1
"""Newton decrement, in units of the sampling noise, from which on to warn."""

FOREIGN = 0.5
"""The same for a frozen model that was surely fitted on something else: a fit on another sample of
the same population is about 1 away."""

NOT_ITS_OWN = "not look like the rows, weights or hyper-parameters this model was fitted with"

STOPPED = "stopped before its stationary point"
"""In every warning of a fit that did."""

_OF_NETWORKS = (
    ". Networks stop early whatever their tol; L-BFGS with several targets above all, whose line "
    "search is given the mean over the targets of what its gradient sums."
)


def unsure(settings: Settings) -> bool:
    """Return whether the rows may be others than the model was fitted on."""
    return settings.frozen and settings.refine is not True


def look_at_distance(
    refinement: Refinement, settings: Settings, *, moves: bool, convergent: bool = True
) -> None:
    """Warn of a fit that stopped far from its optimum; refuse one on surely other rows.

    Parameters
    ----------
    refinement : Refinement
        As measured at the fitted parameters.
    settings : Settings
    moves : bool
        Scores are computed at the stationary point, not there.
    convergent : bool
        A fit of this kind ends near its optimum unless it runs out of iterations.
    """
    far, name = refinement.relative_distance, settings.name
    stopped = settings.out_of_iterations or not convergent
    if unsure(settings) and far > FOREIGN and not stopped:
        raise ValueError(
            f"The fitted {name} is {far:,.2g} times the sampling noise away from its optimum on "
            f"these rows (Newton decrement; another sample would be about 1 away): these do "
            f"{NOT_ITS_OWN}, or it did not converge. Pass what it was fitted with, fit it with a "
            "smaller tol or a larger max_iter, or pass refine=True to score the optimum on these "
            "rows instead."
        )
    if far > FAR:
        network = refinement.objective.kind == "network"
        consequence = (
            "Scores are those of the stationary point, which estimator_ is not"
            if moves
            else "Scores are first derivatives at a point where the gradient is not zero (its norm "
            f"is {refinement.gradient_norm:.2g}); pass refine=True to move a copy to the minimum"
        )
        more = "fit with a smaller tol or a larger max_iter."
        consequence += _OF_NETWORKS if network else f"{'; ' if moves else ', or '}{more}"
        stop = f"{name} {STOPPED}"
        doubt = f" If it did converge, these do {NOT_ITS_OWN}." if unsure(settings) else ""
        if doubt and not stopped:  # nothing speaks for the fit as the reason
            stop, doubt = f"These do {NOT_ITS_OWN}, or {stop}", ""
        warn(
            f"{stop}: it is {far:,.2g} times the sampling noise away (Newton decrement). "
            f"{consequence}{doubt}",
            ConvergenceWarning,
        )
