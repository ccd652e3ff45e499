"""`placebo`: the same tuning on other subjects' facts, so that what tuning as such does shows.

Knowledge gained = finetuned − placebo.
"""

from __future__ import annotations

from ragft.arms.finetuned import Tuned


class Placebo(Tuned):
    """Answer from the weights after training on facts that are not asked."""

    name = "placebo"
    teaches = "other_facts"
