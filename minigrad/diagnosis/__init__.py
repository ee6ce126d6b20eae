"""What is wrong with a run, and how one can tell.

`debug_training` trains under observation and says it; `diagnose` says it of a record that somebody else made.
"""

from minigrad.diagnosis.before_training import preflight
from minigrad.diagnosis.data import check_data, describe_data
from minigrad.diagnosis.debugging import Diagnosis, debug_training
from minigrad.diagnosis.evaluation import check_agreement, measure_evaluation
from minigrad.diagnosis.experiments import compare_rates, compare_targets
from minigrad.diagnosis.figure import draw
from minigrad.diagnosis.finding import CAUSES, Finding
from minigrad.diagnosis.gradient_flow import check_gradient_flow
from minigrad.diagnosis.losses import check_loss
from minigrad.diagnosis.rules import diagnose

__all__ = [
    "CAUSES",
    "Diagnosis",
    "Finding",
    "check_agreement",
    "check_data",
    "check_gradient_flow",
    "check_loss",
    "compare_rates",
    "compare_targets",
    "debug_training",
    "describe_data",
    "diagnose",
    "draw",
    "measure_evaluation",
    "preflight",
]
