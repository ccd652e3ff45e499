"""Corpora: what holds on a day, what changed, hashes, files out and in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragft.corpora.corpus import Corpus
from ragft.types import Document, Fact, RagftError

DAY = date(2024, 1, 1)
IN_TMP = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

days = st.integers(0, 30).map(lambda n: DAY + timedelta(days=n))
intervals = st.tuples(st.none() | days, st.none() | days).filter(
    lambda pair: None in pair or pair[0] < pair[1]
)
words = st.text(max_size=12)


@st.composite
def documents(draw):
    found = []
    for n in range(draw(st.integers(1, 12))):
        start, end = draw(intervals)
        source = draw(st.sampled_from(["", "a", "b", "c"]))
        title = draw(words)
        found.append(Document(f"d{n}", draw(words), title, source, "shelf", start, end))
    return found


@st.composite
def facts(draw):
    found = []
    for _ in range(draw(st.integers(0, 6))):
        start, end = draw(intervals)
        stated = tuple(draw(st.lists(words, max_size=2)))
        found.append(Fact(draw(words), "seat", draw(words), start, end, stated, "firm", "head"))
    return found


def version(identifier, start=None, end=None, source="a"):
    return Document(identifier, identifier, source=source, valid_from=start, valid_to=end)


def test_as_of_is_closed_on_the_left_and_open_on_the_right():
    change = date(2024, 3, 1)
    old, new = version("old", None, change), version("new", change)
    truth = [Fact("a", "seat", "Rome", None, change), Fact("a", "seat", "Oslo", change)]
    corpus = Corpus([old, new], truth, name="two")

    before = corpus.as_of(change - timedelta(days=1))
    assert before.documents == (old,)
    assert [f.value for f in before.facts] == ["Rome"]
    assert before.name == "two"
    assert corpus.as_of(change).documents == (new,)
    assert [f.value for f in corpus.as_of(change).facts] == ["Oslo"]
    assert corpus.days == (change,)


def test_changes_tell_added_changed_and_removed_apart():
    one, two = DAY + timedelta(days=1), DAY + timedelta(days=2)
    replaced, newer = version("a1", None, two), version("a2", two)
    dropped, added = version("b", None, two, "b"), version("c", two, None, "c")
    brief = version("d", one, two, "d")
    corpus = Corpus([replaced, newer, dropped, added, brief, version("e", source="")])

    changes = corpus.changes(DAY, two)
    assert changes.changed == (newer,)
    assert changes.added == (added,)
    assert changes.removed == (replaced, dropped)
    assert corpus.changes(DAY, DAY) == corpus.changes(two, two)
    with pytest.raises(RagftError, match="lies before since"):
        corpus.changes(two, DAY)


def test_documents_without_a_source_are_added_never_changed():
    old, new = version("x", None, DAY, ""), version("y", DAY, None, "")
    changes = Corpus([old, new]).changes(DAY - timedelta(days=1), DAY)
    assert (changes.added, changes.changed, changes.removed) == ((new,), (), (old,))


@given(documents(), days, days)
@settings(deadline=None)
def test_applying_changes_to_one_day_gives_the_other(made, first, second):
    since, until = sorted((first, second))
    corpus = Corpus(made)
    changes = corpus.changes(since, until)
    kept = set(corpus.as_of(since).documents) - set(changes.removed)
    new = {*changes.added, *changes.changed}
    assert not kept & new
    assert not set(changes.added) & set(changes.changed)
    assert kept | new == set(corpus.as_of(until).documents)


@given(documents(), facts(), st.randoms())
@settings(deadline=None)
def test_content_hash_ignores_order_and_name_only(made, truth, random):
    corpus = Corpus(made, truth, name="one")
    shuffled, turned = list(made), list(truth)
    random.shuffle(shuffled)
    random.shuffle(turned)
    assert Corpus(shuffled, turned, name="other").content_hash == corpus.content_hash
    changed = [replace(made[0], text=made[0].text + "!"), *made[1:]]
    assert Corpus(changed, truth).content_hash != corpus.content_hash
    assert Corpus(made, [*truth, Fact("s", "r", "v")]).content_hash != corpus.content_hash


@given(made=documents(), truth=facts())
@IN_TMP
def test_jsonl_round_trip(tmp_path, made, truth):
    corpus = Corpus(made, truth, name="shelf")
    again = Corpus.from_jsonl(corpus.to_jsonl(tmp_path / "shelf.jsonl"))
    assert again == corpus
    assert again.content_hash == corpus.content_hash


def test_constructor_refuses_doubled_ids_and_backward_intervals():
    with pytest.raises(RagftError, match="'d' occurs twice"):
        Corpus([version("d"), version("d")])
    with pytest.raises(RagftError, match="valid_to <= valid_from"):
        Corpus([version("d", DAY, DAY)])
    with pytest.raises(RagftError, match="valid_to <= valid_from"):
        Corpus([], [Fact("s", "r", "v", DAY, DAY)])


def test_documents_alone_load_with_unknown_keys_numbers_as_ids_and_blank_lines(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id": 7, "contents": "seven", "metadata": {"x": 1}}\r\n\r\n'
        b'{"id": "e", "contents": "e", "title": null, "valid_from": "2024-01-01"}\n'
    )
    corpus = Corpus.from_jsonl(path)
    assert corpus.documents == (Document("7", "seven"), Document("e", "e", valid_from=DAY))
    assert corpus.name == tmp_path.name
    assert len(corpus) == 2
    assert corpus.days == (DAY,)
    assert corpus.by_id["7"].text == "seven"


GOOD = '{"id": "a", "contents": "x"}'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([GOOD, "{broken"], r"c\.jsonl:2: not valid JSON"),
        ([GOOD, "", "[" * 100_000], r"c\.jsonl:3: not valid JSON"),
        ([GOOD, "[1]"], r"c\.jsonl:2: expected a JSON object, found list"),
        ([GOOD, GOOD], r"c\.jsonl:2: the id 'a' occurred before"),
        ([GOOD, '{"id": "b"}'], r"c\.jsonl:2: the key 'contents' is missing"),
        (['{"contents": "x"}'], r"c\.jsonl:1: the key 'id' is missing"),
        (['{"id": "a", "contents": ["x"]}'], r"c\.jsonl:1: 'contents' must be a string"),
        (
            ['{"id": "a", "contents": "x", "valid_from": "May 5"}'],
            r"c\.jsonl:1: 'valid_from' must be a date such as 2024-07-31, found 'May 5'",
        ),
        (
            ['{"id": "a", "contents": "", "valid_from": "2024-02-01", "valid_to": "2024-02-01"}'],
            r"c\.jsonl:1: valid_to \(2024-02-01\) must be later than valid_from",
        ),
        ([GOOD, '{"fact": {"subject": "s", "relation": "r"}}'], r"c\.jsonl:2: the key 'value'"),
        ([GOOD, '{"fact": true}'], r"c\.jsonl:2: 'fact' must be an object"),
        ([GOOD, '{"id": "b", "contents": "x", "mark": "true"}'], r"c\.jsonl:2: the mark 'true' is"),
        ([""], r"c\.jsonl: holds no document"),
        (['{"fact": {"subject": "s", "relation": "r", "value": "v"}}'], "holds no document"),
    ],
)
def test_from_jsonl_names_file_line_and_fault(tmp_path, lines, message):
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(RagftError, match=message):
        Corpus.from_jsonl(path)


def test_from_jsonl_names_a_missing_file_and_a_folder_and_text_that_is_no_utf8(tmp_path):
    with pytest.raises(RagftError, match=r"none\.jsonl: no such file"):
        Corpus.from_jsonl(tmp_path / "none.jsonl")
    with pytest.raises(RagftError, match="cannot be read"):
        Corpus.from_jsonl(tmp_path)
    (tmp_path / "latin.jsonl").write_bytes(GOOD.encode() + b'\n{"id": "\xe9"}')
    with pytest.raises(RagftError, match=r"latin\.jsonl:2: not valid JSON"):
        Corpus.from_jsonl(tmp_path / "latin.jsonl")


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = Corpus([version("kept")]).to_jsonl(tmp_path / "c.jsonl")
    earlier = path.read_bytes()
    with pytest.raises(RagftError, match=r"c\.jsonl: cannot be written"):
        Corpus([version("a"), Document("b", "\ud800")]).to_jsonl(path)
    assert path.read_bytes() == earlier
    assert list(tmp_path.iterdir()) == [path]


def test_marks_survive_and_those_of_ramdocs_are_understood(tmp_path):
    path = tmp_path / "c.jsonl"
    rows = [
        {"id": "a", "contents": "A", "metadata": {"type": "correct"}},
        {"id": "b", "contents": "B", "metadata": {"type": "misinfo"}},
        {"id": "c", "contents": "C", "mark": "noise", "metadata": {"type": "correct"}},
        {"id": "d", "contents": "D", "metadata": {"type": "article"}},
        {"id": "e", "contents": "E", "metadata": {"type": ["correct"]}},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    corpus = Corpus.from_jsonl(path)
    assert corpus.marks == {"a": "right", "b": "wrong", "c": "noise"}
    assert Corpus.from_jsonl(corpus.to_jsonl(path)) == corpus
    plain = Corpus([replace(d, mark="") for d in corpus.documents])
    assert plain.marks == {} and plain.content_hash != corpus.content_hash
    with pytest.raises(RagftError, match="the mark 'good' of 'a' is unknown; choose right, wrong"):
        Corpus([Document("a", "A", mark="good")])


def test_rows_carry_the_names_of_the_field(tmp_path):
    document = Document("d", "ü", "T", "src", "shelf", DAY)
    path = Corpus([document], [Fact("s", "r", "v", None, DAY)]).to_jsonl(tmp_path / "c.jsonl")
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first == {
        "id": "d",
        "contents": "ü",
        "title": "T",
        "source": "src",
        "collection": "shelf",
        "valid_from": "2024-01-01",
        "valid_to": None,
    }
    assert second["fact"]["valid_to"] == "2024-01-01"
