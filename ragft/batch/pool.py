"""Worker processes on this machine: started fresh for every attempt, each with its own threads.

An engine (this one, or `ray_cluster`) starts jobs and says what became of them; which ones, and
how often, is decided in `driver`.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ragft import files
from ragft.batch.worker import Job, environment
from ragft.runtime import cpu_count
from ragft.types import RagftError

GRACE_S = 10.0
"""How long a worker may take to end after its last message, or once it is told to."""


class Engine(Protocol):
    """What runs jobs."""

    workers: int
    """How many run at once, at most."""
    threads: int | None
    """Of each; None leaves them to the libraries."""
    name: str

    def start(self, job: Job) -> None:
        """Begin a job; there are fewer than `workers` of them."""

    def wait(self, seconds: float) -> list[tuple[Job, dict[str, Any]]]:
        """Return the messages that came, waiting for the first so long; 'ended' is a job's last."""

    def close(self) -> None:
        """End all that still runs."""


def share(jobs: int | None, most: int, cores: int | None = None) -> tuple[int, int]:
    """Return how many workers there are and how many threads each has.

    Parameters
    ----------
    jobs : int or None
        As asked for; None leaves it to `most`.
    most : int
        Workers, where nothing is asked for; at least 1.
    cores : int, optional
        To share; None takes what this process may use, or OMP_NUM_THREADS where that is less.

    Raises
    ------
    RagftError
        Fewer than one worker.

    Examples
    --------
    >>> share(3, 1, cores=8), share(None, 2, cores=1)
    ((3, 2), (2, 1))
    """
    if jobs is not None and jobs < 1:
        raise RagftError(f"--jobs {jobs}: at least 1 worker")
    workers = max(1, most) if jobs is None else jobs
    return workers, max(1, (cores or _cores()) // workers)


def _cores() -> int:
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(told), cpu_count()) if told.isdigit() and int(told) else cpu_count()


@dataclass
class LocalWorkers:
    """Processes on this machine, ended when this object is closed or its own process ends."""

    workers: int
    threads: int | None
    name: str = "local"
    _running: dict[str, _Worker] = field(default_factory=dict)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def start(self, job: Job) -> None:
        """Begin a job in a process of its own."""
        worker = _Worker.begin(job, self.threads)
        self._running[job.name] = worker
        self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)

    def wait(self, seconds: float) -> list[tuple[Job, dict[str, Any]]]:
        """Return the messages that came, waiting for the first so long."""
        found = []
        for key, _ in self._selector.select(seconds):
            worker = key.data
            for message in worker.read():
                found.append((worker.job, message))
                if message["kind"] == "ended":
                    self._selector.unregister(worker.process.stdout)
                    del self._running[worker.job.name]
                    worker.end()
                    break
        return found

    def close(self) -> None:
        """End all workers, and with them their kernels."""
        for worker in self._running.values():
            worker.process.stdin.close()
        for worker in self._running.values():
            worker.end()
        self._running.clear()
        self._selector.close()


@dataclass
class _Worker:
    """One process that runs one job."""

    job: Job
    process: subprocess.Popen
    _rest: bytes = b""

    @classmethod
    def begin(cls, job: Job, threads: int | None) -> _Worker:
        for path in (job.out, job.log):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", "from ragft.batch.worker import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(threads),
                start_new_session=True,  # Ctrl-C is the driver's matter
            )
        with suppress(BrokenPipeError):  # it died at once: its end is noticed by `read`
            process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            process.stdin.flush()
        return cls(job, process)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the messages in the pipe; of a process that ended without a word, that it did."""
        data = os.read(self.process.stdout.fileno(), 2**16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError):  # something printed at the start of the interpreter
                yield files.from_json(line)
        if not data:
            yield {"kind": "ended", "status": "failed", "seconds": 0.0, "error": self._death()}

    def _death(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)
        code = self.process.poll()
        if code is None or code >= 0:
            why = f"ended with status {code}"
        else:
            why = f"was killed ({signal.Signals(-code).name}; too little memory, or by hand)"
        return f"{self.job.name}: its worker process {why}; what it printed is in {self.job.log}"

    def end(self) -> None:
        """Wait for the process to end, and kill it where it does not."""
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
