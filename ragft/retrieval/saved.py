"""An index in a folder, whose changes are written as they are made: whole, or not at all.

    index.json          what the index is, and which folders it is made of, each with its SHA-256
    part-000001/        a change: the documents that go, the passages that come, their new vectors
    words-000002/       BM25's postings as of the last part
    neighbours-000003/  the approximate index, where there is one
    .unfinished/        finished slabs of vectors of a change that is not finished

No file is ever changed. A change is written into a new folder, and index.json is then replaced in
one step: a process killed at any moment leaves the old index or the new one, and what it left
besides is swept before the next change. As only new vectors are written, a small change of a large
index is quick; many parts, or more vectors that are gone than there are, are written as one again.
Readers need no lock. Of two writers the second is told, while the first writes and afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ragft import files
from ragft.retrieval import listing as lists
from ragft.retrieval import stored
from ragft.retrieval.bm25 import BM25
from ragft.retrieval.dense import SLAB
from ragft.retrieval.exact_search import rows_of
from ragft.retrieval.index import HybridIndex
from ragft.retrieval.listing import Listing
from ragft.retrieval.neighbours import Neighbours, chosen_kind
from ragft.retrieval.parts import EmbedsTexts, check_model, model_of, searched_text
from ragft.retrieval.vector_cache import VectorCache
from ragft.types import Passage, RagftError, RefreshCost

MOST_PARTS = 64
"""Changes after which all parts are written as one: each takes time to open and to check."""
GROWTH = 1.25
"""How many times the rows of its file an approximate index must have to be written again; what
is missing in the file is added when it is opened."""
_COPIED = 2**14
"""Vectors copied from file to file at once (24 MiB at 384 dimensions)."""


class SavedIndex(HybridIndex):
    """A `HybridIndex` that lives in a folder; see `HybridIndex.open`, which makes it.

    Parameters
    ----------
    folder : str or path
        Made with the first change where it is not there.
    embedder, about, **options
        As for `HybridIndex.open`.

    Raises
    ------
    RagftError
        As `HybridIndex.open`. A change is refused, and nothing of it taken in, while another
        process is changing the index, and once another has changed it: open it again then.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        embedder: EmbedsTexts | None = None,
        about: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.folder = Path(folder)
        lists.check_ours(self.folder)
        held = _read(self.folder) if lists.is_there(self.folder) else None
        self._listing = held.listing if held else None
        if held:
            options = _options(self.folder, held.listing, options | {"about": about})
        super().__init__(embedder=embedder, **options)
        self.about = dict(held.listing.about) if held else files.plain(about or {})
        self.vectors.stay = True
        self._written_neighbours: Neighbours | None = None
        if held:
            held.fill(self)
            self._written_neighbours = self.vectors.neighbours
            with suppress(RagftError), self._writing():
                pass  # what was left behind is swept, unless somebody writes

    def save(self, folder: str | Path, about: Mapping[str, Any] | None = None) -> Path:
        """Write the index into another folder; in its own every change is written already.

        Raises
        ------
        RagftError
            Its own folder, with another `about`; otherwise as `HybridIndex.save`.
        """
        if Path(folder).resolve() != self.folder.resolve():
            return super().save(folder, about)
        if about is not None and files.plain(about) != self.about:
            raise RagftError(f"{folder}: was begun with about={self.about}, which stays.")
        return self.folder

    def _change(self, doc_ids: str | Iterable[str], passages: Iterable[Passage]) -> RefreshCost:
        gone = [doc_ids] if isinstance(doc_ids, str) else list(doc_ids)
        given = list(passages)
        if not gone and not given:
            return RefreshCost()
        with self._writing():
            cost = super()._change(gone, given)
            with suppress(RagftError):  # the change itself is made; the next one tidies up
                self._tidy()
        return cost

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the folder for a change; refuse where another process made one before."""
        with lists.held(self.folder):
            now = lists.read_list(self.folder) if lists.is_there(self.folder) else None
            if (now.parts if now else None) != (self._listing.parts if self._listing else None):
                raise RagftError(
                    f"{self.folder}: another process has changed this index since it was opened; "
                    "open it again and repeat the change."
                )
            self._listing = now  # another reader may have added what it built
            lists.sweep(self.folder, now)
            yield

    def _commit(self, listing: Listing) -> None:
        lists.write_list(self.folder, listing)
        self._listing = listing
        lists.sweep(self.folder, listing)

    def _unfinished(self, count: int) -> VectorCache | None:
        if count <= SLAB or getattr(self.embedder, "remembers", False):
            return None
        model = hashlib.sha256(model_of(self.embedder).encode()).hexdigest()
        return VectorCache(self.folder / lists.UNFINISHED, model)

    def _written(
        self,
        gone: Iterable[str],
        new: Mapping[str, Passage],
        texts: Sequence[str],
        vectors: np.ndarray,
    ) -> None:
        """Write a change as a part; once the list names it, it is made."""
        row_of = {text: len(self.vectors) + n for n, text in enumerate(texts)}
        wanted = [] if self.retriever == "bm25" else map(searched_text, new.values())
        known = self.vectors.row_of
        rows = [row_of[text] if text in row_of else known[text] for text in wanted]
        part = lists.sealed(
            self.folder,
            "part",
            lambda out: stored.write_part(
                out,
                gone,
                new.values(),
                np.array(rows, np.int64),
                vectors.shape,
                self.vectors.dtype,
                [vectors],
            ),
        )
        stay = {i for i, p in self._passages.items() if p.doc_id not in gone}
        listing = self._listing or _begun(self, self.about)
        self._commit(
            replace(
                listing,
                model=listing.model or (model_of(self.embedder) if texts else ""),
                passages=len(stay | set(new)),
                parts={**listing.parts, **part},
                words={},
            )
        )
        lists.drop_unfinished(self.folder)

    def _tidy(self) -> None:
        """Write all parts as one where there are too many, or too many vectors that are gone."""
        listing, vectors = self._listing, self.vectors
        worn = len(vectors) > 2 * max(len(self), SLAB)
        if listing is None or not (worn or len(listing.parts) > MOST_PARTS):
            return
        if not worn:  # rows keep their numbers, by which an approximate index knows them
            part = _whole_part(self, self.folder, np.arange(len(vectors)))
            self._commit(replace(listing, parts=part))
            return
        texts = list(dict.fromkeys(map(searched_text, self.passages)))
        part = _whole_part(self, self.folder, vectors.rows(texts))
        self._commit(replace(listing, parts=part, neighbours={}, approximate={}))
        (name,) = part
        block = stored.read_part(self.folder / name).vectors
        vectors.restore([block], {text: n for n, text in enumerate(texts)})

    def _built(self) -> None:
        """Keep what building made, so that the next to open the index need not make it."""
        near, listing = self.vectors.neighbours, self._listing
        if listing is None:
            return
        grown = near is not None and (
            near is not self._written_neighbours
            or len(near.index) > GROWTH * listing.approximate.get("rows", 0)
        )
        counted = self._bm25 is not None and not listing.words
        if not grown and not counted:
            return
        with suppress(RagftError), self._writing():  # it spares time only: no search may fail
            new = _words(self, self.folder) if counted else {}
            new |= _neighbours(self, self.folder) if grown else {}
            self._commit(replace(self._listing, **new))
            self._written_neighbours = near


def save(index: HybridIndex, folder: str | Path, about: Mapping[str, Any]) -> Path:
    """Write an index into a folder as one part; see `HybridIndex.save`."""
    folder = Path(folder)
    lists.check_ours(folder)
    index.build()
    vectors = index.vectors
    model = index._model or (model_of(index.embedder) if len(vectors) else "")
    with lists.held(folder):
        # Folders of an index that is there already stay until the new list is whole.
        part = _whole_part(index, folder, np.arange(len(vectors)))
        built = _words(index, folder) | _neighbours(index, folder)
        said = {"model": model, "passages": len(index), "parts": part, **built}
        listing = replace(_begun(index, files.plain(about)), **said)
        lists.write_list(folder, listing)
        lists.sweep(folder, listing)
        lists.drop_unfinished(folder)
    return folder


def load(
    folder: str | Path, embedder: EmbedsTexts | None, options: Mapping[str, Any]
) -> HybridIndex:
    """Read an index, its vectors mapped from their files; see `HybridIndex.load`."""
    folder = Path(folder)
    held = _read(folder)
    index = HybridIndex(embedder=embedder, **_options(folder, held.listing, options))
    index.about = dict(held.listing.about)
    held.fill(index)
    return index


def _begun(index: HybridIndex, about: Mapping[str, Any]) -> Listing:
    """Return the list of an index that has no folders yet."""
    vectors = index.vectors
    return Listing(index.retriever, vectors.kind, about=about, dtype=vectors.dtype)


def _options(folder: Path, listing: Listing, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an index that is there: its own, and how it is to be searched.

    Raises
    ------
    RagftError
        Another retriever, dtype or `about` was asked for than it was begun with.
    """
    options = dict(asked)
    for name in ("retriever", "dtype", "about"):
        wanted, has = options.pop(name, None), getattr(listing, name)
        if wanted is not None and files.plain(wanted) != has:
            raise RagftError(
                f"{folder}: was begun with {name}={has!r}, not {wanted!r}; leave {name} out, or "
                "build another index in a folder of its own."
            )
    own = {name: getattr(listing, name) for name in ("kind", "retriever", "dtype")}
    return own | options


