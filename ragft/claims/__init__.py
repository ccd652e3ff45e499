"""The ledger: what the articles assert, what records measured for it, and a verdict by rule.

`claims.yaml` holds the rows and how each is judged, written down before measuring. Knows
records only, so that it judges results made elsewhere too; pictures are `plotting`'s matter.
"""

from ragft.claims.ledger import Row, counts, ledger, table
from ragft.claims.rows import Claim, load_claims
from ragft.claims.verdicts import NOT_MEASURED, VERDICTS, Measured, verdict

__all__ = [
    "NOT_MEASURED",
    "VERDICTS",
    "Claim",
    "Measured",
    "Row",
    "counts",
    "ledger",
    "load_claims",
    "table",
    "verdict",
]
