"""What a record keeps of a model on a server: which it was, and what asking took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft import models
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

    from ragft.generation.server import ServerModel

NOTE = "server"
"""Where notes of a cell, parameters and results have it; absent where the model runs here."""


@dataclass(frozen=True)
class Served:
    """The server of an experiment, if there is one."""

    model: ServerModel | None

    @classmethod
    def of(cls, sizes: Profile) -> Served:
        """Return the server that a profile names; it is asked what it offers."""
        if not models.is_server(sizes.model):
            return cls(None)
        from ragft.generation.catalog import load_model

        return cls(load_model(sizes.model))

    def told(self) -> dict[str, Any]:
        """Return what can be known of the model."""
        return {} if self.model is None else {NOTE: self.model.identity}

    def counted(
        self, compute: Callable[..., tuple[pd.DataFrame, Any]], cell: tuple
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Compute a cell, and note its tries, failures and waits."""
        if self.model is None:
            return compute(*cell)
        before = self.model.counts.to_dict()
        frame, notes = compute(*cell)
        return frame, {**notes, NOTE: self.model.counts.since(before)}

    def summed(self, notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Take the counts out of all cells' notes, and return their sum."""
        found = [note.pop(NOTE) for note in notes if NOTE in note]
        if not found:
            return {}
        failures = sum((Counter(one["failures"]) for one in found), Counter())
        sums = {name: sum(one[name] for one in found) for name in found[0] if name != "failures"}
        return {NOTE: {**sums, "failures": dict(sorted(failures.items()))}}
