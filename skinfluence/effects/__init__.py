"""What edits of the training data do to targets of test rows, and to the edited rows."""

from skinfluence.effects.scores import Scorer
from skinfluence.effects.self_influence import left_out, left_out_where, self_effects
from skinfluence.effects.targets import Target, check_target, target_of
from skinfluence.effects.tracin import PathScorer, TrainingPath

__all__ = [
    "PathScorer",
    "Scorer",
    "Target",
    "TrainingPath",
    "check_target",
    "left_out",
    "left_out_where",
    "self_effects",
    "target_of",
]
