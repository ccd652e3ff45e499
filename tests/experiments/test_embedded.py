import re

import pytest

from ragft.experiments import embedded
from ragft.experiments.embedded import Reading, cites, evaluate_reading, passages, right
from ragft.generation.local import Completion
from ragft.types import UNKNOWN, Answer


class Reader:
    """Reads perfectly: the newest line about the subject that states the right value."""

    has_chat_template = False
    context_length = 10_000

    def __init__(self, questions):
        self.known = {q.text: q for q in questions}

    def generate(self, texts, **options):
        return [Completion(self.say(t), 1, 1, 0.0, 0.0, 1.0, 1.0) for t in texts]

    def say(self, text):
        question = self.known[re.search(r"Question: (.*)\nAnswer:$", text).group(1)]
        lines = re.findall(r"^.* \[(\d+)\]: (.*)$", text, flags=re.M)
        (value, *_) = question.answers_on(question.asked_on) or (UNKNOWN,)
        name = question.subject.removeprefix("the ")
        about = [n for n, line in lines if name in line.split(". ")[0] and value in line]
        return f" [{about[-1]}] {value}" if about else f" {UNKNOWN}"


class Mute(Reader):
    def say(self, text):
        return " unknown"


@pytest.fixture(scope="module")
def reading():
    return Reading(30, 7)


def test_contexts_hold_what_they_promise(reading):
    for question in reading.questions:
        now, former = reading.about(question), reading.former(question)
        (value,) = question.answers_on(reading.day)
        assert value in now.text and now.id in question.supporting
        assert former.id not in question.supporting and former.valid_to <= now.valid_from
        assert question.former_answers(reading.day)[-1] in former.text
        assert all(d.title != question.subject for d in reading.distractors(question, 5))
    for question in reading.absent:
        assert not question.answerable and reading.about(question).title == question.subject


def test_a_perfect_reader_has_perfect_scores(reading):
    model = Reader([*reading.questions, *reading.absent])
    found = evaluate_reading(model, 30, seed=7)
    for name in ("read", "newest", "newest_shuffled", "cite", "refuse"):
        assert found[name].mean == 1.0, name
    assert found["refuse_wrongly"].mean == 0.0
    assert found["closed_answered"].mean == 0.0, "without passages it has nothing to read"


def test_a_mute_model_refuses_rightly_and_wrongly(reading):
    found = evaluate_reading(Mute([]), 30, seed=7)
    assert found["refuse"].mean == found["refuse_wrongly"].mean == 1.0
    assert found["read"].mean == found["cite"].mean == found["closed_answered"].mean == 0.0


def test_a_citation_must_be_the_only_one_and_the_right_one(reading):
    question = reading.questions[0]
    (gold,) = passages([reading.about(question)])
    (other,) = passages(reading.distractors(question, 1))
    assert cites(question, Answer("x", (gold.id,)))
    assert not cites(question, Answer("x", (gold.id, other.id)))
    assert not cites(question, Answer("x", (other.id,))) and not cites(question, Answer("x"))


def test_former_values_are_not_right(reading):
    question = reading.questions[0]
    assert right(question, Answer(question.answers_on(reading.day)[0]))
    assert not right(question, Answer(question.former_answers(reading.day)[0]))


def test_learning_is_measured_on_wordings_that_were_never_trained(tmp_path, monkeypatch):
    from ragft.generation.local import LocalModel
    from ragft.profiles import profile
    from tests.conftest import save_tiny_model

    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    model = LocalModel.load(save_tiny_model(tmp_path / "m", max_position_embeddings=1024))
    sizes = profile("smoke", facts=4, world_subjects=16, rank=4, max_new_tokens=4)
    found = embedded.evaluate_learning(model, sizes, seeds=(0, 1))
    assert found["lora_recall"].n == found["placebo_right"].n == 4
    assert found["lora_recall"].seeds == 2
    assert 0 < found["lora_seconds"].low <= found["lora_seconds"].mean
