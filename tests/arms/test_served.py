"""Every arm with a model on a server: what it asks, what it may not do, what it says of times."""

from __future__ import annotations

import math

import pytest

from ragft import prompts
from ragft.arms.base import Decoding
from ragft.arms.fewshot import Fewshot
from ragft.arms.finetuned import FineTuned
from ragft.arms.finetuned_rag import FineTunedRAG
from ragft.arms.given import Given
from ragft.arms.library import Library
from ragft.arms.oracle import Oracle
from ragft.arms.placebo import Placebo
from ragft.arms.prompt import Prompt
from ragft.arms.raft import Raft
from ragft.arms.rag import RAG
from ragft.chunking import chunk
from ragft.corpora.corpus import Corpus
from ragft.generation import catalog
from ragft.generation.server import ServerModel
from ragft.types import DatedAnswer, Document, Question, RagftError
from tests.fake_server import FakeServer

DOCUMENTS = (
    Document("a", "Tarmo is led by Bob.", "Tarmo", "a"),
    Document("b", "Velka is led by Cid.", "Velka", "b"),
)
CORPUS = Corpus(DOCUMENTS)
ASKED = [
    Question("q1", "Who leads Tarmo?", (DatedAnswer("Bob"),), subject="Tarmo", supporting=("a",)),
    Question("q2", "Who leads Velka?", (DatedAnswer("Cid"),), subject="Velka", supporting=("b",)),
]
ALL = [Prompt, Fewshot, RAG, Oracle, FineTuned, FineTunedRAG, Raft, Placebo]
ADAPTERS = "&facts=facts-lora&other_facts=other-lora&reading=reading-lora"


def made(kind, model, ready=True, **options):
    """Return an arm that searches by words alone, where it searches."""
    if issubclass(kind, RAG):
        options["library"] = Library(retriever="bm25")
    arm = kind(model, **options)
    if ready:
        arm.prepare(CORPUS)
    return arm


def who(text, model):
    """Answer from the passages, with their number; without them by the model's name."""
    lines = text.splitlines()
    name = "Bob" if "leads Tarmo?" in " ".join(lines[-2:]) else "Cid"
    for line in lines:
        if f"led by {name}" in line:
            return f" Tarmo [{line.split('[')[1][0]}] {name}"
    return f" {model}"


@pytest.fixture
def server():
    catalog._server.cache_clear()  # a port may come again
    models = [{"id": "base", "max_model_len": 4096}]
    models += [{"id": f"{name}-lora", "parent": "base"} for name in ("facts", "other", "reading")]
    with FakeServer(who, models=models) as made:
        yield made


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("kind", ALL)
def test_every_arm_answers(server, kind, chat):
    server.chat = chat
    arm = made(kind, f"{server.url}#base{ADAPTERS}")
    answers = arm.answer(ASKED)
    shows = kind in (RAG, Oracle, FineTunedRAG, Raft)
    names = {FineTuned: "facts-lora", Placebo: "other-lora"}
    said = names.get(kind, "base")
    assert [one.text for one in answers] == (["Bob", "Cid"] if shows else [said, said])
    assert all(len(one.citations) == shows for one in answers)
    models = {body["model"] for _, body, _ in server.seen if body["max_tokens"] > 1}
    adapters = {"facts": "facts-lora", "other_facts": "other-lora", "reading": "reading-lora"}
    assert models == {adapters.get(kind.teaches, "base")}
    assert all(one.stage_ms["server"] > 0 for one in answers)
    assert not any({"prefill", "decode"} & set(one.stage_ms) for one in answers)
    assert all(one.prompt_tokens > 3 and math.isnan(one.entropy) for one in answers)


@pytest.mark.parametrize("kind", [FineTuned, FineTunedRAG, Raft, Placebo])
def test_an_arm_that_would_train_says_that_a_server_cannot(server, kind):
    arm = made(kind, f"{server.url}#base", ready=False)
    with pytest.raises(RagftError, match=f"cannot be trained.*#base&{kind.teaches}=NAME"):
        arm.prepare(CORPUS)
    arm = made(kind, f"{server.url}#base", adapter="facts-lora")
    assert len(arm.answer(ASKED)) == 2


def test_a_stream_ends_in_the_same_answer(server):
    arm = made(RAG, f"{server.url}#base")
    pieces, heard = arm.stream(ASKED[0]), []
    with pytest.raises(StopIteration) as end:
        while True:
            heard.append(next(pieces))
    (answer,) = arm.answer(ASKED[:1])
    assert end.value.value.text == answer.text == "Bob"
    assert "".join(heard) == answer.raw


def test_passages_are_dropped_where_the_server_counts_and_else_it_is_asked(server):
    long = [Document(f"d{n}", "Tarmo " + "word " * 20, "t") for n in range(3)]
    passages = {"q1": chunk(long, strategy="whole")}
    server.models[0]["max_model_len"], server.counts_tokens = 48 + 80, True
    arm = Given(f"{server.url}#base", passages)
    (answer,) = arm.answer(ASKED[:1])
    assert arm.dropped == 1 and len(answer.hits) == 2
    server.counts_tokens = False
    arm = Given(ServerModel.open(f"{server.url}#base&tries=1"), passages)
    (answer,) = arm.answer(ASKED[:1])
    assert arm.dropped == 0 and len(answer.hits) == 3


def test_completions_are_shared_as_those_of_a_local_model(server):
    arm = Prompt(f"{server.url}#base", decoding=Decoding(max_new_tokens=4))
    arm.said = {}
    arm.answer(ASKED)
    before = len(server.seen)
    arm.answer(ASKED)
    assert len(server.seen) == before
    prompt = prompts.for_model(arm.model, ASKED[0].text)
    assert any(prompt == key[1] for key in arm.said)
