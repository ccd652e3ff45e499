"""Pictures: a DataFrame in, a Figure out, in one style that is applied locally.

Arms have a colour and a marker, outcomes a colour, upkeep a line style. Nothing is
computed here beyond positions on the paper; intervals come with the frame.
"""

from ragft.plotting.bars import outcomes, outcomes_by_condition
from ragft.plotting.behaviour import behaviour_bars, learning_curves
from ragft.plotting.claim_rows import VERDICTS
from ragft.plotting.days import over_days
from ragft.plotting.doses import dose_response
from ragft.plotting.drift import drift_curves
from ragft.plotting.exposure import memorised
from ragft.plotting.forest import forest
from ragft.plotting.forgetting import learning_forgetting
from ragft.plotting.heat import size_by_noise
from ragft.plotting.load import load_curves
from ragft.plotting.memory import memory_split
from ragft.plotting.overview import HERO_LINES, hero
from ragft.plotting.planes import cost_accuracy
from ragft.plotting.positions import position_curve
from ragft.plotting.retrieval import found_and_right, stage_scores
from ragft.plotting.risk import risk_coverage
from ragft.plotting.search import search_curves
from ragft.plotting.stages import stage_curves
from ragft.plotting.style import (
    ARMS,
    OUTCOMES,
    RC,
    UPKEEP,
    WIDTH,
    Look,
    caption,
    look,
    save,
    styled,
)
from ragft.plotting.upkeep import freshness, stale_share
from ragft.plotting.verdicts import ledger

__all__ = [
    "ARMS",
    "HERO_LINES",
    "OUTCOMES",
    "RC",
    "UPKEEP",
    "VERDICTS",
    "WIDTH",
    "Look",
    "behaviour_bars",
    "caption",
    "cost_accuracy",
    "dose_response",
    "drift_curves",
    "forest",
    "found_and_right",
    "freshness",
    "hero",
    "learning_curves",
    "learning_forgetting",
    "ledger",
    "load_curves",
    "look",
    "memorised",
    "memory_split",
    "outcomes",
    "outcomes_by_condition",
    "over_days",
    "position_curve",
    "risk_coverage",
    "save",
    "search_curves",
    "size_by_noise",
    "stage_curves",
    "stage_scores",
    "stale_share",
    "styled",
]
