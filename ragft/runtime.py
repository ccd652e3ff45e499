"""The machine and the process: hardware, versions, commit, memory, clocks, seeds, threads.

Only what is measured or set here; what is done with it is recorded in `records`. torch is used
where something else has loaded it already, and never imported.
"""

from __future__ import annotations

import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ragft.types import RagftError

PACKAGES = (
    "ragft numpy scipy pandas pyarrow torch transformers tokenizers sentence-transformers peft trl "
    "accelerate bitsandbytes bm25s datasets papermill safetensors"
).split()
"""Packages whose versions every record keeps."""


@dataclass
class Stopwatch:
    """A measured span; `seconds` is set when the span ends."""

    seconds: float = float("nan")

    @property
    def ms(self) -> float:
        """The span in milliseconds."""
        return self.seconds * 1000


@contextmanager
def stopwatch(synchronise: bool = True) -> Iterator[Stopwatch]:
    """Measure the wall time of a `with` block.

    Parameters
    ----------
    synchronise : bool
        Wait for the GPU before both readings, where one is in use: kernels run behind the
        Python code that starts them, so without this a span measures their launch alone.

    Yields
    ------
    Stopwatch
        Its `seconds` is NaN inside the block; it is set even where the block raises.
    """
    watch = Stopwatch()
    if synchronise:
        _wait_for_gpu()
    start = time.perf_counter()
    try:
        yield watch
    finally:
        if synchronise:
            _wait_for_gpu()
        watch.seconds = time.perf_counter() - start


def _wait_for_gpu() -> None:
    """Wait until the GPU has done all it was given; nothing where torch uses none."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def timed(work: Callable[[], Any], repeats: int, warm: int) -> list[float]:
    """Return the seconds of repeated runs, the device waited for before and after each.

    Parameters
    ----------
    work : callable
    repeats : int
        Runs that count.
    warm : int
        Runs before them that do not.
    """
    for _ in range(warm):
        work()
    found = []
    for _ in range(repeats):
        with stopwatch() as watch:
            work()
        found.append(watch.seconds)
    return found


def device_of(name: str = "auto") -> str:
    """Return a device's name; of 'auto' the GPU's where there is one, else the CPU's."""
    if name != "auto":
        return name

    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def multiplies_bf16(device: str = "auto") -> bool:
    """Tell whether this machine multiplies bfloat16 matrices in hardware.

    Parameters
    ----------
    device : {'auto', 'cpu'}
        'auto' asks the GPU where there is one.
    """
    import torch

    if device_of(device) == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    told = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in told)


def multiplies_int8() -> bool:
    """Tell whether the processor multiplies matrices of 8 bits a number, with sums of 32 bits."""
    import torch

    return getattr(torch.cpu, "_is_vnni_supported", lambda: False)()


def can_compile() -> bool:
    """Tell whether there is a C++ compiler, with which torch compiles."""
    return any(map(shutil.which, (os.environ.get("CXX") or "g++", "clang++")))


def require_compiler(what: str) -> None:
    """Refuse to let torch compile where there is nothing to compile with.

    Parameters
    ----------
    what : str
        What wants it, and what to do without, for the message.

    Raises
    ------
    RagftError
        There is no C++ compiler.
    """
    if not can_compile():
        raise RagftError(
            f"{what} needs a C++ compiler (g++ or clang++); install one, or go without"
        )


