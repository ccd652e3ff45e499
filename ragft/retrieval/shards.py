"""An index spread over folders that several owners can hold, searched as if it were one.

Every shard carries the passages, vectors and BM25 scores of its own; those scores were made with
the word statistics of the whole, so that all shards together rank as the whole index does.
Changing a passage therefore means writing the shards again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ragft import files
from ragft.retrieval import stored
from ragft.retrieval.bm25 import Postings, tokenize
from ragft.retrieval.candidates import Ranking
from ragft.retrieval.dense import Embedder
from ragft.retrieval.exact_search import inner_product_search
from ragft.retrieval.filters import Filter
from ragft.retrieval.first_look import Codes
from ragft.retrieval.fusion import Fusion
from ragft.retrieval.index import HybridIndex
from ragft.retrieval.parts import EmbedsTexts, Found, ScoresPairs, Timings, check_model, model_of
from ragft.retrieval.searching import Searching
from ragft.retrieval.topk import top_k as best
from ragft.runtime import cache_dir
from ragft.types import Passage, RagftError

LIST = "shards.json"
"""What shards there are, each with the SHA-256 of its manifest, which holds those of its files."""
FORMAT = 1


@dataclass(frozen=True)
class Shard:
    """The passages of one owner, ready to be searched."""

    name: str
    positions: np.ndarray
    """Where each passage stands in the whole index, ascending; int64, shape (n,)."""
    passages: tuple[Passage, ...]
    vectors: np.ndarray
    """Shape (n, d), in the dtype of the index; (0, 0) without."""
    postings: Postings
    """BM25's scores by word, over the passages."""
    codes: Codes = field(default_factory=Codes, compare=False)
    """Of the vectors, for searching them."""

    def scores(self, words: Sequence[str]) -> np.ndarray:
        """Return BM25's score of each passage, float64 of shape (n,)."""
        scores, held = np.zeros(len(self.passages)), self.postings
        # Word by word, as the whole index adds them up, so that sums agree to the last bit.
        for column in (held.words[word] for word in words if word in held.words):
            part = slice(held.indptr[column], held.indptr[column + 1])
            scores[held.indices[part]] += held.data[part]
        return scores

    def rows(self, allowed: np.ndarray | None) -> np.ndarray | None:
        """Return own rows of the allowed positions in the whole; None where all are allowed."""
        return None if allowed is None else np.flatnonzero(np.isin(self.positions, allowed))


def write_shards(
    index: HybridIndex, folder: str | Path, shards: int | Callable[[Passage], str]
) -> str:
    """Write an index as shards.

    Parameters
    ----------
    index : HybridIndex
        Not empty; built if it is not.
    folder : str or path
        Must not exist; gets a folder for each shard, and the list of them.
    shards : int or callable
        So many, passages dealt out in turn; or what returns the name of a passage's shard (such
        as its owner's: letters, digits, '-' and '_').

    Returns
    -------
    str
        SHA-256 of the list of shards. Who keeps it and gives it to `ShardedIndex` is told of any
        change at all; without it, a shard changed together with the list goes unnoticed.

    Raises
    ------
    RagftError
        An empty index, fewer passages than shards, a name that is no folder's, or a folder that
        is there already or cannot be written.
    """
    folder = Path(folder)
    index.build()
    groups = _groups(index.passages, shards)
    if folder.exists():
        raise RagftError(f"{folder}: is there already; choose another folder for the shards")
    about = {
        "format": FORMAT,
        "retriever": index.retriever,
        "passages": len(index),
        "model": model_of(index.embedder) if index.retriever != "bm25" else "",
    }

    def build(temporary: Path) -> None:
        listed = {}
        for name, rows in groups.items():
            files.build_folder(temporary / name, lambda out, rows=rows: _write(index, rows, out))
            listed[name] = files.sha256_file(temporary / name / files.MANIFEST)
        files.atomic_write(temporary / LIST, files.to_json({**about, "shards": listed}))

    files.build_folder(folder, build)
    return files.sha256_file(folder / LIST)


