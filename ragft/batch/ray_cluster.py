"""The same jobs on a Ray cluster, whose nodes share a file system and have ragft installed.

Needs the extra `ray`. A node or worker that dies costs its runs an attempt, as on one machine.
"""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

from ragft.batch.pool import share
from ragft.batch.worker import Job, environment, work
from ragft.types import RagftError

ANSWER_S = 10.0
"""How long a cluster may take to answer."""


@dataclass
class RayWorkers:
    """Tasks on the cluster that this process is connected to."""

    workers: int
    threads: int | None
    ours: bool
    """Whether the connection was made here, to be ended with the last job."""
    name: str = "ray"
    _running: dict[Any, Job] = field(default_factory=dict)

    @classmethod
    def connect(cls, address: str | None = None, jobs: int | None = None) -> RayWorkers:
        """Return the workers of a cluster.

        Parameters
        ----------
        address : str, optional
            'host:port' or 'auto'; None starts a cluster on this machine, or takes the one that
            this process is connected to.
        jobs : int, optional
            Runs at once; None is one for each of the cluster's CPUs. A run has as many threads as
            there are CPUs for each, and no more than the largest node has.

        Raises
        ------
        RagftError
            Ray is not installed, nothing answers at the address, or the cluster has no CPUs.
        """
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _refuse_silence(address)
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
            try:
                ray.init(address, log_to_driver=False, logging_level="ERROR")
            except Exception as error:  # of many kinds, from sockets to versions
                where = f"no Ray cluster at {address}" if address else "Ray did not start"
                told = " ".join(str(error).split())[:300]
                raise RagftError(f"{where}: {told}; start one with `ray start --head`.") from error
        sizes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        if sum(sizes) < 1:
            raise RagftError("the Ray cluster has no CPUs to run notebooks on")
        workers, threads = share(jobs, int(sum(sizes)), cores=int(sum(sizes)))
        return cls(workers, min(threads, int(max(sizes))), ours)

    def start(self, job: Job) -> None:
        """Hand a job to the cluster."""
        task = _ray().remote(num_cpus=self.threads, max_retries=0)(_run)
        self._running[task.remote(asdict(job), self.threads)] = job

    def wait(self, seconds: float) -> list[tuple[Job, dict[str, Any]]]:
        """Return the messages of the jobs that ended, waiting for the first so long."""
        ray = _ray()
        done, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        found = []
        for task in done:
            job = self._running.pop(task)
            try:
                found += [(job, message) for message in ray.get(task)]
            except ray.exceptions.RayError as error:  # a node or its worker died
                told = f"{job.name}: its Ray worker died: {' '.join(str(error).split())[:300]}"
                ended = {"kind": "ended", "status": "failed", "seconds": 0.0, "error": told}
                found.append((job, ended))
        return found

    def close(self) -> None:
        """End what still runs, and the connection if it was made here."""
        ray = _ray()
        for task in self._running:
            ray.cancel(task, force=True)
        self._running.clear()
        if self.ours:
            ray.shutdown()


def _ray() -> Any:
    try:
        return import_module("ray")  # only ever here: an extra, and a large one
    except ImportError as error:
        raise RagftError("--engine ray needs Ray: pip install 'ragft[ray]'") from error


def _refuse_silence(address: str | None) -> None:
    """Refuse an address where nothing listens; Ray itself would try for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise RagftError(
            f"no Ray cluster at {address} ({error}); start one with `ray start --head`."
        ) from error


def _run(fields: dict[str, Any], threads: int | None) -> list[dict[str, Any]]:
    """Run a job on a node; its first and last message come back, others have no way to."""
    os.environ.update(environment(threads))
    messages: list[dict[str, Any]] = []
    work(Job(**fields), messages.append)
    return [message for message in messages if message["kind"] in ("started", "ended")]
