"""Replies of a call that did not end, kept until the same call is made again.

Whole cells are kept by `records`; without this a server that fails at the last of 300 questions,
or an interruption there, would lose 299 that were waited and perhaps paid for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ragft import files, runtime
from ragft.generation.replies import Reply


class Unfinished:
    """The replies of one call.

    Parameters
    ----------
    call : mapping
        All that the replies depend on, as JSON can hold it.
    """

    def __init__(self, call: Mapping[str, Any]) -> None:
        name = f"{files.sha256_json(call)[:32]}.json"
        self.path = runtime.cache_dir() / "unfinished" / name

    def read(self) -> tuple[dict[int, Reply], float]:
        """Return the replies by number, and the seconds that they took.

        None and 0, where there is no such call or its file is broken: the server is asked again.
        """
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            kept = files.from_json(files.find_sealed(self.path)["kept"])
            replies = {int(number): Reply(**row) for number, row in kept["replies"].items()}
            return replies, float(kept["seconds"])
        return {}, 0.0

    def keep(self, replies: Mapping[int, Reply], seconds: float) -> None:
        """Write the replies and the seconds that they took, if there are any."""
        rows = {str(number): asdict(reply) for number, reply in dict(replies).items()}
        if rows:
            # text within text, because a sealed file makes null of NaN
            kept = json.dumps({"seconds": seconds, "replies": rows})
            files.atomic_write(self.path, files.sealed_json({"kept": kept}))

    def forget(self) -> None:
        """Remove what was kept."""
        self.path.unlink(missing_ok=True)
