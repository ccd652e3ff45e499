"""All numbered notebooks at once: which one runs when, beside which, and where its pictures go.

A notebook that measures time runs alone; the others share the cores.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ragft.batch import grids
from ragft.batch.driver import Attempt, Progress, drive
from ragft.batch.parameters import check_parameters, measures_time, read_parameters
from ragft.batch.pool import LocalWorkers, share
from ragft.batch.runs import (
    NotebookRun,
    depends_on,
    is_finished,
    names,
    numbered_notebooks,
    run_notebook,
)
from ragft.batch.worker import Job
from ragft.files import locked
from ragft.runtime import cpu_count
from ragft.types import RagftError, UnreachableError

TOGETHER = 2
"""Notebooks at once, where nothing is asked for, on as many cores or more."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A notebook with what it is given."""

    path: Path
    values: dict[str, Any]
    out: Path
    figures: Path


def reproduce(
    notebooks: str | Path,
    profile: str = "cpu",
    only: Sequence[str] = (),
    *,
    results: str | Path,
    figures: str | Path,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: bool = True,
    jobs: int | None = 1,
) -> list[NotebookRun]:
    """Run the numbered notebooks; a failure does not stop the others.

    A notebook that needs an index of packages where none can be reached, and whose releases are
    not in the cache, is left out with that reason, which is no failure.

    Every notebook has a parameter `profile`; `results`, `figures` (folders, as absolute paths) and
    those in `parameters` are given to the notebooks that have them. All of them are checked before
    the first one runs. Executed notebooks go to `<results>/notebooks/<profile>/`. Pictures of the
    full grid (`full` among the parameters) are never replaced by a smaller one's: those go to
    `<figures>/reduced`.

    One job runs them one after the other. With more, `00_…` runs first and alone, because the
    others share its adapters; then those that measure no time, in worker processes that share the
    cores, and the last of them in several at once, which share its cells (`run_cells`); then, alone
    again, those that do: their parameters cell is tagged 'timed'.

    Parameters
    ----------
    jobs : int, optional
        Notebooks at once; None is 2, or 1 on a machine with one core.

    Returns
    -------
    list of NotebookRun
        In the notebooks' order, failed ones included: their `error` says why.

    Raises
    ------
    RagftError
        If there are no such notebooks, one does not take what it is given, or `jobs` is below 1.
    """
    plan = _plan(notebooks, profile, only, results, figures, parameters or {})
    workers, threads = share(jobs, min(TOGETHER, cpu_count()))
    first = [one for one in plan if one.path.name.startswith("00")]
    together = [one for one in plan if one not in first and not measures_time(one.path)]
    last = [one for one in plan if one not in first + together]
    if workers == 1 or not together:
        return _one_by_one(plan, figures, force, progress)
    with_threads = LocalWorkers(workers, threads)
    runs = _one_by_one(first, figures, force, progress)
    runs += _side_by_side(together, figures, force, progress, with_threads)
    runs += _one_by_one(last, figures, force, progress)
    return sorted(runs, key=lambda run: run.path)


def _plan(
    notebooks: str | Path,
    profile: str,
    only: Sequence[str],
    results: str | Path,
    figures: str | Path,
    parameters: Mapping[str, Any],
) -> list[_Planned]:
    """Return the notebooks with what each is given, all of it checked."""
    given = {"results": str(Path(results).resolve()), **parameters}
    folder, plan = Path(results) / "notebooks" / profile, []
    for path in numbered_notebooks(notebooks, only):
        place = grids.place(figures, path.stem, bool(given.get("full"))).resolve()
        values = _given_to(path, profile, {"figures": str(place), **given})
        plan.append(_Planned(path, values, folder / path.name, place))
    for name in parameters:  # one that none takes would change nothing, unnoticed
        if not any(name in one.values for one in plan):
            raise RagftError(f"none of {names([p.path for p in plan])} has a parameter {name!r}.")
    return plan


def _given_to(path: Path, profile: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what a notebook takes, and check it."""
    known = read_parameters(path)
    values = {"profile": profile, **{name: given[name] for name in given if name in known}}
    return check_parameters(path, values)


def _one_by_one(
    plan: Sequence[_Planned], figures: str | Path, force: bool, progress: bool
) -> list[NotebookRun]:
    """Run notebooks in this process, each with all cores."""
    from tqdm.auto import tqdm

    runs = []
    with tqdm(plan, unit="notebook", disable=not progress or not plan) as bar:
        for one in bar:
            bar.set_description(one.path.stem)
            runs.append(_attempt(one, force, progress))
            _mark(one, runs[-1], figures)
    return runs


def _attempt(one: _Planned, force: bool, progress: bool) -> NotebookRun:
    """Run a notebook and turn its failure into a line of the table."""
    began, told = time.monotonic(), {"force": force, "progress": progress}
    try:
        with locked(_lock(one.out)):  # a second call in the same folder waits, and finds it done
            return run_notebook(one.path, one.out, one.values, products=one.figures, **told)
    except RagftError as error:
        status = "left out" if isinstance(error, UnreachableError) else "failed"
        return NotebookRun(one.path.stem, status, time.monotonic() - began, one.out, str(error))


def _lock(out: Path) -> Path:
    return out.resolve().parent / ".locks" / out.stem


def _side_by_side(
    plan: Sequence[_Planned], figures: str | Path, force: bool, progress: bool, using: LocalWorkers
) -> list[NotebookRun]:
    """Run notebooks in worker processes; one that is finished starts none."""
    by_name, runs = {one.path.stem: one for one in plan}, []

    def note(attempt: Attempt) -> None:
        if attempt.last:
            seconds = 0.0 if attempt.status == "skipped" else attempt.seconds
            one = by_name[attempt.job.name]
            run = NotebookRun(one.path.stem, attempt.status, seconds, one.out, attempt.error)
            runs.append(run)
            _mark(one, run, figures)

    waiting = []
    for one in plan:
        if not force and is_finished(depends_on(one.path), one.values, one.out):
            runs.append(NotebookRun(one.path.stem, "skipped", 0.0, one.out))
            _mark(one, runs[-1], figures)
        else:
            waiting.append(_job(one, force))
    bar = Progress(len(plan), len(plan) - len(waiting), progress)
    with closing(bar), TemporaryDirectory(prefix="ragft-", ignore_cleanup_errors=True) as scratch:
        drive(waiting, using, note, bar, helper=lambda job: _helper(job, Path(scratch) / job.name))
    return runs


def _job(one: _Planned, force: bool) -> Job:
    """Return a notebook as a worker is told it."""
    folder = one.out.resolve().parent
    return Job(
        name=one.path.stem,
        notebook=str(one.path.resolve()),
        out=str(folder / one.out.name),
        parameters=one.values,
        products=str(one.figures),
        lock=str(_lock(one.out)),
        log=str(folder / f"{one.path.stem}.log"),
        force=force,
    )


def _helper(job: Job, folder: Path) -> Job:
    """Return the same notebook once more: it takes cells that the first is not at.

    Both read the cells of the other; what the helper draws is thrown away.
    """
    figures = str(folder / "figures")
    drawn = {"figures": figures} if "figures" in job.parameters else {}
    return replace(
        job,
        name=f"{job.name} (helper)",
        out=str(folder / "helper.ipynb"),
        parameters=job.parameters | drawn,
        products=figures,
        lock=str(folder / "lock"),
        log=str(folder / "helper.log"),
    )


def _mark(one: _Planned, run: NotebookRun, figures: str | Path) -> None:
    if one.values.get("full") and run.status in ("ran", "skipped"):
        grids.mark_full(figures, one.path.stem)
