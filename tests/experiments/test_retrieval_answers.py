"""What a search is worth to the answers: the ledger's numbers by hand, and what a record holds."""

import itertools
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from ragft.experiments import retrieval_answers as module
from ragft.experiments.retrieval_answer_effects import MEASURES, quantities
from ragft.experiments.retrieval_answers import CUTS, SEARCHES, Way, retrieval_answers
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.types import RagftError

WAYS = (Way("bm25", 1), Way("bm25", 3))
CUT = (Way("bm25", 1, "tokens", 4), Way("bm25", 1, "whole"))


@pytest.fixture(scope="module")
def sizes(roomy_model):
    small = {"facts": 6, "world_subjects": 24, "n_boot": 50, "max_new_tokens": 4}
    return profile("smoke", model=roomy_model, **small)


@pytest.fixture(scope="module")
def task(sizes):
    return world_task(sizes, 6)


@pytest.fixture(scope="module")
def run(task, sizes, tmp_path_factory):
    options = {"base": sizes, "out": tmp_path_factory.mktemp("out"), "progress": False}
    return retrieval_answers([task], WAYS, CUT, **options), options


def test_every_way_answers_every_question(run, task):
    keys = ["retriever", "top_k", "strategy", "size"]
    counts = run[0].answers.groupby(keys).size()
    assert (counts == len(task.asked)).all()
    assert set(counts.index) == {(w.retriever, w.top_k, w.strategy, w.size) for w in WAYS + CUT}
    assert set(run[0].summary["measure"]) == set(MEASURES)


def test_more_passages_find_no_less_and_are_really_shown(run):
    mine = run[0].answers[run[0].answers["strategy"] == ""]
    wide = mine.pivot(index="question_id", columns="top_k", values=["found", "prompt_tokens"])
    found = wide["found"].dropna()
    assert (found[3] >= found[1]).all()
    assert (wide["prompt_tokens"][3] > wide["prompt_tokens"][1]).all()


def test_small_passages_make_short_prompts(run):
    tokens = run[0].answers.groupby("strategy")["prompt_tokens"].mean()
    assert tokens["tokens"] < tokens["whole"]


def test_a_finished_run_is_read_and_other_ways_share_its_cells(run, task, monkeypatch):
    asked = []
    whole = module.Grid.compute

    def compute(grid, arm, seed):
        asked.append((grid.sizes.retriever, grid.sizes.top_k, grid.task.chunking))
        return whole(grid, arm, seed)

    monkeypatch.setattr(module.Grid, "compute", compute)
    again = retrieval_answers([task], WAYS, CUT, **run[1])
    assert not asked and again.folder == run[0].folder
    pd.testing.assert_frame_equal(again.answers, run[0].answers)
    more = (*WAYS, Way("bm25", 2))
    retrieval_answers([task], more, CUT, **run[1])
    assert asked == [("bm25", 2, task.chunking)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "tasks \\[\\]: give at least one"),
        (("twice",), "none twice"),
        (("task", (), ()), "no way of searching"),
        (("task", (Way(), Way())), "searches: one way stands there twice"),
        (("task", (), (Way(), Way())), "cuts: one way stands there twice"),
        (("task", (Way(strategy="thirds"),)), "thirds"),
    ],
)
def test_what_cannot_be_compared_is_said(task, sizes, arguments, message, tmp_path):
    tasks = {"twice": [task, task], "task": [task]}
    given = tasks.get(arguments[0], arguments[0]) if arguments[0] else []
    with pytest.raises(RagftError, match=message):
        retrieval_answers(given, *arguments[1:], base=sizes, out=tmp_path, progress=False)


def test_no_way_stands_in_a_list_twice():
    assert len(set(SEARCHES)) == len(SEARCHES) and len(set(CUTS)) == len(CUTS)


# The ledger's numbers


def rated(scores, corpus="one", **more):
    """Return rows of ways: `scores` maps a way to (found, accuracy) for each question."""
    rows = []
    for way, pairs in scores.items():
        for n, (found, right) in enumerate(pairs):
            row = {"corpus": corpus, **asdict(way), "seed": 0, "question_id": f"q{n}"}
            rows.append(row | {"cluster": f"s{n}", "found": found, "accuracy": right, **more})
    return pd.DataFrame(rows)


