"""Fine-tuning of a causal LM on prompt and completion pairs, by any method, from one function.

Here is decided what is trained on and whether a result is there already. What is trained lives in
`methods`, the loop in `trainer`, where the result is kept in `adapters`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ragft import files, models
from ragft.runtime import multiplies_bf16
from ragft.training import adapters, methods
from ragft.training import processes as together
from ragft.training.adapters import FinetuneResult, Settings
from ragft.training.batches import steps_an_epoch
from ragft.training.methods import default_learning_rate
from ragft.training.rows import conflicting, examples_hash, refuse_conflicts, tokenise
from ragft.types import Example, RagftError

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["FinetuneResult", "examples_hash", "finetune"]


def finetune(
    model: Any,
    examples: Sequence[Example],
    *,
    out: str | os.PathLike[str],
    method: str | PeftConfig = "lora",
    rank: int = 32,
    alpha: float | None = None,
    dropout: float = 0.0,
    target_modules: str | Sequence[str] = "all-linear",
    virtual_tokens: int = 20,
    epochs: int = 12,
    min_steps: int = 1,
    learning_rate: float | None = None,
    batch_tokens: int = 1024,
    seed: int = 0,
    max_length: int | None = None,
    conflicts: str = "refuse",
    gradient_checkpointing: bool = False,
    mix_lengths: bool = False,
    compiled: bool = False,
    start: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: bool = True,
    checkpoint_every: int | None = None,
    processes: int = 1,
    timeout_s: float = 1800.0,
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
        At least one.
    out : str or path
        Folder for the result; made whole under a temporary name beside it, then renamed.
    method : {'lora', 'qlora', 'full', 'prefix', 'prompt'} or peft.PeftConfig
        LoRA (Hu et al. 2021), LoRA on a base held in 4-bit NF4 (Dettmers et al. 2023; needs the
        extra `qlora`), all weights, prefix tuning (Li and Liang 2021: keys and values in front of
        every layer), prompt tuning (Lester et al. 2021: embeddings in front of the prompt), or
        whatever else PEFT can do, by its own configuration: `method=peft.IA3Config(...)`.
    rank : int
        Rank of the LoRA matrices, from 1 to the least side of a layer that gets them.
    alpha : float, optional
        LoRA is scaled by alpha / rank; twice the rank by default.
    dropout : float
        On the input of the LoRA matrices, in [0, 1).
    target_modules : str or sequence of str
        Names of the layers that get LoRA matrices; 'all-linear' is all but the output layer.
    virtual_tokens : int
        Tokens that 'prefix' and 'prompt' train; they take their places of the context.
    epochs : int
        Passes over the examples, at least 1.
    min_steps : int
        Few examples get as many more passes as it takes to reach this many steps.
    learning_rate : float, optional
        Peak of a linear warm-up over 5 % and a linear decay to 0. By default 2e-4 at a width of
        4,096 and in inverse proportion to the width; a tenth of that for 'full', 30 times that
        for 'prefix' and 'prompt'.
    batch_tokens : int
        Budget of padded tokens per step; a longer example is a batch of its own.
    seed : int
        Of the initial weights and of the order of the batches.
    max_length : int, optional
        Longest prompt and completion together, in tokens; the model's context by default.
    conflicts : {'refuse', 'allow'}
        What to do where a prompt is given more than one completion: raise an error that shows
        one, or train on all of them; the result counts them either way.
    gradient_checkpointing : bool
        Compute activations twice rather than keep them: less memory for more time.
    mix_lengths : bool
        Take rows into a batch as they fall, not by like lengths: more padding, but of few tokens a
        batch it learns more from the same passes.
    compiled : bool
        Let torch compile the layers of the model, for 'lora' and 'full' in one process: half a
        minute before the first step of a process, after which short steps of a small model are
        quicker (by how much here: `ragft bench training`); needs a C++ compiler. Rounds elsewhere
        than without.
    start : path, optional
        Adapter of the same base to go on from, instead of a new one (continued LoRA); rank,
        alpha and targets are its own, whatever is given here.
    resume : bool
        Take up an interrupted run; otherwise start again.
    progress : bool
        Show a progress bar.
    checkpoint_every : int, optional
        Steps between checkpoints; by default one a minute, so a short run writes none.
    processes : int
        How many processes a launcher (`torchrun`, `accelerate launch`) started to run this very
        call, from 1. They share each batch and divide by its tokens, so that a step is that of
        one process but for the order of sums. All must see `out`; the first alone writes there.
    timeout_s : float
        Seconds that a process waits for the others before it ends with an error.

    Raises
    ------
    RagftError
        No examples, an empty prompt or completion, an example longer than `max_length`,
        conflicting examples, a target module that the model does not have, a rank larger than a
        layer, a loss that is not a number (checkpoints before it are kept), memory that runs out,
        'qlora' without bitsandbytes, `compiled` without a compiler or for what it is not meant,
        other contents in `out`, a `start` that is for another base or was trained by another
        method, another number of processes than was said (also than was interrupted), one of them
        gone or late, or another run that trains into `out` (one process waits for it instead).
    """
    method, given = methods.named(method)
    whole = {"rank": rank, "epochs": epochs, "min_steps": min_steps, "batch_tokens": batch_tokens}
    whole |= {"virtual_tokens": virtual_tokens, "processes": processes}
    whole |= {} if checkpoint_every is None else {"checkpoint_every": checkpoint_every}
    methods.check_numbers(whole, dropout, learning_rate)
    if not timeout_s > 0:
        raise RagftError(f"timeout_s={timeout_s}: must be above 0")
    together.join(processes, timeout_s)
    if conflicts not in ("refuse", "allow"):
        raise RagftError(f"conflicts={conflicts!r}: choose 'refuse' or 'allow'")
    folder, out = models.locate(getattr(model, "folder", model)), Path(out)
    if compiled:
        methods.check_compiled(method, processes, gradient_checkpointing)
    soft = methods.soft_tokens(method, virtual_tokens, given)
    if soft and gradient_checkpointing:
        raise RagftError(f"method {method}: cannot be trained with gradient_checkpointing=True")
    rows, context = tokenise(folder, examples, max_length, reserved=soft)
    if conflicts == "refuse":
        refuse_conflicts(examples)
    width = models.open_config(folder).hidden_size
    if method in ("lora", "qlora") and rank > width:
        raise RagftError(f"rank={rank} is larger than the model is wide ({width}); choose less")
    an_epoch = steps_an_epoch(rows, batch_tokens, mix_lengths)
    chosen = Settings(
        method=method,
        **methods.shape(method, rank, alpha, dropout, target_modules),
        epochs=max(epochs, math.ceil(min_steps / an_epoch)),
        learning_rate=learning_rate or default_learning_rate(width, method),
        batch_tokens=batch_tokens,
        seed=seed,
        max_length=context,
        base_hash=models.weights_hash(folder),
        examples_hash=examples_hash(examples),
        virtual_tokens=virtual_tokens if method in methods.SOFT else 0,
        peft=None if given is None else methods.told(given),
        gradient_checkpointing=gradient_checkpointing,
        mix_lengths=mix_lengths,
        processes=processes,
        compiled=compiled,
    )
    if start is not None:
        chosen = adapters.going_on(start, chosen)
    if processes == 1 and out.exists():  # it appears whole: no lock, nor a right to write, needed
        return adapters.finished(out, chosen)
    with _alone(out, processes), together.answering(timeout_s):
        if together.from_first(out.exists):
            return adapters.finished(out, chosen)
        part = Path(together.from_first(lambda: str(adapters.begin(out, chosen, resume))))
        with _used_up(out, chosen):
            tuned, measured, weights = _train(
                folder, part, chosen, given, rows, start, progress, checkpoint_every
            )
        measured |= {"examples": len(examples), "conflicting": len(conflicting(examples))}

        def close() -> FinetuneResult:
            tokenizer = models.open_tokenizer(folder)
            return adapters.close(out, chosen, tuned, tokenizer, measured, weights)

        if processes == 1:
            return close()
        together.from_first(lambda: str(close().adapter))
        return adapters.finished(out, chosen)


