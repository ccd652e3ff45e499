"""A reranker: a cross-encoder that reads a query and a passage together and scores the pair.

Only folders with safetensors weights are accepted: nothing is unpickled, and no code of a model
folder is ever run. How one is trained lives in `tune`, which candidates it sees in `searching`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ragft import files, models
from ragft.retrieval import embedding_model
from ragft.types import RagftError


class Reranker:
    """Scores (query, text) pairs with a cross-encoder of sentence-transformers.

    The model is found when the object is made and loaded when the first pair is scored.

    Parameters
    ----------
    model : str or Path
        A folder, or a hub id such as 'cross-encoder/ms-marco-MiniLM-L6-v2'.
    batch_size : int
        Pairs in one forward pass.
    device : str, optional
        Such as 'cpu' or 'cuda'; None takes the best there is.
    bf16 : bool
        Multiply in bfloat16: twice as fast where the processor knows it, and scores that differ
        in the third digit.

    Attributes
    ----------
    model_hash : str
        SHA-256 of the model's files.
    scored : int
        Pairs scored so far.
    truncated : int
        Pairs among them that were longer than the model reads; each call warns with a count.

    Raises
    ------
    RagftError
        The model cannot be had, lacks safetensors, wants to run code of its own, or gives more
        than one score a pair.
    """

    def __init__(
        self,
        model: str | Path,
        batch_size: int = 16,
        device: str | None = None,
        bf16: bool = False,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise RagftError(f"Reranker: batch_size must be at least 1, not {batch_size!r}.")
        folder = Path(model)
        self.folder = folder if folder.is_dir() else _fetched(str(model))
        _check_folder(self.folder)
        self.batch_size, self.device, self.bf16 = batch_size, device, bf16
        self.scored = self.truncated = 0

    @cached_property
    def model_hash(self) -> str:
        """SHA-256 of the model's files, in hexadecimal."""
        return embedding_model.model_hash(self.folder.resolve())

    @cached_property
    def _model(self) -> Any:
        from ragft.kernels import quick

        model = quick(open_cross_encoder(self.folder, device=self.device))
        if model.num_labels != 1:
            raise RagftError(
                f"reranker {self.folder}: it gives {model.num_labels} scores a pair, and one is "
                "needed; choose a cross-encoder for ranking."
            )
        return model

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return how well each text answers its query; higher is better.

        Parameters
        ----------
        pairs : sequence of (query, text)
            Text beyond the model's limit is not seen, with a warning that counts such pairs.

        Returns
        -------
        ndarray of float64, shape (pairs,)
            The model's logits: any finite numbers, comparable within a query. Empty for no pairs.

        Raises
        ------
        RagftError
            A score that is not finite: the weights are damaged.
        """
        if not len(pairs):
            return np.empty(0)
        import torch

        self._count_truncated(pairs)
        kind = self._model.device.type
        half = torch.autocast(kind, dtype=torch.bfloat16) if self.bf16 else nullcontext()
        with half:
            scores = self._model.predict(
                [tuple(pair) for pair in pairs],
                batch_size=self.batch_size,
                activation_fn=torch.nn.Identity(),  # a sigmoid would make ties of high logits
                convert_to_numpy=False,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        values = scores.float().cpu().numpy().astype(np.float64)
        if not np.isfinite(values).all():
            raise RagftError(
                f"reranker {self.folder}: it gave numbers that are not finite; its weights are "
                "damaged, copy the folder again."
            )
        self.scored += len(pairs)
        return values

    def _count_truncated(self, pairs: Sequence[tuple[str, str]]) -> None:
        # A line break stands for the separator: one token or none, and its byte is counted.
        limit = self._model.max_length
        if not limit:
            return
        joined = [f"{query}\n{text}" for query, text in pairs]
        count = models.count_longer(self._model.tokenizer, joined, limit - 1)
        self.truncated += count
        if count:
            warnings.warn(
                f"reranker: {count} of {len(pairs)} pairs are longer than the {limit} tokens that "
                "the model reads; the rest of them is not seen (use smaller chunks).",
                stacklevel=3,
            )


def open_cross_encoder(folder: Path, **options: Any) -> Any:
    """Load a cross-encoder of a local folder; `options` are those of `CrossEncoder`.

    Raises
    ------
    RagftError
        It cannot be loaded.
    """
    from sentence_transformers import CrossEncoder

    try:
        with models.quiet():
            return CrossEncoder(
                str(folder),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
                **options,
            )
    except Exception as error:  # the library raises whatever the damaged file leads to
        raise RagftError(
            f"reranker {folder}: cannot be loaded ({type(error).__name__}: {error}); copy the "
            "whole model folder again."
        ) from error


def _fetched(name: str) -> Path:
    return embedding_model.from_hub(
        name,
        "reranker",
        "Give the folder of a cross-encoder, or train one on your own questions: "
        "ragft.retrieval.tune.train_reranker.",
    )


def _check_folder(folder: Path) -> None:
    path = folder / "config.json"
    try:
        config = files.from_json(path.read_text("utf-8"))
        named = [str(name) for name in config.get("architectures") or []]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RagftError(
            f"reranker {folder}: config.json is missing or broken ({error})."
        ) from error
    if not any(folder.glob("*.safetensors")):
        raise RagftError(
            f"reranker {folder}: there is no .safetensors file, and pickled weights are never "
            "loaded; convert the model to safetensors."
        )
    foreign = embedding_model.foreign_module(folder, "reranker")
    if "auto_map" in config or foreign:
        raise RagftError(
            f"reranker {folder}: it wants to run code of its own ({foreign or 'auto_map'}), which "
            "ragft never does; choose a model of a built-in architecture."
        )
    # Any other model would get a head of random weights, and rank at random.
    if not any(name.endswith("ForSequenceClassification") for name in named):
        raise RagftError(
            f"reranker {folder}: config.json names {', '.join(named) or 'no architecture'}, which "
            "scores no pairs; give a cross-encoder (...ForSequenceClassification)."
        )
