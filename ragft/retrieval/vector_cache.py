"""Vectors on disk, keyed by model and text, each with its own checksum.

One SQLite file per model: safe with several processes at once, and a killed one leaves the old
or the new. Who makes the vectors, and from what, lives in `retrieval.dense`.
"""

from __future__ import annotations

import hashlib
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from ragft.types import RagftError

_WAIT_S = 60.0
"""How long to wait for another process that is writing."""
_MOST_VARIABLES = 500
"""Keys asked for at once; SQLite allows 999 in its oldest builds."""


class VectorCache:
    """A store of float32 vectors by the SHA-256 of their text.

    Parameters
    ----------
    folder : str or Path
        Made when missing. One file per model lies in it.
    model_hash : str
        Vectors of another model are never seen.

    Raises
    ------
    RagftError
        The folder cannot be made, or its file cannot be read, is damaged beyond reading,
        or cannot be written (a full disk): the message names it.
    """

    def __init__(self, folder: str | Path, model_hash: str) -> None:
        self.folder = Path(folder)
        self.path = self.folder / f"{model_hash[:32]}.sqlite"
        self.model_hash = model_hash

    def get(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the vectors of those texts that are here and whole.

        A vector whose checksum does not match is left out with a warning, so that the caller
        makes it anew.
        """
        by_key = {_key(text): text for text in texts}
        keys = list(by_key)
        found: dict[str, np.ndarray] = {}
        damaged = 0
        with self._connection() as connection:
            for start in range(0, len(keys), _MOST_VARIABLES):
                for key, vector, check in _rows(connection, keys[start : start + _MOST_VARIABLES]):
                    if isinstance(vector, bytes) and check == self._check(key, vector):
                        found[by_key[key]] = np.frombuffer(vector, dtype="<f4").astype(np.float32)
                    else:
                        damaged += 1
        if damaged:
            warnings.warn(
                f"{self.path}: {damaged} cached vectors do not match their checksums; "
                "they are embedded again.",
                stacklevel=2,
            )
        return found

    def put(self, vectors: Mapping[str, np.ndarray]) -> int:
        """Store vectors by text, all or none of them; returns the bytes of the vectors."""
        rows = []
        for text, vector in vectors.items():
            key, data = _key(text), np.asarray(vector, dtype="<f4").tobytes()
            rows.append((key, data, self._check(key, data)))
        with self._connection() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        return sum(len(data) for _, data, _ in rows)

    def _check(self, key: bytes, data: bytes) -> bytes:
        return hashlib.sha256(self.model_hash.encode() + key + data).digest()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # Opened for each call: a connection must not be carried over a fork or into a thread.
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors "
                    "(key BLOB PRIMARY KEY, vector BLOB NOT NULL, checksum BLOB NOT NULL)"
                )
                yield connection
        except sqlite3.OperationalError as error:
            raise RagftError(
                f"vector cache {self.path}: {error}; is the disk full, the folder read-only, or "
                "the file damaged or held by another process? It can be deleted at any time."
            ) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise RagftError(
                f"vector cache {self.path} is damaged ({error}); delete this file and its "
                "vectors are made anew."
            ) from error
        except OSError as error:
            raise RagftError(
                f"vector cache {self.path}: cannot be used ({error}); choose another folder."
            ) from error


def _key(text: str) -> bytes:
    # surrogatepass: text read from odd files may hold lone surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _rows(connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[tuple]:
    wanted = set(keys)
    marks = ",".join("?" * len(keys))
    query = f"SELECT key, vector, checksum FROM vectors WHERE key IN ({marks})"
    # A damaged file may answer with a key that was not asked for.
    return [row for row in connection.execute(query, keys) if row[0] in wanted]
