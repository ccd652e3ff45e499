"""Questions made of headings and sentences: what is asked, what is cut, what is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.corpora.known_item import Item, content_words, cut, known_items, sentences
from ragft.types import Document, RagftError

REST = "Cargo ships wait outside while tugs break the frozen surface with heavy iron hulls. "
ASKED = "The harbour of Tarmo freezes over every January."


def texts(found):
    return [question.text for question in found.questions]


def test_a_sentence_is_asked_and_cut_out_of_its_document():
    document = Document("d", f"Ice.\n\n{ASKED}\n{REST}", "Ports", source="ports.md")
    found = known_items([document], seed=3, kinds="sentence")
    (question,), (item,), (left,) = found.questions, found.items, found.documents
    assert question.text in (ASKED, REST.strip()) and item.words == question.text
    assert question.text not in left.text and left.id == "d" and left.title == "Ports"
    assert (question.kind, question.relation, question.supporting) == (
        "known_item",
        "sentence",
        ("d",),
    )
    assert question.cluster_key == "ports.md" and question.answers == () and question.answerable


def test_a_heading_is_cut_out_and_its_marks_stay():
    document = Document("d", f"# Ports\n\n## Frozen harbours ##\n{REST}", "Ports")
    found = known_items([document], kinds="heading")
    assert texts(found) == ["Frozen harbours"]
    assert found.documents[0].text == f"# Ports\n\n##  ##\n{REST}"
    assert found.left_out == {"too short": 1}


def test_what_stands_twice_is_left_out():
    one = Document("a", f"## Frozen harbours\n{REST}")
    two = Document("b", f"## frozen *Harbours*\n{REST.upper()}")
    found = known_items([one, two], kinds="heading")
    assert found.questions == () and found.left_out == {"ambiguous": 2}
    long = f"{REST}And here is {ASKED.lower()} {REST}"
    found = known_items(
        [Document("a", ASKED + " " + REST * 2), Document("b", long)], kinds="sentence"
    )
    assert ASKED not in texts(found) and found.left_out["ambiguous"] >= 1


def test_every_reason_is_counted():
    document = Document(
        "d",
        f"# Frozen harbours of Tarmo\n\n## Ice\n\n{ASKED}\n\nIt is so.\n\n"
        f"{'Ships sail and ' * 20}end.",
        "Frozen harbours of Tarmo",
    )
    found = known_items([document])
    assert texts(found) == [ASKED]
    assert found.left_out == {"title": 1, "too long": 1, "too short": 2}
    alone = known_items([Document("d", ASKED)])
    assert alone.questions == () and alone.left_out == {"nothing left": 1}
    assert alone.documents == (Document("d", ASKED),)
    assert alone.counts() == {
        "questions": {"heading": 0, "sentence": 0},
        "left_out": {"nothing left": 1},
    }


def test_the_content_that_must_be_left_is_counted_without_the_question():
    seven = "Alpha bravo charlie delta echoes foxtrot golfing"
    assert known_items([Document("d", f"{ASKED} {seven}")]).left_out == {"nothing left": 1}
    assert texts(known_items([Document("d", f"{ASKED} {seven} hotel")])) == [ASKED]


def many(count=40):
    return [
        Document(
            f"d{n}",
            f"## Heading word{n} here{n}\n\nThe first{n} sentence{n} names harbour{n} "
            f"ships{n} ice{n}. "
            f"The other{n} phrase{n} names cargo{n} tugs{n} iron{n}. {REST}",
        )
        for n in range(count)
    ]


def test_half_of_each_kind_one_a_document_and_no_more_than_wanted():
    found = known_items(many(), n=10)
    assert Counter(item.kind for item in found.items) == {"heading": 5, "sentence": 5}
    assert len({item.doc_id for item in found.items}) == 10
    # 40 headings and 80 sentences of their own; REST stands in all 40 documents
    assert found.left_out == {"ambiguous": 40, "not drawn": 110}
    assert len(known_items(many(), n=1000).questions) == 40
    assert {item.kind for item in known_items(many(), n=10, kinds="heading").items} == {"heading"}


def test_the_draw_depends_on_the_seed_and_the_words_alone():
    documents = many()
    one, again = known_items(documents, n=10, seed=1), known_items(documents[::-1], n=10, seed=1)
    assert one.items == again.items and one.questions == again.questions
    assert set(known_items(documents, n=10, seed=2).items) != set(one.items)
    # Of the same sentences the same are drawn again once others have gone.
    left = [d for d in documents if d.id in {i.doc_id for i in one.items} or d.id < "d2"]
    assert set(one.items) <= set(known_items(left, n=14, seed=1).items)


def test_ids_hold_no_space_and_are_unique():
    found = known_items([replace(d, id=f"a b {d.id}") for d in many()], n=40)
    assert len({q.id for q in found.questions}) == 40
    assert not any(c.isspace() for q in found.questions for c in q.id)


def test_items_are_cut_out_of_older_versions_too():
    item = Item("sentence", ASKED, "new", "ports.md")
    heading = Item("heading", "Frozen harbours", "new", "ports.md")
    old = Document(
        "old", "Other. The harbour of\n> Tarmo. " + ASKED.replace(" ", "\n"), source="ports.md"
    )
    copied = Document(
        "copy", f"## Frozen harbours\n{ASKED} Frozen harbours stay.", source="else.md"
    )
    without = Document("none", "Nothing of it.", source="ports.md")
    documents, held = cut([old, copied, without], [item, heading])
    assert held == {item: ("old",), heading: ()}
    assert documents[0].text == "Other. The harbour of\n> Tarmo.  "
    assert documents[1].text == "## \n  Frozen harbours stay."
    assert documents[2] is without


def test_sentences_of_prose_alone():
    text = """---
title: Metadata. Not prose.
---
Underlined. Not a sentence.
===
# A heading. Of two parts.
One of
two lines. Second "sentence!" Third (in brackets.) and so on. v1.2 is small.

- An item
  goes on here.
1. Numbered one. – Dash first.
| A table. | It is. |
> A quote. Not ours.
    indented = code. Here.
```
Fenced. Code.
```
See https://example.org for more. Mr. Smith met J. Doe, e.g. Today. No end here
"""
    assert list(sentences(text)) == [
        "One of two lines.",
        'Second "sentence!"',
        "Third (in brackets.) and so on. v1.2 is small.",
        "An item goes on here.",
        "Numbered one.",
        "Mr. Smith met J. Doe, e.g. Today.",
    ]


def test_content_words():
    assert content_words("It's the state-of-the-art of my_name at 3 pm, 2nd É.") == [
        "it's", "state-of-the-art", "my_name", "3", "2nd"
    ]  # fmt: skip


@given(st.lists(st.text("AbZ .!\n#-`é1", max_size=200), max_size=4), st.integers(0, 3))
def test_whatever_is_asked_is_gone_and_leads_to_one_document(made, seed):
    documents = [Document(f"d{n}", text) for n, text in enumerate(made)]
    found = known_items(documents, seed=seed)
    assert [d.id for d in found.documents] == [d.id for d in documents]
    for item, question in zip(found.items, found.questions, strict=True):
        assert question.supporting == (item.doc_id,) and question.text.strip()
        (left,) = (d for d in found.documents if d.id == item.doc_id)
        if item.kind == "sentence":
            assert item.words not in " ".join(left.text.split())


@pytest.mark.parametrize("options", [{"n": 0}, {"kinds": "title"}, {"kinds": ()}])
def test_misuse_is_named(options):
    with pytest.raises(RagftError, match="known_items: n="):
        known_items(many(), **options)
