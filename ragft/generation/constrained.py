"""Decoding that can only say what fits a JSON schema, whatever the model would rather say.

The schema becomes a finite automaton over the model's tokens (outlines-core); after every token
only those that can still lead to a fitting text are left. How tokens are chosen among these lives
in `decoding`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragft.types import RagftError

if TYPE_CHECKING:
    from ragft.generation.local import Completion, LocalModel


class Constrained:
    """A model whose completions fit a JSON schema, unless they are cut by `max_new_tokens`.

    Takes a `LocalModel`'s place wherever prompts are completed; all else is the model's own.

    Parameters
    ----------
    model : LocalModel
    schema : mapping
        Of an object. Keys come in the order in which the schema has them, with one space at most
        between the parts; before the whole there is one space, as in every completion.

    Raises
    ------
    RagftError
        The extra `constrained` is not installed, the schema is none that can be compiled, or the
        tokenizer is of a kind whose tokens cannot be read as text.
    """

    def __init__(self, model: LocalModel, schema: Mapping[str, Any]) -> None:
        self._model = model
        self.allowed = Allowed(model.tokenizer, schema)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def with_adapter(self, adapter: Any) -> Constrained:
        """Return the same with another adapter, sharing weights and automaton."""
        other = object.__new__(Constrained)
        other._model, other.allowed = self._model.with_adapter(adapter), self.allowed
        return other

    def generate(self, prompts: Sequence[str], **options: Any) -> list[Completion]:
        """Complete prompts; see `LocalModel.generate`."""
        return self._model.generate(prompts, allowed=self.allowed, **options)


class Allowed:
    """Which tokens may come after those of an answer so far.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    schema : mapping
    """

    def __init__(self, tokenizer: Any, schema: Mapping[str, Any]) -> None:
        core, build_regex = _core()
        try:
            pattern = " " + build_regex(json.dumps(schema))
            self._index = core.Index(pattern, core.Vocabulary(*_vocabulary(tokenizer)))
        except (ValueError, TypeError) as error:
            raise RagftError(f"constrained decoding: the schema cannot be used: {error}") from error
        self._end = tokenizer.eos_token_id
        self._states: dict[tuple[int, ...], int] = {(): self._index.get_initial_state()}

    def __call__(self, tokens: Sequence[int]) -> list[int]:
        """Return the tokens that may follow; the end token where nothing else may."""
        return self._index.get_allowed_tokens(self._state(tuple(tokens))) or [self._end]

    def _state(self, tokens: tuple[int, ...]) -> int:
        if tokens not in self._states:
            self._states[tokens] = self._index.get_next_state(self._state(tokens[:-1]), tokens[-1])
        return self._states[tokens]


def _core() -> tuple[Any, Any]:
    try:
        import outlines_core
        from outlines_core.json_schema import build_regex_from_schema
    except ImportError as error:
        raise RagftError(
            "constrained decoding needs the extra 'constrained': pip install 'ragft[constrained]'"
        ) from error
    return outlines_core, build_regex_from_schema


def _vocabulary(tokenizer: Any) -> tuple[int, dict[bytes, list[int]]]:
    """Return the end token, and the tokens by the bytes that they stand for."""
    if tokenizer.eos_token_id is None:
        raise RagftError("constrained decoding: the tokenizer has no end token")
    read, found = _reader(tokenizer), {}
    special = set(tokenizer.all_special_ids)
    for number, token in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))):
        if number not in special and token and (text := read(token)):
            found.setdefault(text, []).append(number)
    return tokenizer.eos_token_id, found


def _reader(tokenizer: Any) -> Any:
    """Return what turns a token's name into its bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = str(json.loads(backend.to_str())["decoder"]) if backend is not None else ""
    if "ByteLevel" in decoder:
        of = {letter: byte for byte, letter in bytes_to_unicode().items()}
        # A token that was added later stands for itself.
        return lambda token: (
            bytes(of[c] for c in token) if set(token) <= set(of) else token.encode()
        )
    if "▁" in decoder:
        return _sentence_piece
    raise RagftError(
        f"constrained decoding: tokens of {type(tokenizer).__name__} cannot be read as text; "
        "byte-level and SentencePiece tokenizers can"
    )


def _sentence_piece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()