class ShardedIndex(Searching):
    """All shards of an index, searched together; nothing in it can be changed.

    Parameters
    ----------
    folder : str or path
        As written by `write_shards`; single shards may be links to folders of their owners.
    embedder : Embedder, optional
        Of the model that the shards were made with; made when first needed where None.
    depth, fusion, reranker, rerank_depth, rerank_weight
        As for `HybridIndex`.
    expected : str, optional
        What `write_shards` returned.

    Raises
    ------
    RagftError
        A file is missing or was changed, which is named; another format; a shard too few; an
        embedder of another model.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        embedder: EmbedsTexts | None = None,
        depth: int = 100,
        fusion: Fusion | None = None,
        reranker: ScoresPairs | None = None,
        rerank_depth: int = 50,
        rerank_weight: float = 1.0,
        expected: str | None = None,
    ) -> None:
        folder = Path(folder)
        about = _read_list(folder, expected)
        super().__init__(
            about["retriever"], depth, fusion or Fusion(), reranker, rerank_depth, rerank_weight
        )
        self._embedder, self._model_hash = embedder, about["model"]
        if embedder is not None and self.retriever != "bm25":
            check_model(embedder, self._model_hash, str(folder))
        self.shards = tuple(_read(folder / n, n, seal) for n, seal in about["shards"].items())
        places = [(at, p) for s in self.shards for at, p in zip(s.positions, s.passages)]  # noqa: B905
        places.sort(key=lambda pair: pair[0])
        if [at for at, _ in places] != list(range(about["passages"])):
            raise RagftError(
                f"{folder}: its shards hold {len(places)} passages and not each of the "
                f"{about['passages']} once; get the missing shard, or write all of them again."
            )
        self._ordered = tuple(p for _, p in places)
        self._filter = Filter(self._ordered)

    def __len__(self) -> int:
        return len(self._ordered)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages, in the order of the index that was written."""
        return self._ordered

    @property
    def embedder(self) -> EmbedsTexts:
        """The embedder, made now if there was none."""
        if self._embedder is None:
            made = Embedder(cache=cache_dir() / "vectors")
            check_model(made, self._model_hash, "shards")
            self._embedder = made
        return self._embedder

    def _prepare(self, timings: Timings) -> None:
        pass

    def _lexical(self, queries: Sequence[str], k: int, rows: np.ndarray | None) -> Found:
        mine = [shard.rows(rows) for shard in self.shards]
        for query in queries:
            words, parts = tokenize(query), []
            for shard, allowed in zip(self.shards, mine, strict=True):
                scores = shard.scores(words)
                found = best(scores if allowed is None else scores[allowed], k)
                found = found if allowed is None else allowed[found]
                parts.append((shard.positions[found], scores[found]))
            yield _joined(parts, k)

    def _nearest(self, vectors: np.ndarray, k: int, rows: np.ndarray | None) -> Found:
        searches = [
            inner_product_search(vectors, shard.vectors, k, shard.rows(rows), codes=shard.codes)
            for shard in self.shards
        ]
        for parts in zip(*searches, strict=True):
            pairs = zip(self.shards, parts, strict=True)
            yield _joined([(shard.positions[found], scores) for shard, (found, scores) in pairs], k)


def _joined(parts: Sequence[Ranking], k: int) -> Ranking:
    """Return the best of several rankings, equal scores in the order of the whole index."""
    positions, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((positions, -scores))[:k]
    return positions[order], scores[order]


def _groups(
    passages: Sequence[Passage], shards: int | Callable[[Passage], str]
) -> dict[str, np.ndarray]:
    """Return the positions of each shard's passages."""
    if callable(shards):
        owners = [shards(passage) for passage in passages]
    elif isinstance(shards, int) and 1 <= shards <= len(passages):
        owners = [f"shard-{n % shards}" for n in range(len(passages))]
    else:
        raise RagftError(
            f"shards={shards!r}: must be a whole number from 1 to the {len(passages)} passages"
        )
    if not owners:
        raise RagftError("shards: the index is empty; there is nothing to spread")
    for name in set(owners):
        if not isinstance(name, str) or not name or set(name) - _LETTERS:
            raise RagftError(f"shards: {name!r} cannot name a folder; use letters, digits, - and _")
    rows = np.arange(len(owners))
    return {name: rows[np.array(owners) == name] for name in dict.fromkeys(owners)}


_LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def _write(index: HybridIndex, rows: np.ndarray, out: Path) -> None:
    """Write the passages of one shard, with their vectors and BM25 scores."""
    stored.write_passages(out / stored.PASSAGES, (index.passages[i] for i in rows))
    np.save(out / "positions.npy", rows)
    vectors, dtype = index.vectors.of(rows), index.vectors.dtype
    stored.write_vectors(out / stored.VECTORS, vectors.shape, dtype, [vectors])
    stored.write_postings(out, _postings(index, rows))


def _postings(index: HybridIndex, rows: np.ndarray) -> Postings:
    """Cut the rows of a shard out of the scores of the whole; words that none has are left out."""
    whole = index.postings()
    local = np.full(len(index), -1)
    local[rows] = np.arange(len(rows))
    kept = local[whole.indices] >= 0
    starts = np.concatenate([[0], np.cumsum(kept)])[whole.indptr]
    used = np.flatnonzero(np.diff(starts))
    column = {int(old): new for new, old in enumerate(used)}
    words = {w: column[i] for w, i in whole.words.items() if i in column}
    ends = np.concatenate([[0], starts[1:][used]])
    return Postings(words, whole.data[kept], local[whole.indices[kept]], ends)


def _read_list(folder: Path, expected: str | None) -> dict[str, Any]:
    path = folder / LIST
    if expected is not None and files.sha256_file(path) != expected:
        raise RagftError(f"{path}: is not the list that was written; its shards are not trusted.")
    try:
        about = files.from_json(path.read_text("utf-8"))
        known, about["shards"] = about["format"], dict(about["shards"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RagftError(
            f"{path}: missing or damaged ({error}); delete the folder {folder} and write the "
            "shards again."
        ) from error
    if known != FORMAT:
        raise RagftError(f"{path}: has format {known!r}, not {FORMAT}; write the shards again.")
    return about


def _read(folder: Path, name: str, manifest: str) -> Shard:
    """Read one shard, its files compared with their manifest first."""
    advice = f"delete the folder {folder.parent} and write the shards again."
    stored.check_sealed(folder, manifest, advice)
    try:
        passages = stored.read_passages(folder / stored.PASSAGES)
        return Shard(
            name,
            np.load(folder / "positions.npy", allow_pickle=False),
            passages,
            np.load(folder / stored.VECTORS, mmap_mode="c", allow_pickle=False),
            stored.read_postings(folder, len(passages)),
        )
    except Exception as error:  # whatever numpy and JSON are led to by files that only fit a seal
        raise RagftError(f"{folder}: cannot be read ({error}); {advice}") from error
