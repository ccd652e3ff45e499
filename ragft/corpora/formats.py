"""From the bytes of one file to its text: Markdown, plain text, HTML and PDF.

What cannot be read says why. HTML and PDF need the extra `documents`: markitdown's own converters
turn them into Markdown, called one by one, so that no address is opened, no plug-in is loaded and
no kind of file is guessed. Folders and histories live in `files` and `git`.
"""

from __future__ import annotations

import codecs
import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ragft.corpora.markdown import title_of, without_comments
from ragft.types import RagftError

KINDS = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
}
"""What a file is, by the end of its name in small letters."""
MAX_BYTES = 20 * 2**20
"""A file of more is no document (the complete works of Shakespeare are 5.5 million)."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_AS_BROWSERS_DO = {
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii"), "cp1252"),
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be"), "utf-8"),
}
"""What a declared encoding means where that is not what it says (WHATWG, Encoding)."""


class Unreadable(Exception):
    """A file that gives no text; the reason in few words, and what was found in this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Parsed:
    """What a file says."""

    text: str
    title: str
    hidden: tuple[tuple[str, str], ...] = ()
    """(way, words) of each stretch of text that its readers do not see; not in `text`."""


def kind_of(name: str) -> str:
    """Return 'markdown', 'text', 'html', 'pdf', or '' for any other kind of file."""
    return KINDS.get(PurePosixPath(name).suffix.lower(), "")


def is_rows(name: str) -> bool:
    """Tell whether a file holds documents as rows of JSON Lines; `jsonl` reads those."""
    return PurePosixPath(name).suffix.lower() == ".jsonl"


def parse(name: str, data: bytes) -> Parsed:
    """Return the text of a file.

    Parameters
    ----------
    name : str
        Its end says what kind of file it is; the rest is the title where there is no heading.
    data : bytes
        The whole file.

    Raises
    ------
    Unreadable
        Empty, enormous, binary, wrongly encoded, damaged, or another kind of file.
    RagftError
        The extra `documents` is not installed.
    """
    check_size(len(data))
    if not data.strip():
        raise Unreadable("empty")
    kind = kind_of(name)
    if not kind:
        raise Unreadable("another kind of file")
    text, title, hidden = _READERS[kind](data)
    # Lone surrogates, which PDF fonts can give, have no UTF-8 form: nothing later could write them.
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    if not text.strip():
        raise Unreadable("empty", "all of its text is hidden" if hidden else f"{kind} without text")
    check_size(len(text))  # a PDF is packed: it can hold a thousand times its size
    return Parsed(text, title_of(text, title or PurePosixPath(name).name), hidden)


def check_size(count: int) -> None:
    """Raise `Unreadable` for more bytes or characters than a document may have."""
    if count > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES / 2**20:g} MiB", f"{count / 2**20:.1f} MiB")


def decode(data: bytes, declared: str = "") -> str:
    """Return the text of bytes: by their byte order mark, else as declared, else as UTF-8.

    Raises
    ------
    Unreadable
        Binary, or bytes that the encoding does not have.
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "")
    if not encoding and b"\0" in data:
        raise Unreadable("binary")
    encoding = encoding or _AS_BROWSERS_DO.get(declared.lower(), declared) or "utf-8"
    try:
        text = data.decode(encoding)
    except (UnicodeError, LookupError, ValueError):
        raise Unreadable("wrongly encoded", f"no {encoding}; save it as UTF-8") from None
    if "\0" in text:
        raise Unreadable("binary")
    return text


Read = tuple[str, str, tuple[tuple[str, str], ...]]
"""Text, title ('' without one), hidden stretches."""


def _text(data: bytes) -> Read:
    return decode(data), "", ()


def _markdown(data: bytes) -> Read:
    text, comments = without_comments(decode(data))
    return text, "", tuple(("comment", words) for words in comments)


def _html(data: bytes) -> Read:
    with _extra("an HTML file"):
        from bs4 import BeautifulSoup
        from markitdown.converters import HtmlConverter

        from ragft.corpora.hidden_html import take_hidden
    charset = _CHARSET.search(data[:4096])
    text = decode(data, charset[1].decode("ascii") if charset else "")
    with _damaged("HTML"), _quiet("bs4.dammit"):
        soup = BeautifulSoup(text, "html.parser")
        title = soup.title.get_text(" ", strip=True) if soup.title else ""
        hidden = take_hidden(soup)
        return HtmlConverter().convert_string(str(soup), strict=True).markdown, title, hidden


def _pdf(data: bytes) -> Read:
    if b"%PDF-" not in data[:1024]:  # Adobe's readers allow so many bytes before it
        raise Unreadable("no PDF, although its name says so")
    with _extra("a PDF file"):
        from markitdown import StreamInfo
        from markitdown.converters import PdfConverter
    with _damaged("PDF"), _quiet("pdfminer"):
        found = PdfConverter().convert(io.BytesIO(data), StreamInfo(extension=".pdf"))
    return found.markdown.replace("\f", "\n\n"), "", ()


_READERS: dict[str, Any] = {"text": _text, "markdown": _markdown, "html": _html, "pdf": _pdf}


@contextmanager
def _extra(what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise RagftError(
            f"reading {what} needs the extra 'documents' ({error.name} is missing): "
            "pip install 'ragft[documents]'"
        ) from error


@contextmanager
def _damaged(kind: str) -> Iterator[None]:
    """Turn whatever a parser raises into a reason: one bad file must not end the reading of all."""
    try:
        yield
    except RecursionError:
        raise Unreadable(f"damaged {kind}", "nested too deeply") from None
    except Exception as error:
        words = " ".join(str(error).split())[:100]
        raise Unreadable(f"damaged {kind}", f"{type(error).__name__} {words}".strip()) from error


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Keep a parser's warnings about single bytes off the terminal."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
