"""Whatever happens to a file that ragft wrote, the result is the same or the file is named.

The files are not listed here: every one that an operation leaves is cut, turned and removed, so
that a kind of file that is new is met without being asked for.
"""

from __future__ import annotations

import ast
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ragft.types import RagftError
from tests.reliability import operations
from tests.reliability.operations import OPERATIONS, nobody


def turned(place: float) -> Callable[[bytes], bytes]:
    def turn(data: bytes) -> bytes:
        at = int(place * (len(data) - 1))
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return turn


DAMAGES: dict[str, Callable[[bytes], bytes] | None] = {
    "gone": None,
    "cut": lambda data: data[: len(data) // 2],
    "turned": turned(0.5),
    "empty": lambda data: b"",
    "turned at its start": turned(0.0),
    "turned near its end": turned(0.98),
}
QUICK = [name for name, operation in OPERATIONS.items() if not operation.slow]
SLOW = [name for name, operation in OPERATIONS.items() if operation.slow]


def written(folder: Path) -> list[Path]:
    """Return the files in a folder, relative to it; empty ones (locks) hold nothing to damage."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    return sorted(path.relative_to(folder) for path in paths)


def damage(path: Path, how: str) -> bool:
    """Damage a file; tell whether it differs now."""
    change, data = DAMAGES[how], path.read_bytes()
    if change is None:
        path.unlink()
        return True
    path.write_bytes(change(data))
    return change(data) != data


def follow(message: str, path: Path) -> None:
    """Do what the message of a refusal says: remove the folder or file that it names."""
    named = re.search(r"(?:delete|remove) (?:the (?:folder|file) )?(/\S+?)[.,;]?(?:\s|$)", message)
    place = Path(named[1]) if named else path
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def walk(name: str, folder: Path, damages: list[str], each: int) -> Counter:
    """Damage every file that an operation leaves, one at a time, and repeat the operation.

    Of the damages each file gets so many, in turn.
    """
    operation, work, kept = OPERATIONS[name], folder / "work", folder / "kept"
    work.mkdir()
    whole = operation.run(work, nobody)
    if operation.interrupted:
        shutil.rmtree(work)
        work.mkdir()
        operation.interrupted(work)
    shutil.copytree(work, kept)
    found: Counter = Counter()
    assert written(kept), f"{name}: wrote nothing"
    for number, path in enumerate(written(kept)):
        for how in (damages * 2)[number % len(damages) :][:each]:
            shutil.rmtree(work)
            shutil.copytree(kept, work)
            if not damage(work / path, how):
                continue
            found[f"files {how}"] += 1
            told = f"{name}: {path} {how}"
            try:
                assert operation.run(work, nobody) == whole, told
                found["same result"] += 1
            except RagftError as error:
                assert path.name in str(error) or str(path.parent) in str(error), (told, str(error))
                found["refused"] += 1
                follow(str(error), work / path)
                assert operation.run(work, nobody) == whole, f"{told}, after: {error}"
    found["files"] = len(written(kept))
    return found


def check(name: str, folder: Path, damages: list[str], each: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vectors that are embedded again are told
        print(name, dict(walk(name, folder, damages, each)))


@pytest.mark.parametrize("name", QUICK)
def test_a_damaged_file_is_named_or_made_anew(name, tmp_path, monkeypatch):
    monkeypatch.setattr(operations, "UNITS", range(1))
    check(name, tmp_path, ["turned", "gone", "cut"], each=1)


@pytest.mark.long
@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_every_damage_to_every_file(name, tmp_path, monkeypatch):
    monkeypatch.setattr(operations, "UNITS", range(2))
    damages = list(DAMAGES)[: None if name in QUICK else 3]
    check(name, tmp_path, damages, each=len(damages))


WRITERS = {
    "atomic_write", "write_through", "build_folder", "write_text", "write_bytes", "write_rows",
    "save", "savez", "savefig", "save_file", "save_pretrained", "connect", "mkstemp", "fdopen",
    "copyfile", "write_vectors", "write", "replace", "rename", "to_parquet", "dump",
}  # fmt: skip
"""Names of functions by which a file comes to be."""
WRITTEN_BY = {
    "files.py": "cells",
    "records.py": "runs",
    "models.py": "hashes of weights",
    "batch/batches.py": "batch",
    "batch/grids.py": "full grids",
    "batch/runs.py": "batch",
    "corpora/corpus.py": "corpus",
    "corpora/jsonl.py": "corpus",
    "corpora/questions.py": "corpus",
    "corpora/releases.py": "releases",
    "generation/embedded/pretrain.py": "pretraining",
    "generation/embedded/states.py": "pretraining",
    "generation/embedded/tokens.py": "pretraining",
    "generation/unfinished.py": "replies",
    "plotting/style.py": "pictures",
    "report/grid_page.py": "batch",
    "report/publish.py": "pictures",
    "retrieval/embedding_model.py": "halved embedder",
    "retrieval/fitting.py": "tuned retriever",
    "retrieval/listing.py": "index",
    "retrieval/shards.py": "shards",
    "retrieval/stored.py": "saved index",
    "retrieval/tune.py": "tuned retriever",
    "retrieval/vector_cache.py": "vector cache",
    "training/adapters.py": "adapter",
    "training/trainer.py": "training",
}
"""Modules of ragft that write files, each with an operation that leaves what it writes."""
NOT_READ_AGAIN = {
    "batch/pool.py": "what a worker prints, for people",
    "batch/worker.py": "messages through a pipe",
    "bench/batch.py": "a grid file in a folder that is thrown away",
    "bench/hybrid.py": "vectors handed to a process in a folder that is thrown away",
    "bench/gpu/sweep.py": "a sealed record, damaged in tests/bench",
    "bench/gpu/tuning.py": "an adapter that is timed and thrown away",
    "cli/options.py": "a copy of a record, for people",
    "experiments/retrieval.py": "a run file for other programs, written anew each time",
    "experiments/retrieval_layouts.py": "damages a file itself, to see it refused",
    "readme.py": "tables of the README, written anew each time",
}


def writing_modules() -> set[str]:
    """Return the modules of ragft that call what writes files."""
    import ragft

    root, found = Path(ragft.__file__).parent, set()
    names = re.compile("|".join(map(re.escape, [*WRITERS, "open("])))
    for path in root.rglob("*.py"):
        if not names.search(path.read_text()):  # quicker than to parse it
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _writes(node):
                found.add(path.relative_to(root).as_posix())
    return found


def _writes(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "open":
        modes = [*call.args, *(word.value for word in call.keywords)]
        return any(
            isinstance(a, ast.Constant) and str(a.value) in ("w", "wb", "a", "ab") for a in modes
        )
    holder = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    if name in ("replace", "rename"):
        return holder == "os"
    if name in ("write", "save", "dump", "connect"):
        return holder in (
            "np",
            "index",
            "near",
            "near.index",
            "sqlite3",
            "faiss",
            "json",
            "trained",
        )
    return name in WRITERS


def test_no_module_that_writes_is_forgotten_here():
    """A module that begins to write must be given an operation, or a reason why it needs none."""
    listed = set(WRITTEN_BY) | set(NOT_READ_AGAIN)
    assert writing_modules() - listed == set()
    assert set(WRITTEN_BY.values()) <= set(OPERATIONS)
