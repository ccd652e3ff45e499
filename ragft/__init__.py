"""ragft: prompt, retrieve, fine-tune, or both? Measured, on facts that change.

The names below are the ones to import; each is loaded when first used, so that
`import ragft` is quick and loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragft.arms.finetuned import FineTuned as FineTuned
    from ragft.arms.oracle import Oracle as Oracle
    from ragft.arms.prompt import Prompt as Prompt
    from ragft.arms.rag import RAG as RAG
    from ragft.chunking import chunk as chunk
    from ragft.corpora.corpus import Corpus as Corpus
    from ragft.corpora.packages import package_history as package_history
    from ragft.corpora.world import World as World
    from ragft.evaluation.outcomes import judge as judge
    from ragft.experiments.compare import compare as compare
    from ragft.experiments.evaluate import evaluate as evaluate
    from ragft.experiments.retrieval import retrieve as retrieve
    from ragft.profiles import profile as profile
    from ragft.records import load_run as load_run
    from ragft.retrieval.bm25 import BM25 as BM25
    from ragft.retrieval.index import HybridIndex as HybridIndex
    from ragft.training.finetune import finetune as finetune
    from ragft.types import (
        Answer as Answer,
    )
    from ragft.types import (
        Document as Document,
    )
    from ragft.types import (
        Example as Example,
    )
    from ragft.types import (
        Fact as Fact,
    )
    from ragft.types import (
        Passage as Passage,
    )
    from ragft.types import (
        Question as Question,
    )
    from ragft.types import (
        RagftError as RagftError,
    )

__version__ = "0.1.0"

_HOMES = {
    "Answer": "types",
    "BM25": "retrieval.bm25",
    "Corpus": "corpora.corpus",
    "Document": "types",
    "Example": "types",
    "Fact": "types",
    "FineTuned": "arms.finetuned",
    "HybridIndex": "retrieval.index",
    "Oracle": "arms.oracle",
    "Passage": "types",
    "Prompt": "arms.prompt",
    "Question": "types",
    "RAG": "arms.rag",
    "RagftError": "types",
    "World": "corpora.world",
    "chunk": "chunking",
    "compare": "experiments.compare",
    "evaluate": "experiments.evaluate",
    "finetune": "training.finetune",
    "judge": "evaluation.outcomes",
    "load_run": "records",
    "package_history": "corpora.packages",
    "profile": "profiles",
    "retrieve": "experiments.retrieval",
}

__all__ = [
    "BM25",
    "RAG",
    "Answer",
    "Corpus",
    "Document",
    "Example",
    "Fact",
    "FineTuned",
    "HybridIndex",
    "Oracle",
    "Passage",
    "Prompt",
    "Question",
    "RagftError",
    "World",
    "__version__",
    "chunk",
    "compare",
    "evaluate",
    "finetune",
    "judge",
    "load_run",
    "package_history",
    "profile",
    "retrieve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragft' has no attribute {name!r}")
    value = getattr(import_module(f"ragft.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
