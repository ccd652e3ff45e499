"""How long every stage of an answer takes at least: its counted work over measured rates.

Counted is what cannot be avoided: every weight and every vector read once, every product computed.
BM25, tokenising and the arms' own code count as nothing, so that a floor never lies too high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ragft.experiments.rates import Rates
from ragft.generation.shapes import SHAPES, Shape, shape_of
from ragft.retrieval import first_look
from ragft.retrieval.ann import index_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ragft.arms.base import Arm

COUNTED = ("embed", "search", "prefill", "decode")
"""Stages whose work is counted."""
DOCUMENTS = 12_000_000
"""Of the corpus that claim L1 is about."""
LARGE = SHAPES["Llama-3.1-8B"]
"""The shape to which times are extrapolated."""


@dataclass(frozen=True)
class Work:
    """What a stage does for one question."""

    operations: float = 0.0
    """A multiply-add counts as two."""
    bytes_read: float = 0.0
    working_set: float = 0.0
    """Bytes that it reads over and over, from step to step or from question to question."""

    def floor_ms(self, rates: Rates) -> float:
        """Return the least time on a machine of these rates, in milliseconds."""
        return 1000 * rates.floor_seconds(self.operations, self.bytes_read, self.working_set)


def exact_search(vectors: int, dimension: int, together: int = 1) -> Work:
    """Return the work of comparing a question, one of several together, with every vector."""
    if first_look.pays(together, vectors, 1):
        held = first_look.code_bytes(vectors, dimension)
        return Work(0, held / together, held)  # how fast codes are multiplied is not measured
    held = index_bytes(vectors, dimension)
    return Work(2 * vectors * dimension, held / together, held)


@dataclass(frozen=True)
class Point:
    """One point of a sweep: what the work of its stages depends on. Tokens are means."""

    shape: Shape | None
    """Of the language model; None where its kind is not known, or it is on a server: nothing is
    counted then."""
    prompt_tokens: float
    completion_tokens: float
    together: int = 1
    """Questions answered at once: they share the reading of weights and vectors."""
    number_bytes: int = 4
    """Of a weight."""
    question_tokens: float = 0.0
    """As the embedding model counts them."""
    encoder_weights: int = 0
    """Of the matrices of the embedding model, through which every token goes."""
    vectors: int = 0
    """That a question is compared with; 0: none are searched."""
    dimension: int = 0

    def work(self) -> dict[str, Work]:
        """Return the work of every stage that is counted, a question's share of it."""
        stages = {}
        if self.vectors:
            stages = {"embed": self._embed(), "search": self._search()}
        if self.shape is not None:
            stages |= {"prefill": self._prefill(self.shape), "decode": self._decode(self.shape)}
        return stages

    def _embed(self) -> Work:
        held = 4 * self.encoder_weights
        operations = 2 * self.encoder_weights * self.question_tokens
        return Work(operations, held / self.together, held)

    def _search(self) -> Work:
        return exact_search(self.vectors, self.dimension, self.together)

    def _prefill(self, shape: Shape) -> Work:
        held = shape.layer_weights * self.number_bytes
        return Work(shape.prefill_operations(self.prompt_tokens), held / self.together, held)

    def _decode(self, shape: Shape) -> Work:
        steps = max(self.completion_tokens - 1, 0)  # the first token comes with the prompt
        context = self.prompt_tokens + steps / 2
        size = {"batch": self.together, "size": self.number_bytes}
        step = shape.decode_bytes(context, **size)
        read = step * steps / self.together
        return Work(shape.decode_operations(context) * steps, read, step)

    def to_dict(self) -> dict[str, Any]:
        """Return the point as a record keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Point:
        """Return a point as it was recorded."""
        return cls(**{**row, "shape": row["shape"] and Shape(**row["shape"])})


def point_of(arm: Arm, rows: pd.DataFrame, texts: Sequence[str], together: int) -> Point:
    """Return the point at which an arm was measured.

    Parameters
    ----------
    arm : Arm
        One that asks a model, and may search.
    rows : pandas.DataFrame
        `prompt_tokens` and `completion_tokens` of its answers.
    texts : sequence of str
        The questions.
    together : int
        How many of them at once.
    """
    tokens = [float(rows[name].mean()) for name in ("prompt_tokens", "completion_tokens")]
    if arm.remote:
        point = Point(None, *tokens, together)
    else:
        network = arm.model.network
        size = next(network.parameters()).element_size()
        point = Point(shape_of(network.config), *tokens, together, size)
    library = getattr(arm, "library", None)
    if library is None or library.index.retriever == "bm25" or not library.index.passages:
        return point
    weights, tokens = library.index.embedder.counted(texts)
    return replace(
        point,
        question_tokens=tokens,
        encoder_weights=weights,
        vectors=len(library.index.passages),
        dimension=library.index.embedder.dimension,
    )


def floors(point: Point, rates: Rates, means: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row for every stage whose work is counted and that took time.

    Parameters
    ----------
    point : Point
    rates : Rates
    means : mapping
        Mean milliseconds of every stage.

    Returns
    -------
    list of dict
        `stage`, `floor` and `mean` (milliseconds), and `over`, the second by the first.
    """
    rows = []
    for stage, work in point.work().items():
        floor, mean = work.floor_ms(rates), float(means[stage])
        if floor > 0 and mean > 0:
            rows.append({"stage": stage, "floor": floor, "mean": mean, "over": mean / floor})
    return rows


def extrapolated(point: Point, rates: Rates, means: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return what stages would take with many more documents, and with a much larger model.

    Two readings of the same measurement, on this machine and in this precision, were its memory
    large enough: a stage stays as many milliseconds above its floor as it was measured to be
    (`low`: what is not counted costs the same), or as many times (`high`: it grows along).

    Parameters
    ----------
    point, rates, means
        As for `floors`: the largest index that was measured.

    Returns
    -------
    list of dict
        `documents` and `model` (None: as measured), `stage`, `floor`, `low` and `high`
        (milliseconds).
    """
    here = {row["stage"]: row for row in floors(point, rates, means)}
    scenes = [(None, None), (None, LARGE)]
    if point.vectors:
        scenes += [(DOCUMENTS, None), (DOCUMENTS, LARGE)]
    rows = []
    for documents, shape in scenes:
        there = replace(
            point, vectors=documents or point.vectors, shape=shape if shape else point.shape
        )
        named = {"documents": documents, "model": shape.name if shape else None}
        for stage, work in there.work().items():
            if stage in here:
                floor, now = work.floor_ms(rates), here[stage]
                ends = (floor + now["mean"] - now["floor"], floor * now["over"])
                limits = {"floor": floor, "low": min(ends), "high": max(ends)}
                rows.append({**named, "stage": stage, **limits})
    return rows
