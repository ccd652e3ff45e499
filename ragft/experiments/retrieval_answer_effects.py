"""The numbers that the ledger reads from ways of searching and what they are worth to the answers.

Where the best of several ways is compared with another, it is picked on one half of the clusters
and compared on the other, since the best on the same questions is partly luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.evaluation.statistics import Interval, mean_interval
from ragft.experiments import effects
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

WAY = ("retriever", "top_k", "strategy", "size", "overlap")
COLUMNS = ["corpus", *WAY]
"""What tells the cells apart."""
MEASURES = ("found", "accuracy", "hallucination", "abstained")
SINGLE = ("bm25", "dense")
Ways = Sequence[Mapping[str, Any]]


def quantities(rated: pd.DataFrame, searches: Ways, cuts: Ways, sizes: Profile) -> dict[str, Any]:
    """Return every effect that the experiment can tell.

    Parameters
    ----------
    rated : DataFrame
        One row per corpus × way × question: `COLUMNS`, seed, question_id, cluster, `MEASURES`.
    searches, cuts : sequence of mapping
        The ways, with the fields of `WAY`.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, method, `unit` and `corpus`. 'NAME@CORPUS' is one corpus's
        own; 'NAME' is over the questions of all, one weight each.
    """
    # Questions of different corpora may have one id, and clusters one name. What has no
    # supporting document cannot be found, so it says nothing about a search.
    rated = rated[rated["found"].notna()]
    rated = rated.assign(
        **{k: rated["corpus"] + "/" + rated[k] for k in ("question_id", "cluster")}
    )
    found: dict[str, Any] = {}
    for name in ("", *dict.fromkeys(rated["corpus"])):
        part = rated if not name else rated[rated["corpus"] == name]
        told = _Told(part, sizes)
        suffix = f"@{name}" if name else ""
        corpus = ", ".join(dict.fromkeys(part["corpus"]))
        for unit, made in (("points", told.differences(searches, cuts)), ("share", told.shares())):
            named = {f"{key}{suffix}": one for key, one in made.items()}
            found |= effects.quantities(named, unit, corpus=corpus)
    return found


class _Told:
    """The effects on the questions of some corpora."""

    def __init__(self, rows: pd.DataFrame, sizes: Profile) -> None:
        self.rows, self.sizes = rows, sizes

    def way(self, way: Mapping[str, Any]) -> pd.DataFrame:
        """Return the rows of one way."""
        same = np.ones(len(self.rows), dtype=bool)
        for field in WAY:
            same &= (self.rows[field] == way[field]).to_numpy()
        return self.rows[same]

    def differences(self, searches: Ways, cuts: Ways) -> dict[str, Interval | None]:
        """R2, R3, R5 and R7."""
        found = {"accuracy_minus_recall": self._minus_recall(searches)}
        found["accuracy_hybrid_minus_single"] = self._hybrid_minus_single(searches)
        found["accuracy_best_minus_recall_choice"] = self._picked(
            searches, ("accuracy", "max"), ("found", "max")
        )
        found["accuracy_best_minus_worst_chunking"] = self._picked(
            cuts, ("accuracy", "max"), ("accuracy", "min")
        )
        return found

    def shares(self) -> dict[str, Interval | None]:
        """Accuracy over all ways where a right document was shown, and where none was."""
        parts = {
            "accuracy_found": self.rows[self.rows["found"] == 1],
            "accuracy_not_found": self.rows[self.rows["found"] == 0],
        }
        options = (self.sizes.level, self.sizes.n_boot)
        return {
            name: mean_interval(part["accuracy"], part["cluster"], *options) if len(part) else None
            for name, part in parts.items()
        }

    def _minus_recall(self, searches: Ways) -> Interval | None:
        """R7: accuracy minus the share of questions whose document was shown, over all searches."""
        parts = [self.way(way) for way in searches]
        if not parts:
            return None
        import pandas as pd

        rows = pd.concat(parts)
        keys = ["seed", "question_id", "cluster"]
        means = rows.groupby(keys, sort=False)[["accuracy", "found"]].mean().reset_index()
        pair = [means.assign(score=means[name]) for name in ("accuracy", "found")]
        return effects.difference(*pair, "score", self.sizes)

    def _hybrid_minus_single(self, searches: Ways) -> Interval | None:
        """R2: accuracy, hybrid minus the better of the two, at the largest number of passages.

        The better one is chosen on the very questions that are compared, which favours it.
        """
        if not searches:
            return None
        most = max(way["top_k"] for way in searches)
        parts = {way["retriever"]: self.way(way) for way in searches if way["top_k"] == most}
        if not {"hybrid", *SINGLE} <= set(parts):
            return None
        better = max(SINGLE, key=lambda name: parts[name]["accuracy"].mean())
        return effects.difference(parts["hybrid"], parts[better], "accuracy", self.sizes)

    def _picked(self, ways: Ways, one: tuple[str, str], two: tuple[str, str]) -> Interval | None:
        """Return the accuracy of two ways, one − two, each picked by (score, 'max' or 'min').

        Of each corpus by itself, on half of its clusters; the first of equal ways, which are in
        order of what they cost.
        """
        if len(ways) < 2:
            return None
        import pandas as pd

        halves: tuple[list[pd.DataFrame], ...] = ([], [])
        for _, part in self.rows.groupby("corpus", sort=False):
            mine = _Told(part, self.sizes)
            picked_on = effects.drawn_half(part["cluster"])
            rows = [mine.way(way) for way in ways]
            for half, (score, end) in zip(halves, (one, two), strict=True):
                means = [way[way["cluster"].isin(picked_on)][score].mean() for way in rows]
                best = rows[int(np.argmax(means) if end == "max" else np.argmin(means))]
                half.append(best[~best["cluster"].isin(picked_on)])
        return effects.difference(*map(pd.concat, halves), "accuracy", self.sizes)
