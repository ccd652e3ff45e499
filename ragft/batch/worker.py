"""One run of one notebook in a process of its own, and what that process tells its driver.

Which runs there are and what becomes of a failed one is decided in `driver`; who starts the
processes is the matter of `pool` and `ray_cluster`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragft.batch import execution
from ragft.batch.runs import completion, run_notebook
from ragft.records import provenance
from ragft.types import RagftError, UnreachableError

Tell = Callable[[dict[str, Any]], None]
"""Takes a message: its `kind` is 'started', 'waiting', 'cells' or 'ended'."""

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)
"""Environment variables for the number of threads; a kernel inherits them from its worker."""
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}
"""Lets glibc keep the memory of freed tensors: else training asks the system for much of it anew,
page by page, at every step. The second alone makes that far worse: it switches off what glibc
learns by itself. Other C libraries know neither."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker has to run, in values that JSON can hold; paths are absolute."""

    name: str
    """Of the run; no two of one batch have the same."""
    notebook: str
    out: str
    """Where the executed notebook goes; its completion record lies beside it."""
    parameters: dict[str, Any]
    products: str
    """Folder of the figures, part of what the completion record guards."""
    lock: str
    """Held while the notebook runs, by the kernel too."""
    log: str
    """Where worker and kernel print to; removed where they printed nothing."""
    force: bool = False


def environment(threads: int | None) -> dict[str, str]:
    """Return the variables of a worker and its kernel: so many threads, or as it is for None.

    How memory is kept is left as it is where the variables of this process say it already.
    """
    told = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    return KEPT_MEMORY | os.environ | told


def work(job: Job, tell: Tell) -> None:
    """Run a job's notebook unless it is finished, and tell how it went; raises nothing.

    The last message is of kind 'ended': `status` ('ran', 'skipped', 'left out' or 'failed'),
    `seconds` that the finished run took (0 where there is none), and `error`, '' without one.
    """
    ended = {"kind": "ended", "status": "failed", "seconds": 0.0, "error": ""}
    try:
        tell({"kind": "started", "origin": provenance()})
        with _alone(Path(job.lock), tell):
            run = run_notebook(
                job.notebook,
                job.out,
                job.parameters,
                products=job.products,
                force=job.force,
                progress=lambda done, cells: tell({"kind": "cells", "done": done, "of": cells}),
            )
        seconds = completion(job.out).get("seconds", run.seconds)
        tell(ended | {"status": run.status, "seconds": seconds})
    except UnreachableError as error:
        tell(ended | {"status": "left out", "error": str(error)})
    except RagftError as error:
        tell(ended | {"error": str(error)})
    except KeyboardInterrupt:
        tell(ended | {"error": f"{Path(job.notebook).name}: interrupted by one of its cells"})
    except Exception as error:  # whatever it is, the other runs go on
        tell(ended | {"error": f"{Path(job.notebook).name}: {type(error).__name__}: {error}"})


@contextmanager
def _alone(path: Path, tell: Tell) -> Iterator[None]:
    """Hold a run's lock, and let its kernel hold it: both must be gone before another begins.

    A worker that is killed leaves its kernel for a moment, which would otherwise run beside the
    next attempt. `files.locked` keeps its file to itself, so the lock is taken here.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell({"kind": "waiting"})
            fcntl.flock(file, fcntl.LOCK_EX)
        execution.KEPT.append(file.fileno())
        try:
            yield
        finally:
            execution.KEPT.remove(file.fileno())


def main() -> None:
    """Run the job on the first line of standard input; messages go to standard output, as JSON.

    Standard input stays open as long as the driver lives. When it ends, so do the kernel and this
    process, however the driver ended.
    """
    job = Job(**json.loads(sys.stdin.buffer.readline()))
    messages = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # standard error is the log, and what is printed goes there too
    threading.Thread(target=_end_with_driver, daemon=True).start()

    def tell(message: dict[str, Any]) -> None:
        with suppress(OSError):  # the driver is gone: the thread ends this process
            print(json.dumps(message), file=messages, flush=True)

    work(job, tell)
    sys.stdout.flush()
    if not os.fstat(2).st_size:
        Path(job.log).unlink(missing_ok=True)


def _end_with_driver() -> None:
    with suppress(OSError):
        os.read(0, 1)  # nothing more is ever sent: this returns when the driver is gone
    execution.end_kernels()
    os._exit(1)