def _alone(out: Path, processes: int) -> AbstractContextManager[None]:
    """Keep other runs from training into the same folder; of several processes the first does."""
    lock = out.with_name(f".{out.name}.lock")
    if processes == 1:
        return files.locked(lock)
    busy = f"{out}: another run trains into this folder; wait for it, or choose another folder"
    return files.locked(lock, busy) if together.first() else nullcontext()


def _train(
    folder: Path,
    part: Path,
    chosen: Settings,
    given: PeftConfig | None,
    rows: Sequence[Any],
    start: str | os.PathLike[str] | None,
    progress: bool,
    checkpoint_every: int | None,
) -> tuple[Any, dict[str, Any], Any]:
    with models.quiet():
        from ragft.training import trainer

        network = methods.open_base(folder, chosen, max(len(row.ids) for row in rows))
        if start is not None:
            from peft import PeftModel

            network = PeftModel.from_pretrained(network, str(start), is_trainable=True)
        tuner = trainer.build(
            network,
            rows,
            chosen,
            folder=part / "checkpoints",
            tokenizer=models.open_tokenizer(folder),
            peft_config=methods.configuration(chosen, given) if start is None else None,
            bf16=multiplies_bf16(),
            progress=progress,
            checkpoint_every=checkpoint_every,
        )
        measured = trainer.run(tuner)
        return tuner.model, measured, trainer.whole_weights(tuner)


@contextmanager
def _used_up(out: Path, chosen: Settings) -> Iterator[None]:
    """Turn a full disk and memory that runs out into errors that say what to do."""
    try:
        yield
    except OSError as error:
        raise RagftError(
            f"{out}: no checkpoint can be written ({error.strerror or error})"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(
            sign in str(error) for sign in _NO_MEMORY
        ):
            raise
        raise RagftError(
            f"memory ran out in training by {chosen.method}: lower batch_tokens (now "
            f"{chosen.batch_tokens}), shorten the longest example, pass "
            "gradient_checkpointing=True, or choose method='qlora'"
        ) from error


_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""What torch says of it where it has no error of its own kind."""
