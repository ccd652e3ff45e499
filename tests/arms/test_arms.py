import math
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft import models, prompts
from ragft.arms.base import Decoding
from ragft.arms.fewshot import Fewshot
from ragft.arms.finetuned import FineTuned, Training
from ragft.arms.finetuned_rag import FineTunedRAG
from ragft.arms.given import Given
from ragft.arms.library import Library
from ragft.arms.oracle import Oracle
from ragft.arms.prior import Prior
from ragft.arms.prompt import Prompt
from ragft.arms.rag import RAG
from ragft.chunking import chunk
from ragft.corpora.corpus import Corpus
from ragft.generation.local import Completion, LocalModel
from ragft.training.from_questions import fact_examples, reading_examples, right_answer
from ragft.types import UNKNOWN, Changes, DatedAnswer, Document, Fact, Question, RagftError

OLD, NEW = date(2020, 1, 1), date(2024, 1, 1)
DOCUMENTS = (
    Document("a@0", "Tarmo is led by Ann.", "Tarmo", "a", valid_from=OLD, valid_to=NEW),
    Document("a@1", "Tarmo is led by Bob.", "Tarmo", "a", valid_from=NEW),
    Document("b@0", "Velka is led by Cid.", "Velka", "b", valid_from=OLD),
)
FACTS = (
    Fact("Tarmo", "ceo", "Ann", OLD, NEW, ("a@0",)),
    Fact("Tarmo", "ceo", "Bob", NEW, None, ("a@1",)),
    Fact("Velka", "ceo", "Cid", OLD, None, ("b@0",)),
    Fact("Orlo", "ceo", "Cid", OLD, None),
)
CORPUS = Corpus(DOCUMENTS, FACTS)
ASKED = Question(
    "q1",
    "Who leads Tarmo?",
    (DatedAnswer("Ann", OLD, NEW, ("a@0",)), DatedAnswer("Bob", NEW, None, ("a@1",))),
    asked_on=NEW,
    subject="Tarmo",
    relation="ceo",
    supporting=("a@1",),
)
ABSENT = Question("q2", "Where is Tarmo?", (), NEW, "Tarmo", "place", answerable=False)


class Parrot:
    """A model that answers with the last line of its prompt but one, so that prompts show."""

    has_chat_template = False
    context_length = 10_000
    name = "parrot"

    def __init__(self):
        self.seen = []

    def count_tokens(self, text):
        return len(text.split())

    def with_adapter(self, adapter):
        return self

    def generate(self, texts, **options):
        self.seen += texts
        return [Completion(" [1] Bob", len(t.split()), 3, 0.5, -1.0, 2.0, 3.0) for t in texts]


def library(**options):
    made = Library(retriever="bm25", **options)
    made.prepare(CORPUS)
    return made


def test_the_closed_book_arm_shows_no_passages():
    model = Parrot()
    (answer,) = Prompt(model).answer([ASKED])
    assert model.seen == ["Answer the question.\nQuestion: Who leads Tarmo?\nAnswer:"]
    assert answer.text == "Bob" and answer.citations == () and answer.hits == ()
    assert answer.latency_ms == 5.0 and set(answer.stage_ms) == {"prefill", "decode"}


def test_a_kept_completion_is_not_made_again_but_another_adapters_or_a_drawn_one_is():
    model, said = Parrot(), {}
    arm, tuned, drawn = Prompt(model), Prompt(model, adapter="a"), Prompt(model)
    drawn.decoding = Decoding(temperature=1.0)
    arm.said = tuned.said = drawn.said = said
    first = arm.answer([ASKED, ABSENT, ASKED])
    assert len(model.seen) == 2 and first[0] == first[2]
    assert arm.answer([ABSENT]) == first[1:2] and len(model.seen) == 2
    tuned.answer([ASKED])
    assert len(model.seen) == 3
    drawn.answer([ASKED, ASKED])
    assert len(model.seen) == 5


def test_few_shots_stand_before_the_question():
    model = Parrot()
    Fewshot(model, shots=[("Who leads Orlo?", "Dan")]).answer([ASKED])
    assert "Question: Who leads Orlo?\nAnswer: Dan\nQuestion: Who leads Tarmo?" in model.seen[0]


def test_rag_shows_what_is_in_force_on_the_day_and_cites_it():
    model = Parrot()
    arm = RAG(model, library=library(), top_k=2)
    now, then = arm.answer([ASKED, replace(ASKED, asked_on=OLD)])
    assert "Bob" in model.seen[0] and "Ann" not in model.seen[0]
    assert "Ann" in model.seen[1] and "Bob" not in model.seen[1]
    assert now.citations and now.citations[0].split("#")[0] in {"a@1", "b@0"}
    assert "search" in now.stage_ms and [h.rank for h in then.hits] == [1, 2]


