"""`prompt`: the model alone, closed book; the floor of every comparison."""

from __future__ import annotations

from ragft.arms.base import ModelArm


class Prompt(ModelArm):
    """Ask the model without passages, demonstrations or training."""

    name = "prompt"
