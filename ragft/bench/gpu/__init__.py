"""What answering and training cost on one GPU, on the shapes of published models.

`python -m ragft.bench.gpu --out FOLDER`: weights are drawn at random on the device, so that no
model hub is needed; times and memory depend on the dimensions alone, which `real` checks. Every
module here is one section and says what it measures; `sweep` is the loop around them. The ledger
reads the records of memory and training as `figures/data/gpu_memory.json` and `gpu_training.json`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ragft.bench.gpu import decode, memory, prefill, rates, real, throughput, training
from ragft.bench.gpu.device import Device
from ragft.bench.gpu.settings import Settings
from ragft.bench.gpu.sweep import Section
from ragft.generation.shapes import Shape
from ragft.types import RagftError

SECTIONS = {
    section.NAME: section
    for section in (rates, prefill, decode, throughput, memory, training, real)
}
"""By name, in the order in which they run."""


def measure(
    settings: Settings,
    out: str | Path,
    shapes: Sequence[Shape],
    sections: Sequence[str] = tuple(SECTIONS),
    minutes: float = math.inf,
    told: Callable[[str], object] = lambda line: None,
    commit: str | None = None,
) -> list[Section]:
    """Measure what is not in the folder yet, and keep a record of every section there.

    Parameters
    ----------
    settings : Settings
    out : path
        Folder of the records, one JSON file a section.
    shapes : sequence of Shape
        Models to measure.
    sections : sequence of str
        Some of `SECTIONS`; the rates are always measured, since shares are of them.
    minutes : float
        After this no further row is begun; those left are recorded as not reached, and measured
        by the next call.
    told : callable
        Called with a line of text after every row.
    commit : str, optional
        Recorded where the code lies in no repository.

    Returns
    -------
    list of Section
        In the order in which they ran.

    Raises
    ------
    RagftError
        A section has another name, or the folder holds one with other settings or from another
        machine (nothing is measured then).
    """
    for name in sections:
        if name not in SECTIONS:
            raise RagftError(f"--only: no section {name!r}; choose from {', '.join(SECTIONS)}")
    deadline = time.monotonic() + 60 * minutes
    device = Device(settings)
    chosen = [module for name, module in SECTIONS.items() if name in {*sections, rates.NAME}]
    opened = [Section(module, device, shapes, Path(out), commit) for module in chosen]
    for section in opened:
        section.run(deadline, told)
        if section.module is rates:
            device.rates = rates.known(section.measured)
    return opened
