"""Numbers that trade time for memory, or say when a thing is close enough: one frozen object.

Code asks `tuning()` where it needs one; tests set some for a while with `tuned`. Results depend on
none of them but within the tolerance each is about, and never on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tuning:
    """The numbers, with the measurement or the reason that chose each."""

    block_elements: int = 2**21
    """Numbers held by one temporary of a blocked product (16 MiB of float64)."""

    target_elements: int = 2**15
    """Raw predictions of a piece whose temporaries stay in the cache (256 KiB each)."""

    cg_elements: int = 2**24
    """Numbers of right-hand sides that are solved for at once (128 MiB)."""

    row_solve_elements: int = 2**23
    """Numbers of an array of rows by others (64 MiB), of which a solve has about five."""

    fewest_row_solves: int = 256
    """Others that are met at once at least, for the products to be fast."""

    refit_elements: int = 2**22
    """Raw numbers of the passes of edits that are refitted together (32 MiB)."""

    kept_pass_elements: int = 2**24
    """Numbers of the passes, there and back, kept from one product to the next (128 MiB)."""

    hinge_elements: int = 2**24
    """Numbers of X that are copied at once for the curvature."""

    tile: int = 512
    """Rows or columns of a product that are added or mirrored at once: the caches hold them."""

    common_columns: int = 20
    """A row (or column) of a sparse X with more than one in so many entries is taken as a dense
    one.

    A pair of entries takes a sparse product about 8 ns and a dense one, which takes all pairs, 18
    ps: they cost the same where one in 20 entries is there. Text has a few hundred such columns
    (words of the language), with most of the pairs.
    """

    dominant_rows: int = 3_000
    """Rows of Z at most: its factor takes no more than two products with 20 columns of 10,000
    rows.
    """

    subsampled_share: float = 0.99
    """Part of the curvature of a pair of classes that its heaviest rows make up.

    On ten classes of MNIST these are a tenth of the rows, and conjugate gradients reach 1e-8 after
    five products; .95 is a twentieth and takes six, .8 a fiftieth and nine.
    """

    subsampled_rcond: float = 1e-7
    """Reciprocal condition number, after scaling, below which single precision is not to be
    trusted.
    """

    subsampled_params: int = 15_000
    """Parameters of a block up to which a subsampled Hessian is factorised (1 GiB)."""

    approximate_work: float = 5e8
    """Multiplications of a matrix below which nothing is saved by what is only close to it."""

    formed_work: float = 3e11
    """Multiplications for which a Hessian is formed."""

    network_params: int = 2_000
    """Parameters of a network (or rows times outputs) up to which a matrix is always formed."""

    network_work: float = 5e11
    """Multiplications for which a network's is formed and factorised, ten seconds on two cores.

    benchmarks/networks.py prints what both ways take. A factor is worth more than the one question
    it was made for: Newton steps and self-influence solve for every row.
    """

    free_params: int = 32
    """Parameters without penalty up to which conjugate gradients converge as if there were none."""

    stale_products: int = 12
    """Products of one solve from which on a preconditioner is made anew at other parameters."""

    dense_eigenvalue_params: int = 400
    """Parameters up to which the smallest eigenvalue is taken from the whole matrix."""

    arnoldi_small: int = 100
    """Parameters up to which all eigenpairs are taken."""

    arnoldi_dense: int = 4
    """Share of the eigenpairs (one in so many) from which on all are taken, of a matrix in full."""

    nystroem_start: int = 64
    """Rank of the first sketch where none is asked for."""

    trusted_shift: float = 0.5
    """Rows whose own raw prediction moves further than this are minimised on their own.

    In units of the loss's `curvature_scale`: a Newton step assumes that the curvature stays as it
    is, and over one unit it may change by a factor e. benchmarks/newton_error.py prints the
    relative error of one step against refits: with n = 150, p = 60 its median is .01 below half a
    unit, .03 up to one, .05 to .06 up to two, .1 up to four, .2 to .3 beyond, at leverages
    anywhere between .2 and .9, so leverage is the poorer guide. A line search along the step
    leaves nearly all of the error: its direction is wrong, not its length.
    """

    trusted_next_step: float = 0.03
    """Rows or groups whose next Newton step is longer than this part of the first are minimised.

    In the norm of the curvature (`removal.guard`), in which it is what the first is off by. Effects
    on test rows may be off by up to ten times as much: where they lie along directions that hardly
    anything bends. Of the effects above a twentieth of the largest, of machines, robust and
    logistic models on ten data sets (benchmarks/newton_error.py prints the like), the worst that
    passes is off by .15; at .04 by .21 and at .05 by .54.
    """

    negligible_step: float = 0.01
    """Rows whose step is shorter than this part of the root mean square are not looked at for that.

    If all of them were off by as much as they move, .01 of all scores would be off.
    """

    guard_rtol: float = 1e-4
    """Gradient at which a guarded row is done: far below the error of rows without a guard."""

    down_date_rcond: float = 1e-5
    """Reciprocal condition number of I - G Q below which a down-date has lost too many digits."""

    polishing_rounds: int = 10
    """Times the preconditioner is made anew while such a model is moved."""

    trust_region_steps: int = 300
    """Steps that a function may take: a removal may send a network down a long valley."""

    hinge_factor_size: int = 3000
    """Rows near the margin and features above which a step is solved by conjugate gradients."""

    dense_rate: float = 3e10
    """Multiplications a second in double precision, with a dense X."""

    sparse_rate: float = 5e8
    """The same with a sparse one."""

    patience: float = 5.0
    """Seconds after which a person who waits is told what is being done, and how long it takes."""

    edit_elements: int | None = None
    """Numbers of a temporary of the exact iteration; None: by the memory there is."""


_current = Tuning()


def tuning() -> Tuning:
    """Return the numbers in force, the same in every thread."""
    return _current


@contextmanager
def tuned(**numbers: float | None) -> Iterator[None]:
    """Put other numbers in force for a while, in the whole process."""
    global _current
    before = _current
    _current = replace(before, **numbers)  # type: ignore[arg-type]
    try:
        yield
    finally:
        _current = before
