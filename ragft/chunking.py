"""Cutting documents into passages with exact offsets.

`document.text[p.start:p.end] == p.text` for every passage, and every character that is not
white space lies in some passage. What is searched or cited lives elsewhere.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ragft.types import Document, Passage, RagftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Span = tuple[int, int]
Tokenizer = Callable[[str], list[Span]]
"""Takes a text, returns the (start, end) offsets of its tokens in order."""

_WORD = re.compile(r"\w+|[^\w\s]")
_SENTENCE_END = re.compile(
    r"""(?P<latin>[.!?…]+["'”’)\]]*)(?=\s+["'“‘(\[]*[^\Wa-z_])  # then a space and no small letter
    |[。！？]+["”’）」』]*  # Chinese and Japanese need no space
    |\n[^\S\n]*(?=\n)  # a blank line
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Gen|Col|Lt|Rev|Hon|Gov|Sen|Rep|No|Vol|Fig|Eq|Sec|vs|cf|al"
    r"|e\.g|i\.e|approx|Inc|Ltd|Co)|\b[^\W\d_])\.$"
)
_HEADING = re.compile(r"^ {0,3}#{1,6}(?:[ \t]|$)")
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


def word_tokens(text: str) -> list[Span]:
    """Return the offsets of words and single punctuation marks: the default tokenizer.

    Examples
    --------
    >>> word_tokens("Ada, 36")
    [(0, 3), (3, 4), (5, 7)]
    """
    return [m.span() for m in _WORD.finditer(text)]


def hf_tokenizer(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """Make a tokenizer for `chunk` from a Hugging Face fast tokenizer.

    Sizes then count the tokens of the model that will read the passages.

    Raises
    ------
    RagftError
        The tokenizer is a slow one, which has no offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise RagftError(
            "chunking: the tokenizer is a slow one, which knows no offsets; "
            "load it with AutoTokenizer.from_pretrained(..., use_fast=True)."
        )

    def offsets(text: str) -> list[Span]:
        encoded = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return [tuple(span) for span in encoded["offset_mapping"]]

    return offsets


def chunk(
    documents: Document | Iterable[Document],
    strategy: str = "sentences",
    size: int = 128,
    overlap: int = 0,
    tokenizer: Tokenizer | None = None,
) -> list[Passage]:
    """Cut documents into passages.

    Parameters
    ----------
    documents : Document or iterable of Document
        Unique ids. Documents of white space alone give no passage.
    strategy : {'sentences', 'tokens', 'markdown', 'whole'}
        'tokens': windows of `size` tokens. 'sentences': whole sentences packed up to
        `size`; a sentence longer than that is cut into windows. 'markdown': sections from
        heading to heading, long ones cut by sentences. 'whole': one passage a document.
    size : int
        Tokens in a passage, at least 1. Offsets of the white space around a passage are cut off.
    overlap : int
        Tokens (for sentences: at most so many, in whole sentences) that a passage repeats
        from the one before; 0 <= overlap < size. Sections never overlap.
    tokenizer : callable, optional
        Text to token offsets; defaults to words and punctuation marks (`word_tokens`). See
        `hf_tokenizer` for counting a model's own tokens.

    Returns
    -------
    list of Passage
        In document order, with ids `{doc_id}#{n}`, n from 0 in each document.

    Raises
    ------
    RagftError
        Unknown strategy, a bad size or overlap, two documents with one id.

    Examples
    --------
    >>> [p.text for p in chunk(Document("d", "One two. Three four."), size=3)]
    ['One two.', 'Three four.']
    """
    cut = _cutter(strategy, size, overlap)
    tokenizer = tokenizer or word_tokens
    passages: list[Passage] = []
    seen: set[str] = set()
    for document in [documents] if isinstance(documents, Document) else documents:
        if document.id in seen:
            raise RagftError(f"chunking: the document id {document.id!r} occurs twice.")
        seen.add(document.id)
        spans = cut(_Text(document.text, tokenizer), size, overlap)
        passages += _passages(document, spans)
    return passages


def _cutter(strategy: str, size: int, overlap: int) -> Callable[..., Iterable[Span]]:
    if strategy not in _STRATEGIES:
        known = ", ".join(sorted(_STRATEGIES))
        raise RagftError(f"chunking: unknown strategy {strategy!r}; choose one of {known}.")
    if not isinstance(size, int) or size < 1:
        raise RagftError(f"chunking: size must be a whole number of at least 1, not {size!r}.")
    if not isinstance(overlap, int) or not 0 <= overlap < size:
        raise RagftError(
            f"chunking: overlap must lie between 0 and size - 1 = {size - 1}, not {overlap!r}."
        )
    return _STRATEGIES[strategy]


def _passages(document: Document, spans: Iterable[Span]) -> Iterator[Passage]:
    number = 0
    for start, end in spans:
        text = document.text[start:end]
        start += len(text) - len(text.lstrip())
        text = text.strip()
        if not text:
            continue
        yield Passage(
            id=f"{document.id}#{number}",
            doc_id=document.id,
            text=text,
            start=start,
            end=start + len(text),
            title=document.title,
            source=document.source,
            collection=document.collection,
            valid_from=document.valid_from,
            valid_to=document.valid_to,
        )
        number += 1


class _Text:
    """A text and where its tokens start, so that it is tokenized once, whatever is counted."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text = text
        self.starts = [start for start, _ in tokenizer(text)]

    def count(self, span: Span) -> int:
        """Return how many tokens start within `span`."""
        return bisect_left(self.starts, span[1]) - bisect_left(self.starts, span[0])


def _whole(text: _Text, size: int, overlap: int, span: Span | None = None) -> list[Span]:
    return [span or (0, len(text.text))]


def _tokens(text: _Text, size: int, overlap: int, span: Span | None = None) -> Iterator[Span]:
    # A window reaches to the start of the token after it, not to the end of its last one:
    # tokenizers may leave characters between tokens, and those must be in some passage too.
    begin, end = span or (0, len(text.text))
    first, last = bisect_left(text.starts, begin), bisect_left(text.starts, end)
    while True:
        stop = first + size
        yield begin, (text.starts[stop] if stop < last else end)
        if stop >= last:
            return
        first = stop - overlap
        begin = text.starts[first]


def _split_sentences(text: str, span: Span) -> Iterator[Span]:
    begin, end = span
    for match in _SENTENCE_END.finditer(text, begin, end):
        stop = match.end()
        if match["latin"] == "." and _ABBREVIATION.search(text, max(begin, stop - 12), stop):
            continue
        yield begin, stop
        begin = stop
    yield begin, end


def _sentences(text: _Text, size: int, overlap: int, span: Span | None = None) -> Iterator[Span]:
    packed: list[Span] = []
    for sentence in _split_sentences(text.text, span or (0, len(text.text))):
        if packed and text.count((packed[0][0], sentence[1])) > size:
            yield packed[0][0], packed[-1][1]
            packed = _tail(text, packed, min(overlap, size - text.count(sentence)))
        if text.count(sentence) > size:
            yield from _tokens(text, size, overlap, sentence)
        else:
            packed.append(sentence)
    if packed:
        yield packed[0][0], packed[-1][1]


def _tail(text: _Text, sentences: list[Span], tokens: int) -> list[Span]:
    """Return the last sentences that hold at most so many tokens together."""
    end = sentences[-1][1]
    keep = len(sentences)
    while keep > 1 and text.count((sentences[keep - 1][0], end)) <= tokens:
        keep -= 1
    return sentences[keep:]


def _headings(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end of the heading's own lines), skipping fenced code."""
    fence, position, before = "", 0, (0, "")
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and _HEADING.match(line):
            yield position, position + len(line)
        elif not fence and _UNDERLINE.match(line) and before[1].strip():
            yield before[0], position + len(line)
        before = (position, "" if _HEADING.match(line) or fence or mark else line)
        position += len(line)


def _sections(text: str) -> Iterator[Span]:
    begin, heading_end = 0, 0
    for start, end in _headings(text):
        # A heading without text of its own stays with the section below it.
        if text[heading_end:start].strip():
            yield begin, start
            begin = start
        heading_end = end
    yield begin, len(text)


def _markdown(text: _Text, size: int, overlap: int) -> Iterator[Span]:
    for section in _sections(text.text):
        if text.count(section) <= size:
            yield section
        else:
            yield from _sentences(text, size, overlap, section)


_STRATEGIES: dict[str, Any] = {
    "tokens": _tokens,
    "sentences": _sentences,
    "markdown": _markdown,
    "whole": _whole,
}
