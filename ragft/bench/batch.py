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

WORKERS = 2


def batch(
    runs: int = 8,
    repeats: int = 3,
    notebook: str = "00",
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
    places = notebook, Path(notebooks)
    _seconds(*places, 1, 1)
    both = [(_seconds(*places, runs, 1), _seconds(*places, runs, WORKERS)) for _ in range(repeats)]
    ratios = [one / two for one, two in both]
    spent = ", ".join(f"{one:.1f} / {two:.1f} s" for one, two in both)
    note = f"notebook {notebook} at the smoke profile, a seed a run, one thread a worker; {spent}"
    return [row("batch, two workers", runs, "one worker", ratios, note)]


def _seconds(notebook: str, notebooks: Path, runs: int, workers: int) -> float:
    """Return how long `ragft batch` takes for a number of runs, from nothing."""
    seeds = [[n] for n in range(runs)]
    asked = {"notebooks": [notebook], "parameters": {"profile": ["smoke"], "seeds": seeds}}
    # As many threads in all as there are workers: one each.
    given = {**os.environ, "OMP_NUM_THREADS": str(workers)}
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder) / "grid.yaml"
        grid.write_text(json.dumps(asked))  # JSON is YAML
        command = [
            sys.executable, "-m", "ragft", "batch", str(grid), "--out", f"{folder}/out",
            "--notebooks", str(notebooks), "--jobs", str(workers),
        ]  # fmt: skip
        with stopwatch() as watch:
            done = subprocess.run(command, env=given, capture_output=True, text=True)
    if done.returncode:
        raise RagftError(f"bench batch: {' '.join(command)}:\n{done.stderr[-1000:]}")
    return watch.seconds
