"""How surprising each example is to a model: the noise score, and what memorisation is read from.

Losses of examples as they stand; what is dropped for them is decided in `curation`, and what a
low loss says of memorisation in `canaries` and `membership`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ragft import models
from ragft.kernels import quick
from ragft.training.batches import Row, TokenBatches, collate
from ragft.training.finetune import finetune
from ragft.training.rows import tokenise
from ragft.types import Example, RagftError


def example_losses(
    model: Any,
    examples: Sequence[Example],
    adapter: str | os.PathLike[str] | None = None,
    *,
    per_token: bool = True,
    batch_tokens: int = 1024,
) -> np.ndarray:
    """Return the loss of each completion, given its prompt: what training would lower.

    As a noise score of the examples that the adapter was trained on, it tells errors between two
    extremes: after too few passes no fact is learnt yet, right or wrong, and after too many the
    errors are learnt too.

    Parameters
    ----------
    model : str, path or LocalModel
        As for `finetune`; the weights are read from its folder, an adapter that a `LocalModel`
        carries is not used.
    examples : sequence of Example
        May be empty.
    adapter : path, optional
        A folder made by `finetune` from this very base, of any method.
    per_token : bool
        Mean over the tokens of a completion, its end token included; otherwise their sum, the
        log-perplexity by which completions of different lengths are compared as a whole.
    batch_tokens : int
        Padded tokens read at once; it moves the losses by rounding alone.

    Returns
    -------
    numpy.ndarray
        Negative log-likelihoods in nats, shape (examples,), at least 0; NaN only where the
        model itself gives no numbers.

    Raises
    ------
    RagftError
        As for `finetune`: an empty text, an example longer than the context, an adapter for
        another base.
    """
    if not examples:
        return np.empty(0)
    if batch_tokens < 1:
        raise RagftError(f"batch_tokens={batch_tokens}: must be at least 1")
    folder = models.locate(getattr(model, "folder", model))
    rows, _ = tokenise(folder, examples, None)
    network, pad = scoring_network(folder, adapter), models.open_tokenizer(folder).pad_token_id
    batches = TokenBatches([len(row.ids) for row in rows], batch_tokens, seed=0)
    losses = np.empty(len(rows))
    for batch in batches:
        losses[batch] = _losses(network, [rows[i] for i in batch], pad)
    return losses / [len(row.ids) - row.prompt for row in rows] if per_token else losses


def scoring_network(folder: Path, adapter: str | os.PathLike[str] | None) -> Any:
    """Return the model to score with, on the GPU where there is one.

    Parameters
    ----------
    folder : Path
        Of the base, as given by `models.locate`.
    adapter : path, optional
        A folder made by `finetune` from this base, of any method; None: the base itself.

    Raises
    ------
    RagftError
        The adapter is for another base.
    """
    gpu = torch.cuda.is_available()
    where = {"device": "cuda" if gpu else "cpu", "dtype": torch.float32}
    if adapter is None:
        return quick(models.open_network(folder, **where))
    card = models.read_card(adapter)
    models.check_base(adapter, card, models.weights_hash(folder))
    method = card["settings"]["method"]
    if method == "full":
        return quick(models.open_network(Path(adapter), **where))
    from peft import PeftModel

    network = models.open_network(
        folder, quantization="nf4" if method == "qlora" else None, **where
    )
    with models.quiet():
        return quick(PeftModel.from_pretrained(network, str(adapter)).eval())


def _losses(network: Any, rows: Sequence[Row], pad: int) -> np.ndarray:
    """Return the summed loss of each row's completion, shape (rows,)."""
    batch = {name: part.to(network.device) for name, part in collate(rows, pad).items()}
    labels = batch.pop("labels")[:, 1:]
    places = (labels != -100).any(0).nonzero().squeeze(1)
    with torch.inference_mode():
        # counted from the end, because virtual tokens may stand in front
        keep = places - batch["input_ids"].shape[1]
        logits = network(**batch, use_cache=False, logits_to_keep=keep).logits.float()
    chosen = labels[:, places]
    nats = cross_entropy(logits.transpose(1, 2), chosen, ignore_index=-100, reduction="none")
    return nats.double().sum(1).cpu().numpy()


def cross_losses(
    model: Any,
    examples: Sequence[Example],
    *,
    out: str | os.PathLike[str],
    folds: int = 2,
    seed: int = 0,
    **options: Any,
) -> np.ndarray:
    """Return the loss of each example to a model that was trained on others alone.

    The examples are dealt into folds at random; each is scored by an adapter trained on the
    other folds. So no example is learnt by heart before it is judged. An error shows where the
    others say otherwise: facts must come in several wordings, dealt one by one. What only one
    example says is equally new to the model right or wrong, and its loss tells nothing.

    Parameters
    ----------
    model : str, path or LocalModel
    examples : sequence of Example
        At least as many as folds.
    out : path
        Folder for the adapters, one for each fold; finished ones are used again.
    folds : int
        At least 2.
    seed : int
        Of the dealing and of the training.
    **options
        For `finetune`; the epochs must be enough for one wording to tell of another.
        `conflicts` is 'allow' unless given: what is looked for may well contradict itself.

    Returns
    -------
    numpy.ndarray
        Mean negative log-likelihood per completion token in nats, shape (examples,).

    Raises
    ------
    RagftError
        Fewer examples than folds, fewer than two folds, or what `finetune` raises.

    Source: Northcutt et al. (2021), Confident learning, JAIR 70 (scores out of sample, by
    cross-validation); that errors are learnt last: Arpit et al. (2017), A closer look at
    memorization in deep networks, ICML.
    """
    if folds < 2 or len(examples) < folds:
        raise RagftError(
            f"folds={folds} for {len(examples)} examples: at least 2, and no more than examples"
        )
    order = random.Random(f"folds-{seed}").sample(range(len(examples)), len(examples))
    losses = np.empty(len(examples))
    for fold in range(folds):
        scored = sorted(order[fold::folds])
        held = set(scored)
        others = [example for i, example in enumerate(examples) if i not in held]
        given = {"conflicts": "allow", **options, "seed": seed}
        made = finetune(model, others, out=Path(out) / f"fold-{fold}", **given)
        losses[scored] = example_losses(model, [examples[i] for i in scored], made.adapter)
    return losses


def worst(losses: Sequence[float], share: float) -> list[int]:
    """Return the positions of the highest losses, in order of position.

    Parameters
    ----------
    losses : sequence of float
        Shape (n,); may be empty or infinite. NaN is not ranked and never among the worst.
    share : float
        Of n, 0 to 1, rounded to whole rows (halves to even), and at most as many as have a
        loss. Of equal losses the earlier go first.

    Raises
    ------
    RagftError
        The share is out of range.

    Examples
    --------
    >>> worst([0.1, 3.0, float("nan"), 2.0, 0.2], 0.4)
    [1, 3]
    """
    if not 0 <= share <= 1:
        raise RagftError(f"share={share}: must lie between 0 and 1")
    table = np.asarray(losses, float)
    order = np.argsort(-table, kind="stable")
    ranked = order[~np.isnan(table[order])]
    return sorted(ranked[: round(share * len(table))].tolist())
