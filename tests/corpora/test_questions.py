"""Questions in files: every field survives, every fault is named."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragft.corpora.corpus import Corpus, read_questions, write_questions
from ragft.corpora.questions import RESERVED
from ragft.types import DatedAnswer, Document, Question, RagftError

DAY = date(2024, 1, 1)
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

words = st.text(max_size=8)
days = st.integers(0, 30).map(lambda n: DAY + timedelta(days=n))
ids = st.lists(words, max_size=2).map(tuple)


@st.composite
def dated(draw):
    start, end = draw(st.none() | days), draw(st.none() | days)
    if start and end and end <= start:
        end = None
    return DatedAnswer(draw(words), start, end, draw(ids))


extras = st.dictionaries(
    words.filter(lambda key: key not in RESERVED),
    st.recursive(st.none() | st.booleans() | st.integers() | words, st.lists, max_leaves=3),
    max_size=2,
)
question_parts = st.fixed_dictionaries(
    {
        "text": words,
        "answers": st.lists(dated(), max_size=3).map(tuple),
        "asked_on": st.none() | days,
        "subject": words,
        "relation": words,
        "kind": words,
        "answerable": st.booleans(),
        "supporting": ids,
        "cluster": words,
        "metadata": extras,
    }
)


@given(made=st.lists(question_parts, min_size=1, max_size=5))
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_round_trip(tmp_path, made):
    questions = tuple(Question(id=f"q{n}", **parts) for n, parts in enumerate(made))
    assert read_questions(write_questions(tmp_path / "q.jsonl", questions)) == questions


def test_dated_answers_survive_and_golden_answers_are_those_of_the_day(tmp_path):
    answers = (DatedAnswer("3", None, DAY, ("a@1",)), DatedAnswer("5", DAY, None, ("a@2",)))
    question = Question("q", "cv?", answers, DAY, supporting=("a@2",))
    path = write_questions(tmp_path / "q.jsonl", [question])
    assert json.loads(path.read_text())["golden_answers"] == ["5"]
    (again,) = read_questions(path)
    assert again == question
    assert again.former_answers(DAY) == ("3",)


def write(path, *rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_without_golden_answers_a_question_is_for_retrieval_and_only_a_flag_makes_it_refusable(
    tmp_path,
):
    path = write(
        tmp_path / "q.jsonl",
        {"id": "1", "question": "?", "golden_answers": [], "metadata": {"supporting": ["d"]}},
        {"id": "2", "question": "?"},
        {"id": "3", "question": "?", "metadata": {"answerable": False}},
        {"id": "4", "question": "?", "golden_answers": ["x", "y"], "metadata": {"wrong": ["z"]}},
    )
    questions = read_questions(path)
    assert [q.answerable for q in questions] == [True, True, False, True]
    assert [q.answers_on(None) for q in questions] == [(), (), (), ("x", "y")]
    assert questions[0].supporting_on(DAY) == ("d",)
    assert questions[3].metadata == {"wrong": ["z"]}
    with pytest.raises(RagftError, match=r"q\.jsonl:1: question '1' has no golden_answers"):
        read_questions(path, answers_required=True)


def row(**changes):
    return {"id": "q", "question": "?", "golden_answers": ["x"], **changes}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(), row()], r":2: the id 'q' occurred before"),
        ([{"id": "q"}], r":1: the key 'question' is missing"),
        ([row(golden_answers="x")], r":1: 'golden_answers' must be a list of strings"),
        ([row(metadata=[1])], r":1: 'metadata' must be an object, found list"),
        ([row(metadata={"asked_on": "soon"})], r":1: 'asked_on' must be a date"),
        ([row(metadata={"answerable": "no"})], r":1: 'answerable' must be true or false"),
        ([row(metadata={"supporting": ["gone"]})], r":1: question 'q' is supported by 'gone'"),
        ([row(metadata={"answers": [{"text": "y"}]})], r":1: golden_answers disagree"),
        ([row(metadata={"answers": ["y"]})], r":1: 'answers' must be a list of objects"),
        ([row(metadata={"answers": {"text": "y"}})], r":1: 'answers' must be a list of objects"),
        ([row(metadata={"answers": 5})], r":1: 'answers' must be a list of objects"),
        ([], "holds no question"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, rows, message):
    path = write(tmp_path / "q.jsonl", *rows)
    with pytest.raises(RagftError, match=message):
        read_questions(path, Corpus([Document("d", "x")]))


def test_metadata_may_not_hide_a_field(tmp_path):
    with pytest.raises(RagftError, match="'q': the metadata key 'kind'"):
        write_questions(tmp_path / "q.jsonl", [Question("q", "?", metadata={"kind": 1})])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cranfield", "nq_gold", "ramdocs", "xquad"])
def test_real_collections_load_and_survive(tmp_path, name):
    if not (DATA / name).is_dir():
        pytest.skip(f"the data folder {name} is not on this machine")
    corpus = Corpus.from_jsonl(DATA / name / "corpus.jsonl")
    questions = read_questions(DATA / name / "questions.jsonl", corpus)
    assert corpus.name == name
    assert all(q.answerable for q in questions)
    assert read_questions(write_questions(tmp_path / "q.jsonl", questions), corpus) == questions
