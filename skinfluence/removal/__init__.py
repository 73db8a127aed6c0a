"""The parameters after edits of the training data: first order, Newton steps, exact minima.

With a_i = w_i dl/deta (K,) and G_i = w_i d2l/deta2 (K, K) of the row that leaves, minus those of
the row that comes, Q_i = J_i H^-1 J_i' (K, K), and what the weighting of the other rows pushes
along, E z_i (see `skinfluence.objectives.weighting`), an edit of one row changes the parameters by

    H^-1 (J_i' c_i + E z_i)

- first order: c_i = a_i (infinitesimal jackknife; Koh & Liang 2017);
- Newton: the row's own curvature leaves too. By Woodbury, with u_i = J_i H^-1 E z_i,

      (H - J_i' G_i J_i)^-1 (J_i' a_i + E z_i) = H^-1 (J_i' c_i + E z_i),
      c_i = (I - G_i Q_i)^-1 (a_i + G_i u_i)

  (Pregibon 1981 for K = 1 and z = 0, where it divides by 1 - h_i). The algebra: the correction is
  c = a + (I - GQ)^-1 G (Q a + u), and (I - GQ)^-1 G Q = (I - GQ)^-1 - I.
- guarded edits, whose Newton step is not trusted, carry their own change instead;
- exact minima are found a block of edits at a time, and not kept.

Groups of rows have a curvature each, and so steps of their own (`groups`). Models that are not
linear in their parameters take the same steps and a local refit (`local`).
"""

from skinfluence.removal.active_set import (
    ActiveSetGroups,
    NewtonSupportGroups,
    SupportGroups,
    changed_supports,
    on_active_set,
    warn_of_changed_supports,
)
from skinfluence.removal.base import (
    Counterfactuals,
    ProjectedEdits,
    Removal,
    require_changes,
)
from skinfluence.removal.case_diagnostics import Measures, measures
from skinfluence.removal.edits import Edits
from skinfluence.removal.exact import ExactRemoval, exact, minimise_after
from skinfluence.removal.groups import (
    ExactGroups,
    FirstOrderGroups,
    GroupRemoval,
    NewtonGroups,
)
from skinfluence.removal.nonlinear import (
    EvaluatedEdits,
    LocalRefits,
    ProximalRemoval,
    advice,
    nonlinear_newton,
)
from skinfluence.removal.nonlinear_groups import GroupSteps, LocalGroups
from skinfluence.removal.one_step import first_order, newton
from skinfluence.removal.projection import Projection, RowSpaceSolve
from skinfluence.removal.together import JointMinima, SummedEdits

__all__ = [
    "ActiveSetGroups",
    "Counterfactuals",
    "Edits",
    "EvaluatedEdits",
    "ExactGroups",
    "ExactRemoval",
    "FirstOrderGroups",
    "GroupRemoval",
    "GroupSteps",
    "JointMinima",
    "LocalGroups",
    "LocalRefits",
    "Measures",
    "NewtonGroups",
    "NewtonSupportGroups",
    "ProjectedEdits",
    "Projection",
    "ProximalRemoval",
    "Removal",
    "RowSpaceSolve",
    "SummedEdits",
    "SupportGroups",
    "advice",
    "changed_supports",
    "exact",
    "first_order",
    "measures",
    "minimise_after",
    "newton",
    "nonlinear_newton",
    "on_active_set",
    "require_changes",
    "warn_of_changed_supports",
]
