"""Passages have exact offsets and lose no text; each strategy cuts where it says."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.chunking import chunk, hf_tokenizer, word_tokens
from ragft.types import Document, RagftError

TEXTS = st.text(
    st.sampled_from(list("abÄ1 .!?\n\t#=-`'\"。_,é🙂")) | st.characters(codec="utf-8"), max_size=200
)
STRATEGIES = ("tokens", "sentences", "markdown", "whole")


def texts(passages):
    return [p.text for p in passages]


@settings(deadline=None)
@given(TEXTS, st.sampled_from(STRATEGIES), st.integers(1, 12), st.data())
def test_offsets_are_exact_and_no_character_is_lost(text, strategy, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    passages = chunk(Document("d", text), strategy, size, overlap)
    covered = set()
    for n, p in enumerate(passages):
        assert p.id == f"d#{n}"
        assert text[p.start : p.end] == p.text
        assert p.text and p.text == p.text.strip()
        covered.update(range(p.start, p.end))
    assert covered >= {i for i, c in enumerate(text) if not c.isspace()}


@settings(deadline=None)
@given(TEXTS, st.sampled_from(("tokens", "sentences", "markdown")), st.integers(1, 12), st.data())
def test_no_passage_is_longer_than_size(text, strategy, size, data):
    passages = chunk(Document("d", text), strategy, size, data.draw(st.integers(0, size - 1)))
    assert all(len(word_tokens(p.text)) <= size for p in passages)


@settings(deadline=None)
@given(TEXTS, st.sampled_from(STRATEGIES), st.integers(1, 12))
def test_without_overlap_passages_do_not_touch(text, strategy, size):
    passages = chunk(Document("d", text), strategy, size)
    assert all(a.end <= b.start for a, b in zip(passages, passages[1:], strict=False))


@settings(deadline=None)
@given(st.text(max_size=80), st.integers(1, 5), st.data())
def test_tokenizers_with_gaps_and_repeated_spans_lose_nothing(text, size, data):
    # Byte-level tokenizers give several tokens one span; others skip characters.
    starts = sorted(data.draw(st.lists(st.integers(0, max(0, len(text) - 1)), max_size=20)))
    spans = [(i, min(i + 1, len(text))) for i in starts]
    passages = chunk(Document("d", text), "tokens", size, 0, lambda _: spans)
    assert "".join("".join(texts(passages)).split()) == "".join(text.split())


def test_tokens_are_windows_that_overlap():
    passages = chunk(Document("d", "a b c d e f g"), "tokens", size=3, overlap=1)
    assert texts(passages) == ["a b c", "c d e", "e f g"]


def test_sentences_are_kept_whole_and_packed():
    text = "One two. Three four five. Six. Seven eight."
    assert texts(chunk(Document("d", text), size=8)) == [
        "One two. Three four five.",
        "Six. Seven eight.",
    ]


def test_sentence_overlap_repeats_whole_sentences():
    text = "One two. Three. Four. Five six."
    assert texts(chunk(Document("d", text), size=5, overlap=4)) == [
        "One two. Three.",
        "Three. Four.",
        "Four. Five six.",
    ]


def test_long_sentence_is_cut_and_its_neighbours_are_not():
    text = "Short one. Aa bb cc dd ee ff gg hh. Last one."
    assert texts(chunk(Document("d", text), size=4)) == [
        "Short one.",
        "Aa bb cc dd",
        "ee ff gg hh",
        ".",
        "Last one.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Prof. Jones at 3.5 km.",
        "J. R. Smith of the U.S. Army, e.g. Adams et al. Nobody else.",
        "It said 'no', etc. and so on.",
    ],
)
def test_abbreviations_and_decimals_do_not_end_a_sentence(text):
    size = len(word_tokens(text))
    assert texts(chunk(Document("d", text + " Next one."), size=size)) == [text, "Next one."]


def test_sentences_end_at_quotes_blank_lines_and_chinese_stops():
    assert texts(chunk(Document("d", '"Is it?" He nodded.'), size=5)) == ['"Is it?"', "He nodded."]
    assert texts(chunk(Document("d", "a title\n\nits text"), size=3)) == ["a title", "its text"]
    assert texts(chunk(Document("d", "你好。再见。"), size=2)) == ["你好。", "再见。"]


def test_markdown_cuts_at_headings_and_not_in_code():
    text = (
        "before\n# One\ntext one\n```python\n# a comment\n```\n## Two\ntext two\n"
        "Three\n=====\ntext three\n"
    )
    assert texts(chunk(Document("d", text), "markdown")) == [
        "before",
        "# One\ntext one\n```python\n# a comment\n```",
        "## Two\ntext two",
        "Three\n=====\ntext three",
    ]


def test_markdown_heading_without_text_stays_with_the_next_section():
    assert texts(chunk(Document("d", "# A\n\n## B\ntext\n# C\nmore"), "markdown")) == [
        "# A\n\n## B\ntext",
        "# C\nmore",
    ]


def test_markdown_splits_long_sections_by_sentences():
    text = "# A\n\nOne two three. Four five six.\n\n# B\nshort"
    assert texts(chunk(Document("d", text), "markdown", size=6)) == [
        "# A\n\nOne two three.",
        "Four five six.",
        "# B\nshort",
    ]


def test_whole_is_one_passage_and_white_space_is_none():
    assert texts(chunk(Document("d", "  one. two.\n"), "whole", size=1)) == ["one. two."]
    assert chunk(Document("d", " \n\t"), "whole") == []


def test_passages_carry_what_the_document_says():
    day, end = date(2020, 1, 1), date(2021, 1, 1)
    document = Document("d@1", " text", "title", "source", "collection", day, end)
    (p,) = chunk(document)
    assert (p.doc_id, p.start, p.end) == ("d@1", 1, 5)
    assert (p.title, p.source, p.collection) == ("title", "source", "collection")
    assert (p.valid_from, p.valid_to) == (day, end)


def test_many_documents_are_cut_in_order_and_numbered_each():
    documents = (Document(i, "One. Two.") for i in "ab")
    assert [p.id for p in chunk(documents, size=2)] == ["a#0", "a#1", "b#0", "b#1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "pages"}, "unknown strategy 'pages'; choose one of markdown, sentences"),
        ({"size": 0}, "size must be a whole number of at least 1, not 0"),
        ({"size": 2.5}, "size must be a whole number of at least 1, not 2.5"),
        ({"size": 4, "overlap": 4}, "overlap must lie between 0 and size - 1 = 3, not 4"),
        ({"overlap": -1}, "overlap must lie between 0 and size - 1 = 127, not -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(RagftError, match=message):
        chunk(Document("d", "text"), **arguments)


def test_duplicate_document_ids_are_refused():
    with pytest.raises(RagftError, match="id 'd' occurs twice"):
        chunk([Document("d", "a"), Document("d", "b")])


def make_fast_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate("[]abc")}, merges=[], unk_token="[")
    )
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[", bos_token="]")


def test_a_models_own_tokens_can_be_counted():
    tokenizer = hf_tokenizer(make_fast_tokenizer())
    assert tokenizer("ab c") == [(0, 1), (1, 2), (3, 4)]
    assert texts(chunk(Document("d", "ab cab c"), "tokens", 3, tokenizer=tokenizer)) == [
        "ab c",
        "ab c",
    ]


def test_slow_tokenizer_is_refused():
    with pytest.raises(RagftError, match="slow one"):
        hf_tokenizer(object())
