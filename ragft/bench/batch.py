"""What a second worker gains over one, on a grid of notebooks run as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ragft.bench import row
from ragft.runtime import cpu_count, stopwatch
from ragft.types import RagftError

NOTEBOOK = "00"
WORKERS = 2


def batch(
    runs: int = 8,
    repeats: int = 3,
    notebook: str = NOTEBOOK,
    notebooks: str | Path = "notebooks",
) -> list[dict[str, Any]]:
    """Run the same grid with one worker and with two, of one thread each.

    The grid is one notebook at the smoke profile with another training seed a run. Every timing
    begins with `ragft batch` in a folder of its own, so that interpreters, kernels and imports
    count as they do for a user; what ragft keeps for all runs (vectors) is there beforehand.

    Parameters
    ----------
    runs : int
        Of the grid; at least 2.
    repeats : int
        Times that the grid is run on each side, in turn; at least 1.
    notebook : str
        The number of one that takes `seeds`.
    notebooks : str or Path
        The folder it lies in.

    Returns
    -------
    list of dict
        One row; the ratio is seconds of one worker / seconds of two.

    Raises
    ------
    RagftError
        A number is out of range, there are fewer cores than workers, or a run fails.
    """
    if runs < WORKERS or repeats < 1:
        raise RagftError(
            f"bench batch: {runs} runs, {repeats} repeats; at least {WORKERS} runs, one repeat"
        )
    if cpu_count() < WORKERS:
        raise RagftError(f"bench batch: {WORKERS} workers need {WORKERS} cores, here is 1")
    with tempfile.TemporaryDirectory() as folder:
        timed = _Grid(Path(folder), notebook, Path(notebooks))
        timed.seconds(1, 1)
        both = [(timed.seconds(runs, 1), timed.seconds(runs, WORKERS)) for _ in range(repeats)]
    ratios = [one / two for one, two in both]
    spent = ", ".join(f"{one:.1f} / {two:.1f} s" for one, two in both)
    note = f"notebook {notebook} at the smoke profile, a seed a run, one thread a worker; {spent}"
    return [row("batch, two workers", runs, "one worker", ratios, note)]


class _Grid:
    """A grid that is run again and again, every time from nothing."""

    def __init__(self, folder: Path, notebook: str, notebooks: Path) -> None:
        self.folder, self.notebook, self.notebooks = folder, notebook, notebooks
        self._times = 0

    def seconds(self, runs: int, workers: int) -> float:
        """Return how long the command takes for a number of runs."""
        self._times += 1
        grid, out = self.folder / "grid.yaml", self.folder / f"out{self._times}"
        seeds = [[n] for n in range(runs)]
        asked = {"notebooks": [self.notebook], "parameters": {"profile": ["smoke"], "seeds": seeds}}
        grid.write_text(json.dumps(asked))  # JSON is YAML
        command = [
            sys.executable, "-m", "ragft", "batch", str(grid), "--out", str(out),
            "--notebooks", str(self.notebooks), "--jobs", str(workers),
        ]  # fmt: skip
        # As many threads in all as there are workers: one each.
        given = {**os.environ, "OMP_NUM_THREADS": str(workers)}
        with stopwatch() as watch:
            done = subprocess.run(command, env=given, capture_output=True, text=True)
        if done.returncode:
            raise RagftError(f"bench batch: {' '.join(command)}:\n{done.stderr[-1000:]}")
        return watch.seconds
