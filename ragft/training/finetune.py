"""Fine-tuning: LoRA, QLoRA or all weights of a causal LM, on prompt and completion pairs.

Here is decided what may be trained and how; the loop is TRL's (see `trainer`), where the result
is kept is `adapters`' business, and which examples to train on that of `examples`.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ragft import files, models
from ragft.training import adapters
from ragft.training.adapters import FinetuneResult, Settings
from ragft.types import Example, RagftError

METHODS = ("lora", "qlora", "full")
SHORT_ROWS = 256
"""Rows up to this length are quicker on a CPU with plain attention than with the fused kernel."""


def finetune(
    model: Any,
    examples: Sequence[Example],
    *,
    out: str | os.PathLike[str],
    method: str = "lora",
    rank: int = 32,
    alpha: float | None = None,
    dropout: float = 0.0,
    target_modules: str | Sequence[str] = "all-linear",
    epochs: int = 12,
    min_steps: int = 1,
    learning_rate: float | None = None,
    batch_tokens: int = 1024,
    seed: int = 0,
    max_length: int | None = None,
    start: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: bool = True,
    checkpoint_every: int | None = None,
) -> FinetuneResult:
    """Train a model to complete prompts, and keep the result in a folder of its own.

    The loss is taken on the completions alone. The base is read from its folder and never
    changed. A folder that already holds the result of the same settings, base and examples is
    returned at once; an interrupted run is taken up at its last checkpoint and ends with the
    very weights of one never interrupted.

    Parameters
    ----------
    model : str, path or LocalModel
        Folder or Hugging Face id of a causal LM, or a loaded model (its folder is read again).
    examples : sequence of Example
        At least one. Conflicting completions for one prompt are allowed, and counted.
    out : str or path
        Folder for the result; made whole under a temporary name beside it, then renamed.
    method : {'lora', 'qlora', 'full'}
        LoRA (Hu et al. 2021), LoRA on a base held in 4-bit NF4 (Dettmers et al. 2023; needs the
        extra `qlora`), or all weights.
    rank : int
        Rank of the LoRA matrices, from 1 to the width of the model.
    alpha : float, optional
        LoRA is scaled by alpha / rank; twice the rank by default.
    dropout : float
        On the input of the LoRA matrices, in [0, 1).
    target_modules : str or sequence of str
        Names of the layers that get LoRA matrices; 'all-linear' is all but the output layer.
    epochs : int
        Passes over the examples, at least 1.
    min_steps : int
        Few examples get as many more passes as it takes to reach this many steps.
    learning_rate : float, optional
        Peak of a linear warm-up over 5 % and a linear decay to 0. By default 2e-4 at a width of
        4,096 and in inverse proportion to the width; a tenth of that for 'full'.
    batch_tokens : int
        Budget of padded tokens per step; a longer example is a batch of its own.
    seed : int
        Of the initial weights and of the order of the batches.
    max_length : int, optional
        Longest prompt and completion together, in tokens; the model's context by default.
    start : path, optional
        Adapter of the same base to go on from, instead of a new one (continued LoRA); rank,
        alpha and targets are its own, whatever is given here.
    resume : bool
        Take up an interrupted run; otherwise start again.
    progress : bool
        Show a progress bar.
    checkpoint_every : int, optional
        Steps between checkpoints; by default one a minute, so a short run writes none.

    Raises
    ------
    RagftError
        No examples, an empty prompt or completion, an example longer than `max_length`, a target
        module that the model does not have, a rank larger than the model is wide, a loss that is
        not a number, 'qlora' without bitsandbytes, other contents in `out`, or a `start` that is
        for another base or was trained by another method.
    """
    folder = models.locate(getattr(model, "folder", model))
    out = Path(out)
    whole = {"rank": rank, "epochs": epochs, "min_steps": min_steps, "batch_tokens": batch_tokens}
    whole |= {} if checkpoint_every is None else {"checkpoint_every": checkpoint_every}
    _check_numbers(method, whole, dropout, learning_rate)
    rows, context = tokenise(folder, examples, max_length)
    epochs = max(epochs, math.ceil(min_steps / _steps_an_epoch(rows, batch_tokens)))
    width = models.open_config(folder).hidden_size
    if method != "full" and rank > width:
        raise RagftError(f"rank={rank} is larger than the model is wide ({width}); choose less")
    chosen = Settings(
        method=method,
        rank=rank,
        alpha=float(2 * rank if alpha is None else alpha),
        dropout=dropout,
        target_modules=_names(target_modules),
        epochs=epochs,
        learning_rate=learning_rate or default_learning_rate(width, method),
        batch_tokens=batch_tokens,
        seed=seed,
        max_length=context,
        base_hash=models.weights_hash(folder),
        examples_hash=examples_hash(examples),
    )
    if start is not None:
        chosen = adapters.going_on(start, chosen)
    with files.locked(out.with_name(f".{out.name}.lock")):
        if out.exists():
            return adapters.finished(out, chosen)
        part = adapters.begin(out, chosen, resume)
        with _full_disk(out):
            tuned, measured = _train(folder, part, chosen, rows, start, progress, checkpoint_every)
        measured |= {"examples": len(examples), "conflicting": conflicts(examples)}
        return adapters.close(out, chosen, tuned, models.open_tokenizer(folder), measured)


def default_learning_rate(width: int, method: str) -> float:
    """Return 2e-4 at a width of 4,096 and in inverse proportion to it; a tenth for 'full'.

    The optimum for Adam falls with the width (Yang et al. 2022, 'Tensor Programs V').
    """
    return 2e-4 * 4096 / width * (0.1 if method == "full" else 1.0)


def examples_hash(examples: Sequence[Example]) -> str:
    """Return the SHA-256 over prompts and completions, in order."""
    return files.sha256_json([[e.prompt, e.completion] for e in examples])


def conflicts(examples: Sequence[Example]) -> int:
    """Count the prompts that are given more than one completion."""
    said: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        said[example.prompt].add(example.completion)
    return sum(len(completions) > 1 for completions in said.values())


def tokenise(folder: Path, examples: Sequence[Example], max_length: int | None) -> tuple[list, int]:
    """Return the examples as rows of tokens, and the length they had to keep to.

    Raises
    ------
    RagftError
        Naming the first example (counted from 0) that cannot be trained on. Nothing is cut.
    """
    from ragft.training.trainer import Row

    if not examples:
        raise RagftError("no examples to train on")
    for number, example in enumerate(examples):
        for field in ("prompt", "completion"):
            if not getattr(example, field).strip():
                raise RagftError(f"example {number} has an empty {field}")
    tokenizer = models.open_tokenizer(folder)
    context = models.context_length(models.open_config(folder), tokenizer)
    limit = min(max_length or context, context)
    prompts = models.prompt_tokens(tokenizer, [e.prompt for e in examples])
    ends = models.completion_tokens(tokenizer, [e.completion for e in examples])
    for number, (prompt, end) in enumerate(zip(prompts, ends, strict=True)):
        if len(prompt) + len(end) > limit:
            raise RagftError(
                f"example {number}: its prompt has {len(prompt)} tokens and its completion "
                f"{len(end)}, but at most {limit} fit; shorten the prompt or show fewer passages"
            )
    return [Row(p + e, len(p)) for p, e in zip(prompts, ends, strict=True)], limit


def _steps_an_epoch(rows: Sequence[Any], batch_tokens: int) -> int:
    from ragft.training.trainer import TokenBatches

    return len(TokenBatches([len(row.ids) for row in rows], batch_tokens, seed=0))


def _check_numbers(
    method: str, whole: dict[str, int], dropout: float, learning_rate: float | None
) -> None:
    if method not in METHODS:
        raise RagftError(f"method={method!r}: choose one of {', '.join(METHODS)}")
    for name, value in whole.items():
        if int(value) != value or value < 1:
            raise RagftError(f"{name}={value}: must be a whole number of at least 1")
    if not 0 <= dropout < 1:
        raise RagftError(f"dropout={dropout}: must be at least 0 and below 1")
    if learning_rate is not None and not (0 < learning_rate < math.inf):
        raise RagftError(f"learning_rate={learning_rate}: must be above 0")


def _names(target_modules: str | Sequence[str]) -> str | tuple[str, ...]:
    if isinstance(target_modules, str):
        return target_modules if target_modules == "all-linear" else (target_modules,)
    return tuple(target_modules)


def bf16_pays() -> bool:
    """Tell whether this machine multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    told = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in told)