@dataclass(frozen=True)
class _Held:
    """What was read of a folder, each file compared with its SHA-256 first."""

    folder: Path
    listing: Listing
    parts: tuple[stored.Part, ...]
    bm25: BM25 | None
    neighbours: Neighbours | None

    def fill(self, index: HybridIndex) -> None:
        """Put it into an index that holds nothing; refuse another embedding model."""
        dense = self.listing.retriever != "bm25"
        if dense and index._embedder is not None:
            check_model(index._embedder, self.listing.model, str(self.folder))
        passages: dict[str, Passage] = {}
        row_of: dict[str, int] = {}
        for part in self.parts:
            if part.gone:
                gone = set(part.gone)
                passages = {i: p for i, p in passages.items() if p.doc_id not in gone}
            passages.update((p.id, p) for p in part.passages)
            if dense:
                texts = map(searched_text, part.passages)
                row_of.update(zip(texts, part.rows.tolist(), strict=True))
        vectors = index.vectors
        vectors.restore([part.vectors for part in self.parts if len(part.vectors)], row_of)
        index._model, index._passages, index._bm25 = self.listing.model, passages, self.bm25
        if self.neighbours is not None:
            kind = chosen_kind(vectors.kind, len(passages), vectors.dimension)
            if kind == self.neighbours.index.kind:
                vectors.neighbours = self.neighbours


