"""The loop that every experiment is: cells, each kept once computed, then one record.

What a cell is and how cells are summed up is each experiment's own matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ragft.experiments.served import Served
from ragft.profiles import Profile
from ragft.records import Records, Run, content_key
from ragft.types import BusyError, RagftError

if TYPE_CHECKING:
    import pandas as pd


NUMBERS = ("mean", "low", "high", "se_seed", "value")
"""Columns of measured numbers; one that is undefined is null in a record."""


@dataclass(frozen=True)
class Finished:
    """A finished run, as its folder holds it; every experiment returns one, with its own tables."""

    record: dict[str, Any]
    answers: pd.DataFrame
    """One row for every single thing that was measured, most often an answer."""
    folder: Path

    @property
    def results(self) -> dict[str, Any]:
        """What the run found, as its record tells it."""
        return self.record["results"]

    @property
    def quantities(self) -> dict[str, Any]:
        """The numbers that the ledger reads, by name: value, interval, count; often none."""
        return self.results.get("quantities", {})

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table of the results, see `frame`."""
        return frame(self.results[name])

    def to_dict(self) -> dict[str, Any]:
        """Return the results and the record's path, as JSON can hold them."""
        return {**self.results, "record": str(self.folder / "record.json")}


Found = TypeVar("Found", bound=Finished)


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of a record as a frame; what is undefined among `NUMBERS` is NaN."""
    import pandas as pd

    made = pd.DataFrame(rows)
    return made.astype({name: float for name in NUMBERS if name in made})


def distinct(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the training seeds.

    Raises
    ------
    RagftError
        There is none, or one stands there twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise RagftError(f"seeds={list(seeds)}: give at least one, and none twice")
    return tuple(seeds)


def rises(numbers: Sequence[float], above: float | None = None) -> bool:
    """Tell whether there are numbers, each larger than the one before, and the first than `above`.

    Examples
    --------
    >>> rises([1, 2], above=0), rises([0, 1], above=0), rises([2, 2]), rises([])
    (True, False, False, False)
    """
    before = numbers if above is None else (above, *numbers)
    return bool(numbers) and all(a < b for a, b in zip(before, before[1:], strict=False))


class Plan(Protocol):
    """What an experiment measures: a dataclass whose fields are its parameters."""

    def cells(self, seeds: Sequence[int]) -> list[tuple]:
        """Return the cells; what does not train has the first seed alone."""
        ...


class Work(Protocol):
    """What computing the cells of a plan takes."""

    def key(self, *cell: Any) -> str:
        """Return the key of a cell: all that its answers depend on."""
        ...

    def compute(self, *cell: Any) -> tuple[pd.DataFrame, Mapping[str, Any]]:
        """Return a frame, and notes that JSON can hold."""
        ...


def run_plan(
    kind: type[Found],
    name: str,
    plan: Plan,
    work: Work,
    sum_up: Callable[
        [list[pd.DataFrame], list[dict[str, Any]], Profile], tuple[pd.DataFrame, dict]
    ],
    *,
    records: Records,
    sizes: Profile,
    version: int,
    corpus: str,
    hashes: Mapping[str, str],
    progress: bool = True,
) -> Found:
    """Run the cells of a plan, see `run_cells`.

    Parameters
    ----------
    kind, name
        As for `run_cells`.
    plan : Plan
    work : Work
    sum_up : callable
        As for `run_cells`, and given the sizes.
    records, sizes, hashes, progress
        As for `run_cells`.
    version : int
        Of the meaning of the cells.
    corpus : str
        What the record calls the collection.
    """
    return run_cells(
        kind,
        name,
        plan.cells(sizes.seeds),
        work.key,
        work.compute,
        lambda frames, notes: sum_up(frames, notes, sizes),
        records=records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": version},
        parameters={"corpus": corpus, **asdict(plan)},
        hashes=hashes,
        progress=progress,
    )


def run_cells(
    kind: type[Found],
    name: str,
    cells: Sequence[tuple],
    key: Callable[..., str],
    compute: Callable[..., tuple[pd.DataFrame, Mapping[str, Any]]],
    sum_up: Callable[[list[pd.DataFrame], list[dict[str, Any]]], tuple[pd.DataFrame, dict]],
    *,
    records: Records,
    sizes: Profile,
    settings: Mapping[str, Any],
    parameters: Mapping[str, Any],
    hashes: Mapping[str, str],
    progress: bool = True,
) -> Found:
    """Compute the cells that are not kept yet, sum all of them up, and write the record.

    A run that is finished is read from its record, and nothing is computed. Processes that run the
    same experiment into the same folder share its cells: each takes what no other is at.

    Parameters
    ----------
    kind : type
        What is returned: `Finished`, or what an experiment makes of it.
    name : str
        Of the experiment.
    cells : sequence of tuple
        The arguments of `key` and `compute`.
    key : callable
        `key(*cell)`: hash of everything that the cell's answers depend on.
    compute : callable
        `compute(*cell)`: a frame, and notes that JSON can hold.
    sum_up : callable
        Given all frames and all notes, in the order of the cells: the answers and the results.
    records : Records
    sizes : Profile
    settings : mapping
        What the summary depends on besides the cells.
    parameters, hashes : mapping
        Provenance.
    progress : bool
        Show a bar over the cells.
    """
    server = Served.of(sizes)
    keys = [key(*cell) for cell in cells]
    run = records.open(
        name,
        content_key({"cells": keys, **settings}),
        parameters={**parameters, **server.told()},
        profile=sizes,
        seeds=sizes.seeds,
        hashes=hashes,
    )
    if not run.finished:
        found = _gathered(
            run, keys, lambda place: server.counted(compute, cells[place]), name, progress
        )
        frames, notes = [frame for frame, _ in found], [notes for _, notes in found]
        counts = server.summed(notes)
        answers, results = sum_up(frames, notes)
        run.finish(answers, {**results, **counts})
    record, answers = run.load()
    return kind(record, answers, run.folder)


def _gathered(
    run: Run,
    keys: Sequence[str],
    compute: Callable[[int], tuple[pd.DataFrame, Mapping[str, Any]]],
    name: str,
    progress: bool,
) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """Return all cells in their order: first those no other process is at, then the others."""
    from tqdm.auto import tqdm

    found: dict[int, tuple[pd.DataFrame, dict[str, Any]]] = {}
    with tqdm(total=len(keys), desc=name, unit="cell", disable=not progress) as bar:
        for wait in (False, True):
            for place, key in enumerate(keys):
                if place in found:
                    continue
                try:
                    found[place] = run.cached(key, lambda place=place: compute(place), wait)
                except BusyError:
                    if wait:
                        raise
                else:
                    bar.update()
    return [found[place] for place in range(len(keys))]
