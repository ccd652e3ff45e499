"""Known-item questions: a heading or a sentence of a text, which must be found again.

For documents that nobody has written questions for. The words asked about are cut out of what is
indexed, so that only what stands around them can lead back. No answer is known, so these questions
serve retrieval alone.

Source: sentences as questions about the text around them are the inverse cloze task of Lee, Chang
and Toutanova (2019), ACL; finding one known document again is known-item search, Azzopardi, de
Rijke and Balog (2007), SIGIR.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ragft.corpora.markdown import body, headings, plain
from ragft.types import Document, Question, RagftError

KINDS = ("heading", "sentence")
"""What is asked with; `Question.relation`."""
MIN_WORDS = {"heading": 2, "sentence": 5}
"""Content words that a question must have."""
MOST_WORDS = 40
"""Of a sentence; a longer one is no sentence but a list or a table."""
MIN_AROUND = 8
"""Content words that must be left of the text once the question is cut out."""

_STOP = frozenset(
    "a about after all also an and any are as at be been but by can could did do does each for "
    "from had has have he her his how if in into is it its may more most no not of on one only or "
    "other our out over she should so some such than that the their them then there these they "
    "this those to under up was we were what when where which while who will with would you "
    "your".split()
)
_WORD = re.compile(r"[^\W_]+(?:['’._-][^\W_]+)*")
_CODE = re.compile(
    r"^ {0,3}(`{3,}+|~{3,}+)[^\n]*+\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_LINE_OF_NO_PROSE = re.compile(r"[ \t]*(?:\||#|>|<|\$|={3,}|-{3,}| {4}|\t)")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d+[.)])[ \t]+")
_END = re.compile(r"[.!?…。！？]+[\"'”’)\]*_`]*(?=\s+[^\sa-zß-ÿ]|\s*$)")
_SHORTENED = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|cf|vs|al|Dr|Mr|Mrs|Ms|No|Fig|Eq|Sec)|\b[^\W\d_])\.$"
)


@dataclass(frozen=True)
class Item:
    """A heading or a sentence of a text."""

    kind: str
    words: str
    """As it stands in the text, white space made single."""
    doc_id: str
    source: str

    @property
    def question(self) -> str:
        """What is asked: the words without inline marks."""
        return plain(self.words)


@dataclass(frozen=True)
class KnownItems:
    """Questions, and the documents without the words that are asked about."""

    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    items: tuple[Item, ...]
    """One a question."""
    left_out: Mapping[str, int]
    """Headings and sentences that are no questions, by reason."""

    def counts(self) -> dict[str, Any]:
        """Return the questions by kind and `left_out`, as JSON can hold them."""
        kinds = Counter(item.kind for item in self.items)
        return {
            "questions": {kind: kinds[kind] for kind in KINDS},
            "left_out": dict(self.left_out),
        }


def known_items(
    documents: Iterable[Document],
    n: int = 300,
    seed: int = 0,
    kinds: str | Sequence[str] = KINDS,
) -> KnownItems:
    """Make questions out of headings and sentences, at most one from each document.

    Left out, and counted by reason: what stands in more than one document ('ambiguous': headings
    as headings, sentences anywhere), what has too few content words ('too short') or too many
    words ('too long'), what is the document's title, and what would leave too little around it
    ('nothing left'). What was good but not drawn counts as 'not drawn'.

    Parameters
    ----------
    documents : iterable of Document
        Unique ids, in force on one day. For long texts give passages as documents of their own:
        what is found again is the document.
    n : int
        Questions, at most; half of each kind where there are enough.
    seed : int
        Of the draw, which depends on the words alone: the same sentence is drawn again when
        other documents change.
    kinds : {'heading', 'sentence'} or both

    Returns
    -------
    KnownItems
        Questions have the kind 'known_item', the document's id in `supporting`, its source (or
        id) as subject, which is what the bootstrap resamples, and 'heading' or 'sentence' as
        relation. No questions where there is nothing to ask about.

    Raises
    ------
    RagftError
        `n` below 1, or an unknown kind.

    Examples
    --------
    >>> text = "The harbour of Tarmo freezes over every January. " + "Ice is thick. " * 9
    >>> found = known_items([Document("d", text)])
    >>> found.questions[0].text
    'The harbour of Tarmo freezes over every January.'
    >>> "Tarmo" in found.documents[0].text
    False
    """
    wanted = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if n < 1 or not wanted or set(wanted) - set(KINDS):
        raise RagftError(f"known_items: n={n} and kinds={wanted}: n from 1, kinds of {KINDS}")
    documents = tuple(documents)
    left_out: Counter[str] = Counter()
    good = list(_good(documents, wanted, left_out))
    good.sort(key=lambda item: _draw(item, seed))
    items = _drawn(good, documents, n, wanted, left_out)
    texts, held = cut(documents, items)
    questions = tuple(_question(item, held[item]) for item in items)
    counts = {reason: count for reason, count in sorted(left_out.items()) if count}
    return KnownItems(texts, questions, tuple(items), counts)


def cut(
    documents: Iterable[Document], items: Iterable[Item]
) -> tuple[tuple[Document, ...], dict[Item, tuple[str, ...]]]:
    """Take the words of items out of documents, whichever they were taken from.

    Of a heading the words go and its marks stay, so that its section stays one. Line breaks do
    not matter: a paragraph that was wrapped anew holds the same sentence.

    Returns
    -------
    tuple of Document
        Without the words; ids, titles and order as before.
    dict of Item to tuple of str
        The documents of the item's own source that held it; () where none did.
    """
    items = tuple(items)
    held: dict[Item, list[str]] = {item: [] for item in items}
    found = []
    for document in documents:
        flat = " ".join(document.text.split())
        text = document.text
        for item in (item for item in items if item.words in flat):
            without = _without(text, item)
            if without != text and _source(document) == item.source:
                held[item].append(document.id)
            text = without
        found.append(document if text == document.text else replace(document, text=text))
    return tuple(found), {item: tuple(ids) for item, ids in held.items()}


def content_words(text: str) -> list[str]:
    """Return the words that say something, in small letters: of 3 letters or with a digit.

    Examples
    --------
    >>> content_words("The cat is on the 2nd mat.")
    ['cat', '2nd', 'mat']
    """
    words = (word.lower() for word in _WORD.findall(text))
    return [w for w in words if w not in _STOP and (len(w) > 2 or any(map(str.isdigit, w)))]


def _source(document: Document) -> str:
    return document.source or document.id


def _good(
    documents: Sequence[Document], kinds: Sequence[str], left_out: Counter[str]
) -> Iterator[Item]:
    """Yield what may be asked; only that a sentence stands nowhere else is not known yet."""
    every = [item for document in documents for item in _items(document, kinds)]
    seen = Counter((item.kind, _folded(item.words)) for item in every)
    by_id = {document.id: document for document in documents}
    sizes = {i: Counter(content_words(document.text)) for i, document in by_id.items()}
    for item in every:
        words = Counter(content_words(item.question))
        around = (sizes[item.doc_id] - words).total()
        if reason := _reason(item, words.total(), around, by_id[item.doc_id], seen):
            left_out[reason] += 1
        else:
            yield item


def _reason(
    item: Item, words: int, around: int, document: Document, seen: Mapping[tuple[str, str], int]
) -> str:
    """Return why an item is no question; '' where it is one."""
    if words < MIN_WORDS[item.kind]:
        return "too short"
    if len(item.words.split()) > MOST_WORDS:
        return "too long"
    if seen[item.kind, _folded(item.words)] > 1:
        return "ambiguous"
    if _folded(item.question) == _folded(document.title):
        return "title"
    return "nothing left" if around < MIN_AROUND else ""


def _drawn(
    good: Sequence[Item],
    documents: Sequence[Document],
    n: int,
    kinds: Sequence[str],
    left_out: Counter[str],
) -> list[Item]:
    """Return at most `n` items in order, one a document, kinds in turn while both last."""
    texts = {d.id: " ".join(d.text.split()).casefold() for d in documents}
    queues = {kind: deque(item for item in good if item.kind == kind) for kind in kinds}
    taken: dict[str, Item] = {}
    waiting = [kind for kind in kinds if queues[kind]]
    while waiting and len(taken) < n:
        kind = waiting.pop(0)
        while queues[kind]:
            item = queues[kind].popleft()
            if item.doc_id in taken:
                left_out["not drawn"] += 1
            elif kind == "sentence" and sum(item.words.casefold() in t for t in texts.values()) > 1:
                left_out["ambiguous"] += 1
            else:
                taken[item.doc_id] = item
                break
        waiting += [kind] if queues[kind] else []
    left_out["not drawn"] += sum(map(len, queues.values()))
    return list(taken.values())


def _draw(item: Item, seed: int) -> bytes:
    # By the words alone, so that a question asked on one day is asked on the next as well.
    return hashlib.sha256(f"{seed}\n{item.kind}\n{item.source}\n{item.words}".encode()).digest()


def _folded(words: str) -> str:
    return " ".join(_WORD.findall(plain(words).casefold()))


def _question(item: Item, supporting: tuple[str, ...]) -> Question:
    name = hashlib.sha256(f"{item.kind}\n{item.source}\n{item.words}".encode()).hexdigest()[:12]
    return Question(
        f"{item.kind}-{name}",
        item.question,
        subject=item.source,
        relation=item.kind,
        kind="known_item",
        supporting=supporting,
    )


def _items(document: Document, kinds: Sequence[str]) -> Iterator[Item]:
    home = document.id, _source(document)
    if "heading" in kinds:
        for heading in headings(document.text):
            yield Item("heading", " ".join(heading.text.split()), *home)
    if "sentence" in kinds:
        for sentence in sentences(document.text):
            yield Item("sentence", sentence, *home)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of the prose in a text, white space made single.

    Code, tables, quotes, headings and fragments (which begin with no letter or a small one, end
    without a full stop or in a shortened word, or hold an address) are passed over.

    Examples
    --------
    >>> list(sentences("# No\\n\\n- An item. And (e.g. here) it ends.\\n\\n| no | table. |\\n"))
    ['An item.', 'And (e.g. here) it ends.']
    """
    for block in _blocks(_CODE.sub("\n\n", body(text))):
        begin = 0
        for match in _END.finditer(block):
            if _SHORTENED.search(block, max(0, match.end() - 6), match.end()):
                continue
            sentence, begin = block[begin : match.end()].strip(), match.end()
            first = sentence.lstrip("\"'“‘([*_`")[:1]
            if first.isalnum() and not first.islower() and "://" not in sentence:
                yield sentence


def _blocks(text: str) -> Iterator[str]:
    """Yield paragraphs and items of lists, each in one line."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        item = _ITEM.match(line)
        prose = line.strip() and (item or not _LINE_OF_NO_PROSE.match(line) or lines)
        prose = prose and not line.lstrip().startswith(("|", "#", ">"))
        if (item or not prose) and lines:
            yield " ".join(" ".join(lines).split())
            lines = []
        if prose:
            lines.append(line[item.end() :] if item else line)


def _without(text: str, item: Item) -> str:
    words = r"\s+".join(map(re.escape, item.words.split()))
    if item.kind == "sentence":
        return re.sub(words, " ", text)
    places = [(h.start, h.end) for h in headings(text) if " ".join(h.text.split()) == item.words]
    for start, end in reversed(places):
        text = text[:start] + text[end:]
    return text