def told(frame, searches=(), cuts=()):
    listed = [[asdict(way) for way in ways] for ways in (searches, cuts)]
    return quantities(frame, *listed, profile("smoke", n_boot=50))


def test_accuracy_minus_recall_by_hand():
    one, two = Way("bm25", 1), Way("bm25", 4)
    frame = rated({one: [(1, 1), (0, 0), (0, 1), (1, 0)], two: [(1, 1), (1, 0), (1, 1), (1, 0)]})
    found = told(frame, (one, two))
    # accuracy 4 of 8, found 6 of 8
    assert found["accuracy_minus_recall"]["mean"] == pytest.approx(-0.25)
    assert found["accuracy_minus_recall@one"] == found["accuracy_minus_recall"]
    assert found["accuracy_found"]["mean"] == pytest.approx(3 / 6)
    assert found["accuracy_not_found"]["mean"] == pytest.approx(1 / 2)
    assert "accuracy_hybrid_minus_single" not in found


def test_questions_that_nothing_supports_do_not_count():
    way = Way()
    frame = rated({way: [(1, 1), (np.nan, 0), (np.nan, 0), (1, 0)]})
    assert told(frame, (way,))["accuracy_minus_recall"]["mean"] == pytest.approx(-0.5)
    assert told(frame, (way,))["accuracy_minus_recall"]["n"] == 2


def test_hybrid_stands_against_the_better_single_one_at_the_most_passages():
    ways = [Way(r, k) for r, k in itertools.product(("bm25", "dense", "hybrid"), (1, 4))]
    right = {("bm25", 4): [1, 1, 0, 0], ("dense", 4): [1, 0, 0, 0], ("hybrid", 4): [1, 1, 1, 0]}
    frame = rated(
        {w: [(1, x) for x in right.get((w.retriever, w.top_k), [1, 1, 1, 1])] for w in ways}
    )
    assert told(frame, ways)["accuracy_hybrid_minus_single"]["mean"] == pytest.approx(0.25)


def test_what_recall_would_choose_may_answer_worse():
    few, many = Way("bm25", 1), Way("bm25", 8)
    frame = rated({few: [(0.5, 1)] * 8, many: [(1, 0.25)] * 8})
    found = told(frame, (few, many))["accuracy_best_minus_recall_choice"]
    assert found["mean"] == pytest.approx(0.75) and found["n"] == 4
    # Where both choose alike, nothing is lost.
    frame = rated({few: [(0.5, 0.25)] * 8, many: [(1, 1)] * 8})
    assert told(frame, (few, many))["accuracy_best_minus_recall_choice"]["mean"] == 0


def test_the_best_cut_is_picked_on_other_questions():
    small, large = Way(strategy="tokens", size=16), Way(strategy="tokens", size=64)
    frame = rated({small: [(1, 0)] * 8, large: [(1, 1)] * 8})
    found = told(frame, (), (small, large))
    assert found["accuracy_best_minus_worst_chunking"]["mean"] == 1.0
    assert found["accuracy_best_minus_worst_chunking"]["n"] == 4
    # Pure luck: each way is right on one half of the questions, so the winner of a half has no
    # advantage on the other.
    noise = np.random.default_rng(1).integers(0, 2, (2, 4000))
    frame = rated({w: [(1, x) for x in row] for w, row in zip((small, large), noise, strict=True)})
    lucky = told(frame, (), (small, large))["accuracy_best_minus_worst_chunking"]
    assert lucky["low"] < 0 < lucky["high"]


def test_equal_ids_of_two_corpora_are_two_questions():
    way = Way()
    frame = pd.concat([rated({way: [(1, 1)] * 3}), rated({way: [(1, 0)] * 3}, "two")])
    found = told(frame, (way,))
    assert found["accuracy_minus_recall"]["n"] == 6
    assert found["accuracy_minus_recall"]["corpus"] == "one, two"
    assert found["accuracy_minus_recall@two"]["mean"] == -1.0


def test_the_reduced_lists_are_parts_of_the_full_ones():
    assert set(module.REDUCED_SEARCHES) < set(SEARCHES)
    assert {replace(way, retriever="hybrid") for way in module.REDUCED_CUTS} < set(CUTS)
