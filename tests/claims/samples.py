"""Rows and intervals that the tests of the ledger judge."""

from dataclasses import replace

from ragft.claims import Claim, Measured

ROW = {
    "id": "Z1",
    "group": "freshness",
    "article": "A",
    "claim": "an old index finds less",
    "figure": "-19 points",
    "quantity": "precision, old minus new",
    "measured": "precision_drop",
    "scope": "system",
    "effect": "difference",
    "direction": -1,
    "claimed": -0.19,
    "margin": 0.02,
    "unit": "points",
}
DROP = Claim(**ROW)
OPEN = replace(DROP, figure="", claimed=None)
RATIO = replace(DROP, effect="ratio", direction=1, claimed=3.2, margin=0.1, unit="ratio")
LEVEL = replace(DROP, effect="level", direction=0, claimed=0.97, margin=0.02, unit="share")


def between(low, high, **changes):
    return Measured((low + high) / 2, low, high, **{"n": 9, "model": "a/model", **changes})
