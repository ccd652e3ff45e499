"""The arm whose search is narrowed to one collection."""

import numpy as np

from ragft.arms.library import Library
from ragft.arms.rag import RAG
from ragft.arms.routed import Routed
from ragft.corpora.corpus import Corpus
from ragft.retrieval.router import CentroidRouter
from ragft.types import Document, Question
from tests.retrieval.conftest import WordEmbedder

DOCUMENTS = [
    Document("a", "red apples and red wine", collection="food"),
    Document("b", "green pears", collection="food"),
    Document("c", "red paint", collection="colours"),
    Document("d", "blue paint", collection="colours"),
]
ASKED = [Question("q", "red paint apples"), Question("r", "blue paint")]


def made(model, margin, **options):
    embedder = WordEmbedder()
    library = Library(retriever="hybrid", embedder=embedder)
    vectors = np.concatenate(
        [embedder.embed(["red apples wine green pears"]), embedder.embed(["red blue paint"])]
    )
    router = CentroidRouter(margin).fit(vectors, ["food", "colours"])
    arm = Routed(str(model), router=router, library=library, top_k=3)
    arm.prepare(Corpus(DOCUMENTS))
    return arm


def homes(hits):
    return [{hit.passage.collection for hit in mine} for mine in hits]


def test_a_question_is_shown_one_collection(tiny_model):
    arm, timings = made(tiny_model, margin=0), {}
    assert homes(arm.find(ASKED, timings)) == [{"colours"}, {"colours"}]
    assert arm.name == "routed" and {"route", "embed", "search"} <= set(timings)
    assert homes(RAG(str(tiny_model), library=arm.library, top_k=3).find(ASKED[:1], {})) == [
        {"food", "colours"}
    ]


def test_where_it_is_unsure_all_collections_are_searched(tiny_model):
    assert homes(made(tiny_model, margin=2).find(ASKED[:1], {})) == [{"food", "colours"}]
