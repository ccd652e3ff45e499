"""A grid of runs in one folder: what is finished is skipped, what breaks is tried again.

    out/grid.json                what was asked for, and the names of its runs
    out/<run>/                   the executed notebook, its completion record and its figures
    out/<run>/record.json        parameters, status, seconds, attempts, error, provenance
    out/results/                 cells and adapters, which all runs share

The completion record alone says that a run is finished (see `runs`); `record.json` is for people
and for the page over the grid, which `report.grid` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ragft.batch.driver import Attempt, Progress, drive
from ragft.batch.parameters import measures_time, read_parameters
from ragft.batch.plan import OWN, PlannedRun, read_grid
from ragft.batch.pool import Engine, LocalWorkers, share
from ragft.batch.runs import completion, depends_on, is_finished
from ragft.batch.worker import Job
from ragft.files import atomic_write, find_sealed, locked, sealed_json
from ragft.runtime import cpu_count, hardware
from ragft.types import RagftError

ENGINES = ("local", "ray")
WORKER_GB = 3
"""Memory that a worker is given, with which their number is bounded where none is asked for."""


def run_grid(
    grid: str | Path,
    out: str | Path,
    *,
    notebooks: str | Path = "notebooks",
    jobs: int | None = None,
    retries: int = 1,
    force: bool = False,
    engine: str = "local",
    address: str | None = None,
    progress: bool = True,
    after: Callable[[], object] | None = None,
) -> list[dict[str, Any]]:
    """Run a grid of notebooks in worker processes, and return the record of every run.

    Interrupt it, or kill it, at any moment: the same call goes on where it stopped. A run is
    finished if its notebook, parameters and library are the same as now and its files are as they
    were left. Times measured while several workers share the machine are not the machine's own.

    Parameters
    ----------
    grid : str or Path
        See `read_grid`.
    out : str or Path
        Folder for everything; one batch at a time works in it.
    notebooks : str or Path
        Folder of the numbered notebooks.
    jobs : int, optional
        Runs at once. None: a core and 3 GB of memory each, or what the Ray cluster has. The cores
        are shared out: each run has cores // jobs threads, at least 1.
    retries : int
        How often a run that fails is tried again, from 0. A run whose worker is killed has failed.
    force : bool
        Run finished ones too.
    engine : {'local', 'ray'}
        Processes on this machine, or a Ray cluster whose nodes share `out` and the notebooks.
    address : str, optional
        Of the cluster; None starts one on this machine.
    progress : bool
        Show one bar over all runs, with the time left.
    after : callable, optional
        Called at the end of every attempt, when its record is written.

    Returns
    -------
    list of dict
        In the grid's order, as `record.json` holds them; `status` is 'finished' or 'failed'.

    Raises
    ------
    RagftError
        If the grid, a number, the engine or the cluster is wrong, or another batch works in `out`.
    """
    runs, out = read_grid(grid, notebooks), Path(out).resolve()
    if retries < 0:
        raise RagftError(f"--retries {retries}: at least 0")
    busy = f"{out}: another batch works in this folder; wait for it, or choose another --out."
    with locked(out / ".locks" / "batch", busy=busy):
        batch = _Batch(out, runs, after or (lambda: None))
        atomic_write(out / "grid.json", sealed_json(batch.asked()))
        waiting = batch.unfinished() if not force else runs
        if waiting:
            using = _engine(engine, address, jobs, len(runs))
            batch.how = {"engine": engine, "workers": using.workers, "threads": using.threads}
            bar = Progress(len(runs), len(runs) - len(waiting), progress)
            try:
                drive([batch.job(r, force) for r in waiting], using, batch.note, bar, retries)
            finally:
                bar.close()
                batch.stopped()
        return [batch.record(run) for run in runs]


def _engine(name: str, address: str | None, jobs: int | None, runs: int) -> Engine:
    """Return the workers; their number depends on the grid, not on how much of it is left.

    Sums of floating-point numbers depend on the number of threads, and a batch that was
    interrupted has to give what it would have given at once.
    """
    if name not in ENGINES:
        raise RagftError(f"--engine {name}: there are {', '.join(ENGINES)}")
    if name == "ray":
        from ragft.batch.ray_cluster import RayWorkers

        return RayWorkers.connect(address, jobs)
    if address is not None:
        raise RagftError("--address: of a Ray cluster; add --engine ray")
    memory = hardware()["memory_gb"] or WORKER_GB
    most = min(cpu_count(), int(memory // WORKER_GB), runs)
    return LocalWorkers(*share(jobs, most))


@dataclass
class _Batch:
    """The runs of a grid in their folder."""

    out: Path
    runs: Sequence[PlannedRun]
    after: Callable[[], object]
    how: dict[str, Any] = field(default_factory=dict)
    """Engine, workers and threads of this call."""
    _running: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Read once: a grid may have thousands of runs of one notebook.
        notebooks = {run.notebook for run in self.runs}
        self._takes = {path: [n for n in OWN if n in read_parameters(path)] for path in notebooks}
        self._timed = {path: measures_time(path) for path in notebooks}
        self._by_name = {run.name: run for run in self.runs}

    def asked(self) -> dict[str, Any]:
        """Return what `grid.json` holds."""
        runs = [{**asdict(run), "notebook": run.notebook.stem} for run in self.runs]
        return {"runs": runs}

    def unfinished(self) -> list[PlannedRun]:
        """Return the runs that are not finished; the records of the others are put right."""
        bases = {path: depends_on(path) for path in self._timed}
        left = []
        for run in self.runs:
            job = self.job(run)
            if not is_finished(bases[run.notebook], job.parameters, job.out):
                left.append(run)
            elif self.record(run).get("status") != "finished":
                # Stopped between the completion record and this one.
                told = {"status": "finished", "seconds": completion(job.out)["seconds"]}
                self._write(run.name, {**self._begun(run), **self.record(run), **told, "error": ""})
        return left

    def job(self, run: PlannedRun, force: bool = False) -> Job:
        """Return what a worker has to do for a run."""
        folder = self.out / run.name
        own = {"results": str(self.out / "results"), "figures": str(folder / "figures")}
        taken = {name: own[name] for name in self._takes[run.notebook]}
        return Job(
            name=run.name,
            notebook=str(run.notebook),
            out=str(folder / run.notebook.name),
            parameters=run.parameters | taken,
            products=str(folder / "figures"),
            lock=str(self.out / ".locks" / run.name),
            log=str(folder / "log.txt"),
            force=force,
        )

    def note(self, attempt: Attempt) -> None:
        """Write how an attempt stands into the run's record."""
        name = attempt.job.name
        if name not in self._running:
            self._running[name] = self._begun(self._by_name[name])
        status = {"ran": "finished", "skipped": "finished"}.get(attempt.status, attempt.status)
        told = {"status": status, "seconds": attempt.seconds, "error": attempt.error}
        self._running[name] |= told | (attempt.origin or {})
        self._write(name, self._running[name])
        if attempt.status != "running":
            del self._running[name]
            self.after()

    def stopped(self) -> None:
        """Write down that the runs under way were interrupted."""
        for name, record in self._running.items():
            self._write(name, record | {"status": "interrupted"})

    def record(self, run: PlannedRun) -> dict[str, Any]:
        """Return a run's record; {} where there is none that can be read."""
        return find_sealed(self.out / run.name / "record.json")

    def _begun(self, run: PlannedRun) -> dict[str, Any]:
        """Return the record of a run that begins another attempt."""
        before = self.record(run)
        attempts = before.get("attempts", 0) if before.get("status") != "finished" else 0
        unknown = dict.fromkeys(("date", "packages", "commit", "hardware"))
        return {
            "name": run.name,
            "notebook": run.notebook.stem,
            "parameters": run.parameters,
            "timed": self._timed[run.notebook],
            "status": "running",
            "seconds": 0.0,
            "attempts": attempts + 1,
            "error": "",
            "executed": f"{run.name}/{run.notebook.name}",
            **self.how,
            **unknown,
        }

    def _write(self, name: str, record: dict[str, Any]) -> None:
        atomic_write(self.out / name / "record.json", sealed_json(record))