def set_seed(seed: int) -> None:
    """Seed `random`, and numpy and torch where they are loaded.

    A library loaded later is not seeded: seed again, or hand it a generator of its own.

    Raises
    ------
    RagftError
        If `seed` is not in [0, 2**32), numpy's range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise RagftError(f"seed: must be a whole number from 0 to 2**32 - 1, not {seed!r}.")
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def cache_dir() -> Path:
    """Return the folder for what can be made again: $RAGFT_CACHE or ~/.cache/ragft, created.

    Raises
    ------
    RagftError
        If it cannot be created.
    """
    folder = Path(os.environ.get("RAGFT_CACHE") or "~/.cache/ragft").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RagftError(
            f"{folder}: cannot create the cache folder ({error.strerror}); "
            "set RAGFT_CACHE to a folder you may write to."
        ) from error
    return folder


def cpu_count() -> int:
    """Return how many cores this process may use (its affinity, not the machine's total)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def threads(count: int | None = None) -> Iterator[int]:
    """Let torch use `count` threads inside a `with` block, and put the number back after it.

    Parameters
    ----------
    count : int, optional
        At least 1; None = as many as the process has cores. torch that is not loaded is left so.

    Yields
    ------
    int
        The number asked for.
    """
    count = cpu_count() if count is None else count
    if count < 1:
        raise RagftError(f"threads: count must be at least 1, not {count}.")
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    if torch is not None:
        torch.set_num_threads(count)
    try:
        yield count
    finally:
        if torch is not None:
            torch.set_num_threads(before)


def hardware() -> dict[str, str | int | float | list[str] | None]:
    """Describe the machine: cpu, cores, memory_gb, gpus, system, python.

    Returns
    -------
    dict
        `gpus` is a list of names, empty without any, None where torch is not loaded (unknown).
        `memory_gb` is in GiB, None where the system does not tell.
    """
    return {
        "cpu": _cpu_name(),
        "cores": cpu_count(),
        "memory_gb": _memory_gb(),
        "gpus": _gpu_names(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def machine() -> dict[str, str | int]:
    """Return what times depend on and what keys of timed results hold: cpu and cores."""
    return {"cpu": _cpu_name(), "cores": cpu_count()}


@cache
def cpu_maker() -> str:
    """Return who made the processor, such as 'GenuineIntel'; '' where that is not told."""
    return _cpu_info().get("vendor_id", "")


def _cpu_info() -> dict[str, str]:
    """Return what Linux tells of the first core; {} on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told: dict[str, str] = {}
    for key, _, value in (line.partition(":") for line in lines):
        told.setdefault(key.strip(), value.strip())
    return told


@cache
def _cpu_name() -> str:
    """Return the processor's model name, or its architecture where no name is to be had.

    A name without a number, which virtual machines give to several generations of processors, is
    told apart by family and model.
    """
    told = _cpu_info()
    if not (name := told.get("model name", "")):
        return platform.processor() or platform.machine()
    if any(c.isdigit() for c in name) or not {"cpu family", "model"} <= told.keys():
        return name
    return f"{name} (family {told['cpu family']}, model {told['model']})"


def _memory_gb() -> float | None:
    """Return physical memory in GiB."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpu_names() -> list[str] | None:
    """Return the names of the GPUs that a loaded torch sees; None without torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(i) for i in range(count)]


def peak_memory_mb() -> float:
    """Return the most memory the process has held so far, in MiB (resident, not GPU).

    NaN on systems that do not tell.
    """
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def peak_gpu_memory_mb() -> float:
    """Return the most GPU memory torch has held so far, in MiB; NaN where no GPU is in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return float("nan")
    return torch.cuda.max_memory_allocated() / 2**20


def package_versions(names: Iterable[str] = PACKAGES) -> dict[str, str | None]:
    """Return the installed version of each package, None where it is not installed."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str | None:
    """Return the installed version of one package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def git_commit(folder: Path | None = None) -> str | None:
    """Return the commit ragft runs from, '+changes' added where tracked files differ from it.

    Parameters
    ----------
    folder : Path, optional
        A folder of the repository; None = where this module lies.

    Returns
    -------
    str or None
        None outside a repository, without git, or where the package is not tracked there (an
        installation inside some other project's repository).
    """
    folder = Path(__file__).parent if folder is None else folder
    if folder == Path(__file__).parent and not _git(folder, "ls-files", "runtime.py"):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    return commit + ("+changes" if _git(folder, "status", "--porcelain", "-uno") else "")


def _git(folder: Path, *arguments: str) -> str:
    """Return what git prints, '' where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