def test_passages_are_shown_oldest_first_whatever_their_rank():
    model = Parrot()
    RAG(model, library=library(as_of=False), top_k=3).answer([ASKED])
    lines = [line for line in model.seen[0].split("\n") if "]: " in line]
    days = [line[-11:-1] for line in lines]
    assert days == sorted(days) and len(set(days)) > 1


def test_a_refreshed_library_forgets_and_learns():
    made = Library(retriever="bm25")
    made.prepare(CORPUS.as_of(OLD))
    assert {p.doc_id for p in made.index.passages} == {"a@0", "b@0"}
    made.refresh(CORPUS.changes(OLD, NEW))
    assert {p.doc_id for p in made.index.passages} == {"a@1", "b@0"}


def test_a_library_explains_its_searches_as_of_the_day_asked():
    asked = [ASKED, replace(ASKED, asked_on=OLD), ASKED]
    for made in (library(), library(as_of=False)):
        for found, hits in zip(made.explain(asked, 3), made.search(asked, 3, {}), strict=True):
            stood = [(c.passage, c.ranks["bm25"]) for c in found]
            assert stood and stood == [(h.passage, h.rank) for h in hits if h.score != 0]
    dated, always = library(), library(as_of=False)
    assert [c.passage.doc_id for c in always.explain(asked, 3)[1]] == ["a@0", "a@1"]
    (new,) = [p for p in dated.index.passages if p.doc_id == "a@1"]
    assert dated.may_find(new, ASKED) and not dated.may_find(new, asked[1])
    assert always.may_find(new, asked[1]) and dated.may_find(new, replace(ASKED, asked_on=None))


def test_a_library_looks_as_deep_as_its_searches(monkeypatch):
    made, depths = library(), []
    monkeypatch.setattr(made.index, "explain", lambda texts, as_of, depth: depths.append(depth) or
                        [[] for _ in texts])  # fmt: skip
    for top_k in (1, 100, 101):
        made.explain([ASKED], top_k)
    assert depths == [100, 100, 101]


def test_preparing_the_same_corpus_twice_costs_nothing():
    made = library()
    assert made.prepare(CORPUS).seconds == 0


def test_the_oracle_shows_the_right_passage_and_no_other():
    model = Parrot()
    arm = Oracle(model)
    arm.prepare(CORPUS)
    (answer,) = arm.answer([ASKED])
    assert [h.passage.doc_id for h in answer.hits] == ["a@1"]
    arm.answer([ABSENT])
    assert "Bob" in model.seen[-1], "what is in force about the subject is shown"


def test_the_oracle_follows_a_refresh():
    arm = Oracle(Parrot())
    arm.prepare(CORPUS.as_of(OLD))
    changes = CORPUS.changes(OLD, NEW)
    arm.refresh(Changes(changes.added, changes.changed, changes.removed))
    (answer,) = arm.answer([ASKED])
    assert [h.passage.doc_id for h in answer.hits] == ["a@1"]


def test_the_prior_is_the_commonest_value_of_the_others():
    arm = Prior()
    arm.prepare(CORPUS)
    assert arm.answer([ASKED])[0].text == "Cid"
    velka = replace(ASKED, subject="Velka")
    assert arm.answer([velka])[0].text == "Bob", "a tie goes to the value that sorts first"
    assert arm.answer([replace(ASKED, relation="nothing")])[0].text == UNKNOWN


def test_the_prior_needs_facts():
    with pytest.raises(RagftError, match="no facts to count"):
        Prior().prepare(Corpus(DOCUMENTS))


LONG = chunk([Document(f"d{n}", "Tarmo " + "word " * 20) for n in range(9)], strategy="whole")


@given(st.integers(0, 9), st.integers(0, 320))
def test_as_many_passages_are_shown_as_fit_and_few_prompts_are_counted(count, room):
    model, counted = Parrot(), []
    model.count_tokens = lambda text: counted.append(text) or len(text.split())
    arm = Given(model, {"q1": LONG[:count]})
    model.context_length = arm.decoding.max_new_tokens + room
    words = [len(arm._prompt(ASKED, LONG[:shown]).split()) for shown in range(count + 1)]
    most = max((shown for shown in range(1, count + 1) if words[shown] <= room), default=0)
    (answer,) = arm.answer([ASKED])
    assert [hit.passage for hit in answer.hits] == list(LONG[:most])
    assert arm.dropped == count - most
    assert len(counted) <= 1 + math.ceil(math.log2(max(1, count)))


