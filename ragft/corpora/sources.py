"""Whatever a user names as documents, opened: a file, a folder, a repository, a dataset.

What each of them means is the matter of `jsonl`, `files`, `git` and `datasets`. Made-up worlds and
package history, which bring their questions, are opened by the experiments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ragft.corpora import formats
from ragft.corpora.corpus import Corpus
from ragft.types import RagftError

_DATASET = re.compile(r"(?P<place>[^@]+?)(?:@(?P<revision>[^@:]+))?(?::(?P<split>[\w.-]+))?")


def open_corpus(
    source: str | Path, *, include: str | Sequence[str] = "*", history: bool = False
) -> Corpus:
    """Return the corpus that a path or a short name stands for.

    Parameters
    ----------
    source : str or Path
        A JSON Lines file, a folder of documents, a bare git repository, a dataset's folder or
        Parquet file; 'git:REPO' or 'git:REPO@BRANCH' for what is committed in a repository;
        'dataset:PLACE', with '@REVISION' and ':SPLIT' where wanted.
    include : str or sequence of str
        Patterns of which a path must match one; for folders and repositories.
    history : bool
        Every version with its dates; the source must be a git repository, with or without 'git:'.

    Raises
    ------
    RagftError
        There is nothing of that name, or nothing readable in it.
    """
    text = str(source)
    if text.startswith("git:") or history:
        path, branch = _branch(text.removeprefix("git:"))
        return Corpus.from_git(path, include=include, branch=branch, history=history)
    if text.startswith("dataset:"):
        return _dataset(text.removeprefix("dataset:"))
    path = Path(source)
    if path.is_file() and formats.kind_of(path.name):
        raise RagftError(f"{source}: one document is no collection; give the folder it lies in.")
    if path.is_dir() or path.suffix == ".parquet":
        return _folder(path, include)
    if not path.exists() and not path.suffix:
        raise RagftError(
            f"{source}: there is no such file or folder; a dataset on the hub is "
            f"'dataset:{source}', a repository 'git:FOLDER'."
        )
    return Corpus.from_jsonl(path)


def _folder(path: Path, include: str | Sequence[str]) -> Corpus:
    from ragft.corpora.datasets import is_dataset

    if is_dataset(path):
        return Corpus.from_dataset(path)
    bare = (path / "HEAD").is_file() and all((path / n).is_dir() for n in ("objects", "refs"))
    if bare:
        return Corpus.from_git(path, include=include, history=False)
    return Corpus.from_folder(path, include=include)


def _branch(text: str) -> tuple[str, str | None]:
    """Split 'REPO@BRANCH'; a folder whose own name holds an @ is meant as it stands."""
    path, at, branch = text.rpartition("@")
    return (text, None) if not at or Path(text).exists() else (path, branch)


def _dataset(text: str) -> Corpus:
    if Path(text).exists():
        return Corpus.from_dataset(text)
    parts = _DATASET.fullmatch(text)
    if parts is None:
        raise RagftError(f"dataset:{text}: write it as dataset:ID, with @REVISION and :SPLIT.")
    return Corpus.from_dataset(parts["place"], split=parts["split"], revision=parts["revision"])