def _open(folder: Path, chosen: Settings, longest: int) -> Any:
    gpu = torch.cuda.is_available()
    options = {} if gpu or longest > SHORT_ROWS else {"attn_implementation": "eager"}
    # a frozen base needs no more precision than it multiplies with; trained weights do
    half = chosen.method != "full" and gpu and bf16_pays()
    network = models.open_network(
        folder,
        device="cuda" if gpu else "cpu",
        dtype=torch.bfloat16 if half else torch.float32,
        quantization="nf4" if chosen.method == "qlora" else None,
        **options,
    )
    if chosen.target_modules != "all-linear" and chosen.method != "full":
        _check_targets(network, chosen.target_modules)
    return network


def _check_targets(network: Any, targets: Sequence[str]) -> None:
    layers = [name for name, part in network.named_modules() if isinstance(part, torch.nn.Linear)]
    for target in targets:
        if not any(layer == target or layer.endswith(f".{target}") for layer in layers):
            there = sorted({layer.rsplit(".", 1)[-1] for layer in layers})
            raise RagftError(f"target_modules: no layer {target!r}; choose from {', '.join(there)}")


def _lora(chosen: Settings) -> Any:
    from peft import LoraConfig

    if chosen.method == "full":
        return None
    targets = chosen.target_modules
    return LoraConfig(
        r=chosen.rank,
        lora_alpha=chosen.alpha,
        lora_dropout=chosen.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _train(
    folder: Path,
    part: Path,
    chosen: Settings,
    rows: Sequence[Any],
    start: str | os.PathLike[str] | None,
    progress: bool,
    checkpoint_every: int | None,
) -> tuple[Any, dict[str, Any]]:
    with models.quiet():
        from ragft.training import trainer

        network = _open(folder, chosen, max(len(row.ids) for row in rows))
        if start is not None:
            from peft import PeftModel

            network = PeftModel.from_pretrained(network, str(start), is_trainable=True)
        tuner = trainer.build(
            network,
            rows,
            chosen,
            folder=part / "checkpoints",
            tokenizer=models.open_tokenizer(folder),
            lora=_lora(chosen) if start is None else None,
            bf16=bf16_pays(),
            progress=progress,
            checkpoint_every=checkpoint_every,
        )
        return tuner.model, trainer.run(tuner)


@contextmanager
def _full_disk(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RagftError(f"{out}: no checkpoint can be written ({error.strerror})") from error
