"""Executing one notebook with papermill, and saying in a line why it stopped.

Whether it has to run, and what becomes of its result, is decided in `runs`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.batch.parameters import read_notebook
from ragft.types import RagftError, UnreachableError

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager
    from nbformat import NotebookNode

KEPT: list[int] = []
"""File descriptors that every kernel gets: a lock on one is held until the kernel is gone too."""
KERNELS: set[int] = set()
"""Process groups of the kernels that run now."""
LONGEST = 90
"""Characters of a path beside which sockets can lie; systems allow them about a hundred."""


def end_kernels() -> None:
    """Kill the kernels that this process runs, and what they have started."""
    for group in tuple(KERNELS):
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def execute(
    path: Path, parameters: dict[str, Any], progress: bool | Callable[[int, int], None] = False
) -> str:
    """Run a notebook and return its executed form as text; nothing is written.

    It runs in its own folder, with the interpreter that runs this function. `parameters` have
    been checked; papermill puts them into a cell of their own after the parameters cell.
    `progress` shows a bar, or is called before each cell with the cells done and those in all.

    Raises
    ------
    RagftError
        If a cell fails, the kernel dies, or the notebook ends before its last cell;
        `UnreachableError` where the cell needs what lies outside this machine.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    last: list[NotebookNode] = []

    def started(cell: NotebookNode, cell_index: int) -> None:
        last.append(cell)
        if callable(progress):
            progress(cell_index, cells)

    # It warns of parameters that it cannot read, such as a text with '=='; ours have been checked.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    cells = len(read_notebook(path).cells) + bool(parameters)  # papermill adds one for them
    bar = progress if isinstance(progress, bool) else False
    try:
        executed = papermill.execute_notebook(
            str(path).replace("{", "{{").replace("}", "}}"),  # papermill formats paths
            None,
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar={"desc": path.stem, "leave": False} if bar else False,
            start_timeout=300,
            kernel_manager_class=_kernel_manager(),
            resources={"metadata": {"path": str(path.resolve().parent)}},
            on_cell_start=started,
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from error
        # The kernel is another process: of its error only name and words come over.
        kind = UnreachableError if error.ename == UnreachableError.__name__ else RagftError
        raise kind(_failure(path, error.source, error.ename, error.evalue)) from error
    except (DeadKernelError, RuntimeError) as error:
        source = last[-1].source if last else ""
        raise RagftError(_failure(path, source, "the kernel died", str(error))) from error
    _refuse_early_end(path, executed)
    return nbformat.writes(executed)


def _kernel_manager() -> type[AsyncKernelManager]:
    """Return a manager that starts the running interpreter, whatever kernels are registered."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class RunningInterpreter(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._private = tempfile.TemporaryDirectory(prefix="ragft-")
            file = f"{self._private.name}/kernel.json"
            if os.name == "posix" and len(file) < LONGEST:
                # Sockets are files that only this user can open, and need no network at all, not
                # even a machine's own.
                self.transport, self.connection_file = "ipc", file
            else:
                # Without encryption, others on the machine could read along.
                self.transport_encryption = "auto"

        async def start_kernel(self, **options: Any) -> None:
            await super().start_kernel(**options, **({"pass_fds": tuple(KEPT)} if KEPT else {}))
            KERNELS.add(self.provisioner.pid)  # it leads a group of its own

        async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
            # The base class interrupts first, and a kernel that is still closing its last
            # message prints an error for that.
            pid = self.provisioner.pid if self.provisioner else None
            if self.has_kernel and not now:
                await self.request_shutdown(restart=restart)
                await self.finish_shutdown(restart=restart)
            await super().shutdown_kernel(now=now, restart=restart)
            KERNELS.discard(pid)
            if not restart:
                self._private.cleanup()

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(
                argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                env={"PYDEVD_DISABLE_FILE_VALIDATION": "1"},  # else every start prints a warning
                language="python",
                metadata={"supported_encryption": ["curve"]},
            )

    return RunningInterpreter


def _failure(path: Path, source: str, kind: str, text: str) -> str:
    """Say in a few lines which cell of a notebook failed, and why."""
    first = next((line for line in source.splitlines() if line.strip()), "before the first cell")
    brief = text if len(text) <= 600 else f"{text[:600]} ..."
    return f"{path.name}: stopped in the cell `{first.strip()}`: {kind}: {brief}"


def _refuse_early_end(path: Path, executed: NotebookNode) -> None:
    """Refuse a notebook that ended itself before its last cell, which papermill calls complete."""
    for cell in executed.cells:
        skipped = "skip-execution" in cell.metadata.get("tags", [])
        if cell.cell_type == "code" and cell.source.strip() and not skipped:
            if cell.execution_count is None:
                raise RagftError(_failure(path, cell.source, "never run", "it ended before this."))