def _read(folder: Path) -> _Held:
    """Read an index, again where another process has replaced it meanwhile."""
    while True:
        listing = lists.read_list(folder)
        try:
            return _read_listed(folder, listing)
        except RagftError:
            if lists.read_list(folder) == listing:
                raise


def _read_listed(folder: Path, listing: Listing) -> _Held:
    def checked(named: Mapping[str, str]) -> list[Path]:
        advice = lists.advice(folder)
        return [stored.check_sealed(folder / name, seal, advice) for name, seal in named.items()]

    def read(one: Callable[[Path], Any], named: Mapping[str, str]) -> list[Any]:
        return [_read_one(one, path, lists.advice(folder)) for path in checked(named)]

    parts = tuple(read(stored.read_part, listing.parts))
    total = sum(len(part.vectors) for part in parts)
    for name, part in zip(listing.parts, parts, strict=True):
        if not part.fits(total, listing.retriever != "bm25", listing.dtype):
            raise RagftError(
                f"{folder / name}: its files do not go together; {lists.advice(folder)}"
            )
    words = read(lambda path: stored.read_bm25(path, listing.passages), listing.words)
    near = []
    if find_spec("faiss"):
        about = listing.approximate
        near = read(lambda path: stored.read_neighbours(path, about), listing.neighbours)
    return _Held(folder, listing, parts, next(iter(words), None), next(iter(near), None))


def _read_one(read: Callable[[Path], Any], folder: Path, advice: str) -> Any:
    """Read a folder whose seals fit; name it where its files are none that ragft wrote."""
    try:
        return read(folder)
    except Exception as error:  # whatever numpy, faiss and JSON are led to
        words = " ".join(str(error).split())[:200]
        raise RagftError(
            f"{folder}: cannot be read ({type(error).__name__} {words}); {advice}"
        ) from error


def _whole_part(index: HybridIndex, folder: Path, rows: np.ndarray) -> dict[str, str]:
    """Write all passages of an index, and these rows of its vectors, as one part."""
    vectors = index.vectors
    number = np.zeros(len(vectors), np.int64)
    number[rows] = np.arange(len(rows))
    texts = [] if index.retriever == "bm25" else map(searched_text, index.passages)
    pieces = (
        rows_of(vectors.blocks, rows[start : start + _COPIED], vectors.dtype)
        for start in range(0, len(rows), _COPIED)
    )
    return lists.sealed(
        folder,
        "part",
        lambda out: stored.write_part(
            out,
            (),
            index.passages,
            number[vectors.rows(texts)],
            (len(rows), vectors.dimension),
            vectors.dtype,
            pieces,
        ),
    )


def _words(index: HybridIndex, folder: Path) -> dict[str, Any]:
    """Write the postings of an index; returns what the list says of them."""
    if index._bm25 is None:
        return {"words": {}}
    postings = index._bm25.postings()
    return {
        "words": lists.sealed(folder, "words", lambda out: stored.write_postings(out, postings))
    }


def _neighbours(index: HybridIndex, folder: Path) -> dict[str, Any]:
    """Write the approximate index of an index; returns what the list says of it."""
    near = index.vectors.neighbours
    if near is None:
        return {"neighbours": {}, "approximate": {}}
    written = lists.sealed(folder, "neighbours", lambda out: stored.write_neighbours(out, near))
    return {"neighbours": written, "approximate": near.about}
