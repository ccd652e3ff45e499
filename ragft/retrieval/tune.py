"""Training retrievers on the corpus's own questions: the embedder, and a reranker.

The loops are sentence-transformers' trainers. What they train on is made in `pairs`; the folders
that come out are read by `dense.Embedder` and `rerank.Reranker`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ragft import files
from ragft.retrieval import embedding_model
from ragft.retrieval.fitting import Tuning, fit_model, keep, note, texts_of
from ragft.retrieval.pairs import Pair
from ragft.retrieval.rerank import open_cross_encoder
from ragft.runtime import device_of, set_seed
from ragft.types import RagftError

__all__ = ["Tuning", "train_reranker", "tune_embedder"]


def tune_embedder(
    pairs: Sequence[Pair],
    out: str | Path,
    *,
    base: str | Path = "auto",
    tuning: Tuning | None = None,
    progress: bool = False,
) -> Path:
    """Train an embedder to put queries near the texts that answer them.

    Contrastive: a query must be nearer to its own text than to the texts of all other pairs in
    the batch and to all hard negatives in it (InfoNCE, cosines times 20). No text is twice in
    a batch.

    Parameters
    ----------
    pairs : sequence of Pair
        At least two. All get as many hard negatives as the one that has fewest.
    out : str or path
        Folder for the result, whole or not there: a model for `Embedder(out)`, its manifest, and
        `tuning.json`. A folder made with the same settings and pairs is returned at once. Training
        is short, so an interrupted one starts again.
    base : str or path
        As for `Embedder`.
    tuning : Tuning, optional
    progress : bool
        Show a bar.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    RagftError
        Too few pairs, an empty text, a loss that is not a number, a folder with other contents,
        or a base that cannot be had.

    Notes
    -----
    Source: Henderson et al., 'Efficient Natural Language Response Suggestion for Smart Reply'
    (2017); hard negatives: Karpukhin et al., 'Dense Passage Retrieval' (EMNLP 2020).
    """
    tuning = Tuning() if tuning is None else tuning
    folder = embedding_model.model_folder(base)
    hard = min((len(pair.negatives) for pair in pairs), default=0)
    columns = {"anchor": [p.query for p in pairs], "positive": [p.positive for p in pairs]}
    columns |= {f"negative_{n}": [p.negatives[n] for p in pairs] for n in range(hard)}

    def train(temporary: Path) -> None:
        from sentence_transformers.sentence_transformer.losses import (
            MultipleNegativesRankingLoss,
        )
        from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
        from sentence_transformers.sentence_transformer.training_args import (
            SentenceTransformerTrainingArguments,
        )

        # A copy of its own: the loaded base is shared with every embedder of this process.
        model = embedding_model.opened(folder, device_of())
        reads, model.max_seq_length = model.max_seq_length, tuning.max_length
        measured = fit_model(
            SentenceTransformerTrainer,
            SentenceTransformerTrainingArguments,
            model,
            MultipleNegativesRankingLoss(model),
            columns,
            tuning,
            progress,
        )
        model.max_seq_length = reads
        model.save_pretrained(str(temporary), create_model_card=False)
        note(temporary, settings, measured)

    settings = _settings("embedder", embedding_model.model_hash(folder), columns, tuning)
    return keep(Path(out), pairs, settings, train)


def train_reranker(
    pairs: Sequence[Pair],
    out: str | Path,
    *,
    base: str | Path = "auto",
    tuning: Tuning | None = None,
    progress: bool = False,
) -> Path:
    """Train a reranker to tell texts that answer a query from those that only look like it.

    Binary cross-entropy on (query, text), positives weighted so that both sides count alike.

    Parameters
    ----------
    pairs : sequence of Pair
        At least two, with a hard negative among them.
    out, progress
        As for `tune_embedder`; the folder is a model for `Reranker(out)`.
    base : str or path
        An embedding model, whose weights are the start and whose head is new; or a cross-encoder,
        which goes on from where it is.
    tuning : Tuning, optional

    Raises
    ------
    RagftError
        As for `tune_embedder`, or no hard negative.

    Notes
    -----
    Source: Nogueira, Cho, 'Passage Re-ranking with BERT' (2019).
    """
    tuning = Tuning() if tuning is None else tuning
    folder = _base_folder(base)
    rows = [(p.query, text, float(n == 0)) for p in pairs for n, text in enumerate(texts_of(p))]
    wrong = sum(1 for *_, label in rows if not label)
    if not wrong:
        raise RagftError("tuning: no pair has a hard negative; mine them with negatives=1 or more")
    queries, texts, labels = zip(*rows, strict=True)
    columns = {"query": list(queries), "text": list(texts), "label": list(labels)}

    def train(temporary: Path) -> None:
        import torch
        from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
        from sentence_transformers.cross_encoder.trainer import CrossEncoderTrainer
        from sentence_transformers.cross_encoder.training_args import CrossEncoderTrainingArguments

        set_seed(tuning.seed)  # the head is drawn when the base is opened
        model = open_cross_encoder(folder, num_labels=1, device=device_of())
        reads, model.max_length = model.max_length, tuning.max_length
        weight = torch.tensor(wrong / (len(rows) - wrong))
        measured = fit_model(
            CrossEncoderTrainer,
            CrossEncoderTrainingArguments,
            model,
            BinaryCrossEntropyLoss(model, pos_weight=weight),
            columns,
            tuning,
            progress,
        )
        model.max_length = reads
        model.save_pretrained(str(temporary), create_model_card=False)
        note(temporary, settings, measured)

    settings = _settings("reranker", embedding_model.model_hash(folder), columns, tuning)
    return keep(Path(out), pairs, settings, train)


def _base_folder(base: str | Path) -> Path:
    from ragft.retrieval.rerank import Reranker

    folder = Path(base)
    if folder.is_dir() and not (folder / "1_Pooling").is_dir():
        return Reranker(folder).folder
    return embedding_model.model_folder(base)


def _settings(kind: str, base: str, columns: dict[str, list], tuning: Tuning) -> dict[str, Any]:
    data = files.sha256_json(columns)
    return {"kind": kind, "base": base, "pairs": data, "tuning": asdict(tuning)}
