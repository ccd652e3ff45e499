"""Training never sees what is measured: halves by documents, hard negatives from the same half."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.chunking import chunk
from ragft.retrieval.pairs import Pair, mine_pairs, split_by_documents, title_pairs
from ragft.types import Document, Passage, Question, RagftError


def documents(count, sources=None):
    return [
        Document(f"d{i}", f"text {i}", source=f"s{i % sources}" if sources else "")
        for i in range(count)
    ]


SUPPORTING = st.lists(st.lists(st.integers(0, 11), max_size=4, unique=True), min_size=1)


@settings(deadline=None)
@given(SUPPORTING, st.integers(0, 9), st.sampled_from([None, 4]))
def test_nothing_is_in_both_halves(supporting, seed, sources):
    held = documents(12, sources)
    asked = [
        Question(f"q{n}", "text", supporting=tuple(f"d{i}" for i in ids))
        for n, ids in enumerate(supporting)
    ]
    try:
        halves = split_by_documents(held, asked, seed=seed)
    except RagftError as error:
        assert "both need one" in str(error)
        return
    one, two = ({d.id for d in half.documents} for half in halves)
    assert not one & two and one | two == {d.id for d in held}
    if sources:
        one_source, two_source = ({d.source for d in half.documents} for half in halves)
        assert not one_source & two_source
    questions = [q.id for half in halves for q in half.questions]
    assert len(questions) == len(set(questions))
    assert set(questions) == {q.id for q in asked if q.supporting}
    for half, ids in zip(halves, (one, two), strict=True):
        for question, wanted in zip(half.questions, half.supporting, strict=True):
            assert wanted == tuple(i for i in question.supporting if i in ids) and wanted
            others = len(question.supporting) - len(wanted)
            # A question with as many documents in both halves is held out.
            assert len(wanted) > others or (half is halves[1] and len(wanted) == others)


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    held = documents(40)
    asked = [Question(f"q{i}", "text", supporting=(f"d{i}",)) for i in range(40)]

    def ids(*arguments, **options):
        return [{d.id for d in h.documents} for h in split_by_documents(*arguments, **options)]

    assert ids(held, asked) == ids(held[::-1], asked) != ids(held, asked, seed=1)
    assert [len(half) for half in ids(held, asked, share=0.25)] == [10, 30]


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_share_that_leaves_no_half_is_refused(share):
    with pytest.raises(RagftError, match=f"share must lie between 0 and 1, not {share}"):
        split_by_documents(documents(4), [], share)


def test_questions_on_one_half_alone_are_refused():
    asked = [Question("q0", "text", supporting=("d0",)), Question("q1", "text")]
    with pytest.raises(RagftError, match="of 2 questions . are about the documents for training"):
        split_by_documents(documents(4), asked)


FRUIT = [
    Document("d0", "Apples are red. Pears are green."),
    Document("d1", "Apples are cheap, apples are round."),
    Document("d2", "The sky is blue."),
]


def test_hard_negatives_share_words_and_are_not_right():
    passages = chunk(FRUIT, size=5)
    asked = [Question("q", "green pears", supporting=("d0", "d2"))]
    (one, two) = mine_pairs(passages, asked, [("d0", "d2")], negatives=1)
    # Of a document the passage that shares most words; never one of a document that is right.
    assert one.positive == "Pears are green." and two.positive == "The sky is blue."
    assert all(set(pair.negatives) <= {p.text for p in passages if p.doc_id == "d1"}
               for pair in (one, two))  # fmt: skip


def test_a_document_of_the_other_half_is_no_negative_either():
    passages = [Passage(f"{d.id}#0", d.id, d.text, 0, len(d.text)) for d in FRUIT]
    asked = [Question("q", "apples", supporting=("d0", "d1"))]
    (pair,) = mine_pairs(passages, asked, [("d0",)], negatives=5)
    assert pair.negatives == ("The sky is blue.",)


def test_only_the_first_by_words_are_drawn_and_the_seed_decides():
    near = [Passage(f"n{i}#0", f"n{i}", f"apples {i}", 0, 8) for i in range(30)]
    far = [Passage(f"f{i}#0", f"f{i}", f"sky {i}", 0, 5) for i in range(90)]
    asked = [Question("q", "apples", supporting=("n0",))]

    def drawn(seed):
        return mine_pairs([*far, *near], asked, [("n0",)], negatives=5, seed=seed)[0].negatives

    assert all(text.startswith("apples") and text != "apples 0" for text in drawn(0))
    assert drawn(0) == drawn(0) != drawn(1) and len(set(drawn(0))) == 5


def test_documents_without_a_passage_are_passed_over():
    asked = [Question("q", "apples", supporting=("gone",))]
    assert mine_pairs(chunk(FRUIT), asked, [("gone",)]) == []
    assert mine_pairs([], asked, [("gone",)]) == [] and mine_pairs(chunk(FRUIT), [], []) == []
    with pytest.raises(RagftError, match="negatives must be at least 0, not -1"):
        mine_pairs(chunk(FRUIT), asked, [("gone",)], negatives=-1)


def test_a_title_asks_for_its_text_and_is_not_left_in_it():
    held = [
        Document("a", "the wing\nA wing lifts.", "the wing"),
        Document("b", "No title here."),
        Document("c", "Panthers", "Super_Bowl"),
        Document("d", "same", "same"),
    ]
    assert title_pairs(held) == [Pair("the wing", "A wing lifts."), Pair("Super Bowl", "Panthers")]
