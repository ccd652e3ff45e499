"""Training examples made from documents: their text as it stands, without any question.

Which documents, and what is done with the adapter, is decided in the experiments; questions and
answers about them are made in `from_questions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ragft.types import Document, Example, Passage


def plain_text(text: str, subject: str = "") -> Example:
    """Return a text as language modelling sees it: its own words, and nothing before them.

    A prompt must not be empty, so the first word is the prompt and the loss is on all that
    follow; of a single word nothing follows. A title or an instruction before it would already
    say what the text answers.

    Examples
    --------
    >>> plain_text("Tarmo is based in Oslo.").completion
    ' is based in Oslo.'
    """
    first = re.match(r"\s*\S*", text).end()
    return Example(text[:first], text[first:], subject)


def text_examples(
    documents: Sequence[Document], cut: Callable[[Document], Sequence[Passage]] | None = None
) -> list[Example]:
    """Make examples of the raw text of documents, cut to what a model can read at once.

    Raw text with paraphrases is this over the documents and over rewordings of them, one after
    the other; of a made-up world the experiments make rewordings, elsewhere a model must.

    Parameters
    ----------
    documents : sequence of Document
        Of any corpus; may be empty.
    cut : callable, optional
        Document → its passages: `lambda d: chunk(d, size=..., tokenizer=...)`, with the model's
        own tokenizer. Without it documents stay whole, and `finetune` refuses one that is
        longer than the context.

    Returns
    -------
    list of Example
        One for each document or passage, in order, with the title as the subject; texts of fewer
        than two words, of which there is nothing to learn, are left out.
    """
    texts = (
        (part.text, document.title or document.source)
        for document in documents
        for part in (cut(document) if cut else [document])
    )
    examples = (plain_text(text, subject) for text, subject in texts)
    return [example for example in examples if example.completion.strip()]
