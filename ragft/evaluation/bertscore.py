"""BERTScore: how much two texts look alike, token vector by token vector.

The arithmetic is bert-score's own; here every distinct text is embedded once, long and empty
texts are seen to, and the model is the one that dense retrieval finds. Likeness by words and
letters lives in `similarity`.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np

from ragft import models
from ragft.evaluation.similarity import graded
from ragft.retrieval import embedding_model
from ragft.runtime import device_of
from ragft.types import RagftError

MAX_TOKENS = 512
"""Tokens of a text that the model reads, the two marks at its ends among them."""
_MARKS = 2


class BertScore:
    """BERTScore's F: every token is matched with the most similar one of the other text.

    Equal to bert-score's own scorer on each pair alone, but every distinct text is embedded
    once, and remembered from call to call. No weighting by idf and no rescaling. The model is
    found when the object is made and loaded when a text has to be embedded.

    Parameters
    ----------
    model : str or Path
        As for `retrieval.embedding_model.model_folder`; a BERT-like encoder.
    num_layers : int
        The layer whose vectors are compared, from 1. bert-score's table takes the fifth for
        models of six layers (distilbert-base-uncased), and so does this for all-MiniLM-L6-v2.
    batch_size : int
        Texts in one forward pass.
    device : str, optional
        Such as 'cpu' or 'cuda'; None takes CUDA where there is any.
    keep : int
        Texts remembered between calls, the latest ones (a token takes 1.5 kB). Within a call
        all are.

    Attributes
    ----------
    embedded : int
        Texts that went through the model so far.
    truncated : int
        Texts among them of more than `MAX_TOKENS` tokens; each call warns with a count.

    Raises
    ------
    RagftError
        The model cannot be had, is no BERT-like encoder, or has fewer layers; `batch_size` below
        1 or `keep` below 0.

    Source: Zhang et al. (2020), BERTScore: Evaluating text generation with BERT.
    """

    def __init__(
        self,
        model: str | Path = "auto",
        *,
        num_layers: int = 5,
        batch_size: int = 64,
        device: str | None = None,
        keep: int = 4096,
    ) -> None:
        if num_layers < 1 or batch_size < 1 or keep < 0:
            raise RagftError("BertScore: num_layers and batch_size start at 1, keep at 0.")
        self.folder = embedding_model.model_folder(model)
        self.num_layers = num_layers
        self.batch_size = batch_size
        self.device = device
        self.keep = keep
        self.embedded = 0
        self.truncated = 0
        self._known: dict[str, tuple] = {}

    @cached_property
    def model_hash(self) -> str:
        """SHA-256 of the model's files, in hexadecimal."""
        return embedding_model.model_hash(self.folder.resolve())

    def __call__(self, prediction: str, golds: Iterable[str]) -> float:
        """Return the score of one prediction; see `score`."""
        return float(self.score([prediction], [golds])[0])

    def score(self, predictions: Sequence[str], golds: Sequence[Iterable[str]]) -> np.ndarray:
        """Return the best F over gold answers for every prediction.

        Parameters
        ----------
        predictions : sequence of str
            Shape (n,); may be empty. A blank one is treated as in `similarity.rouge_l`.
        golds : sequence of iterables of str
            The acceptable answers to each.

        Returns
        -------
        ndarray of float64, shape (n,)
            At most 1, and hardly ever below 0; NaN without a gold answer that has tokens.

        Raises
        ------
        RagftError
            Different lengths, or one string in place of a list.
        """
        if any(isinstance(texts, str) for texts in (predictions, golds, *golds)):
            raise RagftError(
                "BertScore: score takes a list of predictions and for each a list of golds, not "
                "one string; for a single prediction call the object."
            )
        golds = [list(own) for own in golds]
        if len(predictions) != len(golds):
            raise RagftError(
                f"BertScore: {len(predictions)} predictions for {len(golds)} lists of golds."
            )
        pairs = [(p, g) for p, own in zip(predictions, golds, strict=True) for g in own]
        found = self._match(dict.fromkeys((p, g) for p, g in pairs if p.strip() and g.strip()))

        def best(prediction: str, said: list[str]) -> float:
            scores = [found[prediction, gold] for gold in said]
            return max((s for s in scores if not math.isnan(s)), default=math.nan)

        return np.array(
            [
                graded(p, own, lambda said, p=p: best(p, said))
                for p, own in zip(predictions, golds, strict=True)
            ],
            dtype=float,
        )

    def _match(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """Return F of each (prediction, gold), NaN where the gold has no token.

        Padding counts as a cosine of 0, which would lift a token whose best one is below 0: pairs
        are therefore matched in groups of equal lengths, without any.
        """
        pairs = list(pairs)
        self._embed([text for pair in pairs for text in pair])

        def lengths(pair: tuple[str, str]) -> tuple[int, int]:
            return len(self._known[pair[0]][0]), len(self._known[pair[1]][0])

        found = {}
        for (of_said, of_gold), group in groupby(sorted(pairs, key=lengths), key=lengths):
            same = list(group)
            if min(of_said, of_gold) <= _MARKS:  # control characters alone: no token is left
                found |= dict.fromkeys(same, math.nan if of_gold <= _MARKS else 0.0)
                continue
            for start in range(0, len(same), self.batch_size):
                part = same[start : start + self.batch_size]
                found |= dict(zip(part, self._matched(part), strict=True))
        for text in list(self._known)[: max(0, len(self._known) - self.keep)]:
            del self._known[text]
        return found

    def _matched(self, pairs: list[tuple[str, str]]) -> list[float]:
        """Return F of pairs of equal lengths."""
        import torch
        from bert_score.utils import greedy_cos_idf

        def stacked(place: int) -> tuple:
            # Stacking copies, and greedy_cos_idf normalises what it is given in place.
            vectors, weights = (
                torch.stack(part)
                for part in zip(*(self._known[pair[place]] for pair in pairs), strict=True)
            )
            return vectors, torch.ones(weights.shape), weights

        with torch.no_grad():
            return greedy_cos_idf(*stacked(1), *stacked(0))[2].tolist()

    def _embed(self, texts: Iterable[str]) -> None:
        """Remember vectors and weights of the tokens of every text that is not known yet."""
        from bert_score.utils import get_bert_embedding

        # Texts of like lengths share a batch, so that little of it is padding.
        missing = sorted((t for t in dict.fromkeys(texts) if t not in self._known), key=len)
        if not missing:
            return
        tokenizer, model, weights = self._loaded
        self._count_truncated(missing)
        for start in range(0, len(missing), self.batch_size):
            batch = missing[start : start + self.batch_size]
            vectors, mask, weight = get_bert_embedding(
                batch, model, tokenizer, weights, device=model.device
            )
            for row, length in enumerate(mask.sum(dim=1).tolist()):
                # Copied: a view would keep the whole batch in memory.
                token_vectors = vectors[row, :length].cpu().clone()
                self._known[batch[row]] = token_vectors, weight[row, :length].cpu().clone()
        self.embedded += len(missing)

    @cached_property
    def _loaded(self) -> tuple:
        """The tokenizer, the encoder cut off above the layer, and the weight of every token."""
        from transformers import AutoModel, AutoTokenizer

        device = device_of(self.device or "auto")
        with models.quiet():
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True
            )
        layers = getattr(getattr(model, "encoder", None), "layer", None)
        if layers is None or len(layers) < self.num_layers:
            raise RagftError(
                f"BertScore: {self.folder} must be a BERT-like encoder of at least "
                f"{self.num_layers} layers; lower num_layers or name another model."
            )
        model.encoder.layer = layers[: self.num_layers]
        tokenizer.model_max_length = MAX_TOKENS  # some folders name none, and nothing is cut then
        weights = defaultdict(lambda: 1.0, {tokenizer.sep_token_id: 0, tokenizer.cls_token_id: 0})
        return tokenizer, model.eval().to(device), weights

    def _count_truncated(self, texts: list[str]) -> None:
        count = models.count_longer(self._loaded[0], texts, MAX_TOKENS)
        self.truncated += count
        if count:
            warnings.warn(
                f"BertScore: {count} of {len(texts)} texts are longer than the {MAX_TOKENS} tokens "
                "that the model reads; the rest of them is not compared.",
                stacklevel=5,
            )
