"""Raw text as examples: nothing is lost, and nothing stands before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragft.chunking import chunk
from ragft.training.from_documents import plain_text, text_examples
from ragft.types import Document

DOCUMENTS = [
    Document("a", "Tarmo lies in Oslo. It makes pumps. It is old.", "Tarmo"),
    Document("b", "Velka", "Velka"),
    Document("c", "Ravik is a town.", source="towns/ravik"),
    Document("d", " ", "Empty"),
]


@given(st.text(max_size=30))
def test_prompt_and_completion_are_the_text(text):
    example = plain_text(text)
    assert example.prompt + example.completion == text
    assert len(example.prompt.split()) <= 1


def test_a_document_is_an_example_and_one_word_is_none():
    found = text_examples(DOCUMENTS)
    assert [(e.prompt, e.subject) for e in found] == [("Tarmo", "Tarmo"), ("Ravik", "towns/ravik")]
    assert found[0].completion == " lies in Oslo. It makes pumps. It is old."
    assert text_examples([]) == []


def test_long_documents_are_cut_to_passages_and_every_word_is_learnt_or_begins_one():
    found = text_examples(DOCUMENTS, lambda document: chunk(document, size=5))
    assert [e.prompt + e.completion for e in found] == [
        "Tarmo lies in Oslo.", "It makes pumps.", "It is old.", "Ravik is a town.",
    ]  # fmt: skip
    assert [e.subject for e in found] == ["Tarmo"] * 3 + ["towns/ravik"]