def test_passages_in_letters_of_several_bytes_are_measured_in_tokens(roomy_model):
    """Such a letter may take a token for each of its bytes."""
    model = LocalModel.load(roomy_model, device="cpu")
    long = Document("d", "Тармо " * 500)
    arm = Given(model, {"q1": chunk([long], strategy="whole")})
    room = model.context_length - arm.decoding.max_new_tokens
    text = arm._prompt(ASKED, chunk([long], strategy="whole"))
    assert len(text) < room < len(models.prompt_tokens(model.tokenizer, [text])[0])
    (answer,) = arm.answer([ASKED])
    assert arm.dropped == 1 and answer.hits == ()


def test_given_passages_keep_their_order_when_asked_to():
    model = Parrot()
    passages = chunk([DOCUMENTS[1], DOCUMENTS[0]], strategy="whole")
    Given(model, {"q1": passages}, ordered=False).answer([ASKED])
    Given(model, {"q1": passages}).answer([ASKED])
    assert model.seen[0].index("Bob") < model.seen[0].index("Ann")
    assert model.seen[1].index("Ann") < model.seen[1].index("Bob")


def test_a_streamed_answer_is_the_same_answer(roomy_model):
    rag = RAG(LocalModel.load(roomy_model), decoding=Decoding(max_new_tokens=6))
    rag.prepare(CORPUS)
    stream, pieces = rag.stream(ASKED), []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            answer = end.value
            break
    (whole,) = rag.answer([ASKED])
    assert "".join(pieces) == answer.raw == whole.raw
    assert replace(answer, stage_ms={}) == replace(whole, stage_ms={})
    assert set(answer.stage_ms) == set(whole.stage_ms)


def test_no_questions_no_answers():
    assert Prompt(Parrot()).answer([]) == []
    assert RAG(Parrot(), library=library()).answer([]) == []


def test_instructions_of_an_experiment_are_added():
    model = Parrot()
    Prompt(model, instructions=[prompts.refuse("money")]).answer([ASKED])
    assert model.seen[0].startswith("Answer the question. Refuse questions about money.\n")


def test_examples_say_what_is_right_on_the_day():
    taught = fact_examples(Parrot(), [ASKED, replace(ASKED, asked_on=OLD), ABSENT])
    assert [e.completion for e in taught] == [" Bob", " Ann", " unknown"]
    assert taught[0].prompt == "Answer the question.\nQuestion: Who leads Tarmo?\nAnswer:"
    with pytest.raises(RagftError, match="q1: no answer on 2019-01-01"):
        right_answer(replace(ASKED, asked_on=date(2019, 1, 1)))


def test_reading_examples_follow_from_what_is_shown():
    others = [Document(f"c{n}", "Velka is led by Cid.", "Velka", "c") for n in range(3)]
    passages = chunk([DOCUMENTS[1], *others], strategy="whole")
    examples = reading_examples(Parrot(), [ASKED] * 300, [passages] * 300, absent=0.3, seed=1)
    hidden = [e for e in examples if e.completion == " unknown"]
    rest = [e for e in examples if e not in hidden]
    assert 60 < len(hidden) < 120
    assert all("Bob" not in e.prompt for e in hidden)
    assert all("]: Tarmo is led by Bob. (2024-01-01)" in e.prompt for e in rest)
    for part in (hidden, rest):  # the number of passages tells nothing
        assert {e.prompt.count("]: ") for e in part} == {1, 2, 3}
    completions = {e.completion for e in rest}
    assert completions == {f" Tarmo [{n}] Bob" for n in (1, 2, 3)}, "undated ones stand first"
    assert reading_examples(Parrot(), [ASKED], [passages[1:]])[0].completion == " unknown"
    default = replace(ASKED, metadata={"parameter": "head"})
    shown = reading_examples(Parrot(), [default], [passages[:1]], absent=0.0)
    assert shown[0].completion == " Tarmo [1] head=Bob"


def test_a_trained_arm_needs_examples():
    with pytest.raises(RagftError, match="finetuned: give it examples"):
        FineTuned(Parrot()).prepare(CORPUS)


def test_two_arms_with_the_same_training_share_one_adapter(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path))
    model = LocalModel.load(tiny_model)
    examples = fact_examples(model, [ASKED])
    training = Training(rank=4, alpha=8, epochs=30, learning_rate=0.02, batch_tokens=256)
    alone = FineTuned(model, training=training, decoding=Decoding(max_new_tokens=4))
    cost = alone.prepare(CORPUS, examples)
    both = FineTunedRAG(model, training=training, library=library(), top_k=1)
    both.prepare(CORPUS, examples)
    assert both.adapter == alone.adapter
    assert cost.tokens_trained > 0 and cost.bytes_written > 0
    assert alone.answer([ASKED])[0].text == "Bob"
    assert Prompt(model, decoding=Decoding(max_new_tokens=4)).answer([ASKED])[0].text != "Bob"
