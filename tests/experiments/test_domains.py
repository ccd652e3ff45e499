"""Several domains at once: putting tasks together, the router's margin, and the ledger's number."""

import numpy as np
import pandas as pd
import pytest

from ragft.corpora.corpus import Corpus
from ragft.experiments.domains import ARMS, _quantities, domains, mixture
from ragft.experiments.tasks import Task, world_task
from ragft.profiles import profile
from ragft.types import Document, Question, RagftError
from tests.retrieval.tiny import save_tiny_embedder

SMALL = {"facts": 10, "world_subjects": 24, "n_boot": 50, "max_new_tokens": 4, "rank": 4}


def made(name, collection):
    documents = [Document(f"{name}{n}", f"{collection} word{n}", collection=collection)
                 for n in range(4)]  # fmt: skip
    asked = [Question(f"{name}q{n}", f"word{n}", supporting=(f"{name}{n}",)) for n in range(2)]
    return Task(name, Corpus(documents), None, tuple(asked), counts={"facts": 2})


def test_a_mixture_holds_everything_once():
    whole = mixture([made("a", "x"), made("b", "y")])
    assert whole.name == "a, b" and len(whole.corpus) == 8 and len(whole.asked) == 4
    assert whole.counts == {"facts": 4} and whole.day is None


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "give at least one"),
        ([made("a", "x"), made("b", "x")], "of one collection"),
        ([made("a", "x"), made("a", "y")], "occurs twice"),
    ],
)
def test_what_makes_no_mixture_is_said(tasks, message):
    with pytest.raises(RagftError, match=message):
        mixture(tasks)


@pytest.fixture(scope="module")
def run(roomy_model, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("domains")
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        embedder = str(save_tiny_embedder(folder))
        sizes = profile("smoke", model=roomy_model, retriever="hybrid",
                        embedding_model=embedder, **SMALL)  # fmt: skip
        task = world_task(sizes, 10)
        options = {"model": roomy_model, "base": sizes, "out": folder / "out", "progress": False}
        yield task, domains([task], seeds=(0, 1), **options), options


def test_every_arm_answers_and_knows_where_a_question_belongs(run):
    task, found, _ = run
    counts = found.answers.groupby(["arm", "seed"]).size()
    assert (counts == len(task.asked)).all()
    assert set(counts.index) == {("rag", 0), ("routed", 0), ("finetuned", 0), ("finetuned", 1)}
    home = found.answers.drop_duplicates("question_id").set_index("question_id")["home"]
    known = task.corpus.by_id
    for question in task.asked:
        wanted = {known[i].collection for i in question.supporting} or {""}
        assert {home[question.id]} == wanted
    assert set(found.answers["home"]) > {""}  # some questions have no document
    assert {"all", *set(home) - {""}} == set(found.summary["collection"])
    assert set(found.quantities) >= {"routed_minus_single", "routed_to_one"}


def test_a_routed_question_is_shown_its_own_collection_alone(run):
    task, found, options = run
    never = domains([task], arms=("rag", "routed"), precision=1e-9, **options)
    routed = never.answers[never.answers["arm"] == "routed"]
    assert routed["routed"].notna().all()  # the least precision routes everything
    wrong = routed[(routed["home"] != "") & (routed["home"] != routed["routed"])]
    assert len(wrong) and (wrong["found"] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": ("rag", "oracle")}, "choose of rag, routed, finetuned"),
        ({"arms": ()}, "choose of rag"),
        ({"base": profile("smoke")}, "no vectors to route by"),
    ],
)
def test_what_cannot_be_asked_is_said(options, message):
    with pytest.raises(RagftError, match=message):
        domains([made("a", "x")], **options)


def test_the_router_stands_against_the_better_of_the_two():
    values = {"rag": [1, 0, 0, 0], "finetuned": [1, 1, 0, 0], "routed": [1, 1, 1, 0]}
    rows = [
        {"arm": arm, "seed": 0, "question_id": f"q{n}", "cluster": f"s{n}", "accuracy": x,
         "home": "x", "routed": ["x", "y", None, None][n] if arm == "routed" else None}
        for arm in ARMS for n, x in enumerate(values[arm])
    ]  # fmt: skip
    found = _quantities(pd.DataFrame(rows), profile("smoke", n_boot=50))
    assert found["routed_minus_single"]["mean"] == pytest.approx(0.25)
    assert found["routed_minus_rag"]["mean"] == pytest.approx(0.5)
    assert found["routed_to_one"]["mean"] == 0.5 and found["routed_rightly"]["mean"] == 0.5
    only = pd.DataFrame([row for row in rows if row["arm"] != "finetuned"])
    assert "routed_minus_single" not in _quantities(only, profile("smoke", n_boot=50))
    assert np.isfinite(found["routed_minus_rag"]["low"])
