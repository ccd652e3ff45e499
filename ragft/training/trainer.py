"""TRL's SFTTrainer, made quick for short examples: batches by token budget, loss on the answer.

The hooks are the trainer's own (data loader, loss, callbacks); what is trained, where it is kept
and whether it may be reused is decided in `finetune`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from ragft.runtime import peak_gpu_memory_mb, peak_memory_mb
from ragft.types import RagftError

CHECKPOINT_SECONDS = 60.0
"""A run shorter than this writes no checkpoint: starting again is cheaper."""
COMPLETE = "ragft_complete"
"""Marker put into a checkpoint once it is whole."""


@dataclass(frozen=True)
class Row:
    """One tokenised example: prompt and completion, and how many tokens the prompt has."""

    ids: list[int]
    prompt: int


class TokenBatches:
    """Batches of row numbers within a budget of padded tokens, in a new order every epoch.

    Rows are sorted by length (ties at random), cut where the budget is full, and the batches are
    shuffled. The cuts depend on the lengths alone, so every epoch has as many steps as the last,
    and the order on (seed, epoch) alone, so a resumed run sees the batches it would have seen.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int) -> None:
        self.lengths = torch.tensor(lengths)
        self.seed, self.epoch = seed, 0
        self.cuts = [0]
        for place, length in enumerate(self.lengths.sort(descending=True).values.tolist()):
            if place == 0:
                longest = length
            elif (place - self.cuts[-1] + 1) * longest > budget:
                self.cuts.append(place)
                longest = length
        self.cuts.append(len(lengths))

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the order: the same epoch always gives the same batches."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        mixed = torch.randperm(len(self.lengths), generator=generator)
        order = mixed[self.lengths[mixed].sort(descending=True, stable=True).indices].tolist()
        for batch in torch.randperm(len(self), generator=generator).tolist():
            yield order[self.cuts[batch] : self.cuts[batch + 1]]


def collate(rows: Sequence[Row], pad: int) -> dict[str, torch.Tensor]:
    """Pad rows on the right; labels are -100 on the prompt and the padding."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), -100)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for line, row in enumerate(rows):
        end = len(row.ids)
        ids[line, :end] = torch.tensor(row.ids)
        labels[line, row.prompt : end] = ids[line, row.prompt : end]
        mask[line, :end] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class Keeper(TrainerCallback):
    """Asks for a checkpoint when the run is long, and marks each one that is whole."""

    def __init__(self, every: int | None) -> None:
        self.every, self.last = every, time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save every `every` steps, or once a minute where that is None."""
        if self.every is not None:
            control.should_save = state.global_step % self.every == 0
        elif time.monotonic() - self.last > CHECKPOINT_SECONDS:
            control.should_save = True
            self.last = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint just written as whole."""
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


class Tuner(SFTTrainer):
    """SFTTrainer over rows tokenised beforehand.

    Each step leaves one entry in `state.log_history`, which checkpoints carry: losses, rows and
    seconds therefore survive a restart.
    """

    def __init__(self, rows: Sequence[Row], budget: int, progress: Any, **options: Any) -> None:
        self.rows, self.budget, self.progress = rows, budget, progress
        self.started: float | None = None
        super().__init__(**options)
        self._spare_walks()

    def _spare_walks(self) -> None:
        """Replace two walks over all modules at every step: a tenth of the time of a small step."""
        trained = [part for part in self.model.parameters() if part.requires_grad]
        self.model.train()
        self.model.train = lambda mode=True: self.model

        def zero_grad(set_to_none: bool = True) -> None:
            for part in trained:
                part.grad = None

        self.model.zero_grad = zero_grad

    def get_train_dataloader(self) -> Any:
        """Return batches by token budget in place of a fixed number of rows."""
        pad = self.processing_class.pad_token_id
        batches = TokenBatches([len(row.ids) for row in self.rows], self.budget, self.args.seed)
        loader = torch.utils.data.DataLoader(
            self.rows, batch_sampler=batches, collate_fn=lambda rows: collate(rows, pad)
        )
        return self.accelerator.prepare(loader)

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of the completion tokens, projecting onto the vocabulary only them."""
        labels = inputs.pop("labels")[:, 1:]
        places = (labels != -100).any(0).nonzero().squeeze(1)
        logits = model(**inputs, use_cache=False, logits_to_keep=places).logits
        chosen = labels[:, places]
        return cross_entropy(logits.flatten(0, 1).float(), chosen.flatten(), ignore_index=-100)

    def training_step(self, model: Any, inputs: dict, num_items_in_batch: Any = None) -> Any:
        """Take a step, and note its loss, rows and the seconds so far."""
        history, step = self.state.log_history, self.state.global_step + 1
        rows = len(inputs["labels"])
        if self.started is None:  # the first step of this process
            self.started = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
            self.progress.update(step - 1)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not math.isfinite(loss.item()):
            raise RagftError(
                f"the loss became {loss.item()} at step {step}: lower learning_rate "
                f"(now {self.args.learning_rate:g})"
            )
        seconds = time.perf_counter() - self.started
        history.append({"step": step, "loss": loss.item(), "rows": rows, "seconds": seconds})
        self.progress.update(1)
        return loss

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Warm up over 5 % of the steps and fall linearly; no step, the first included, is at 0."""
        warm = math.ceil(0.05 * num_training_steps)
        left = num_training_steps - warm + 1
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer,
            lambda step: min((step + 1) / warm, max(0, num_training_steps - step) / left),
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def floating_point_ops(self, inputs: Any) -> int:
        """Skip an estimate nobody reads: it walks over all parameters at every step."""
        return 0

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Skip the model card of each checkpoint."""

    def _send_telemetry(self) -> None:
        """Report nothing to anybody."""


def build(
    network: Any,
    rows: Sequence[Row],
    chosen: Any,
    *,
    folder: Path,
    tokenizer: Any,
    lora: Any,
    bf16: bool,
    progress: bool,
    checkpoint_every: int | None,
) -> Tuner:
    """Return a trainer for `rows`: no reports, no logs, checkpoints only when the run is long."""
    batches = len(TokenBatches([len(row.ids) for row in rows], chosen.batch_tokens, chosen.seed))
    steps = batches * chosen.epochs
    arguments = SFTConfig(
        output_dir=str(folder),
        num_train_epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=chosen.seed,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        accelerator_config={"even_batches": False},
    )
    if arguments.world_size > 1:
        raise RagftError("finetune trains in one process; start it without a distributed launcher")
    tuner = Tuner(
        rows,
        chosen.batch_tokens,
        tqdm(total=steps, desc="fine-tuning", unit="step", disable=not progress),
        model=network,
        args=arguments,
        # the rows are tokenised: the trainer only looks at the form of its own data set
        train_dataset=Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]}),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[Keeper(checkpoint_every)],
    )
    tuner.remove_callback(PrinterCallback)
    return tuner


def run(tuner: Tuner) -> dict[str, Any]:
    """Train, from the last whole checkpoint if there is one, and return what was measured.

    Raises
    ------
    RagftError
        Not every row was trained once per epoch.
    """
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    with tuner.progress:
        tuner.train(resume_from_checkpoint=_last_checkpoint(Path(tuner.args.output_dir)))
    steps = [entry for entry in tuner.state.log_history if "rows" in entry]
    epochs = int(tuner.args.num_train_epochs)
    trained = sum(entry["rows"] for entry in steps)
    if trained != len(tuner.rows) * epochs:
        raise RagftError(f"{trained} rows were trained instead of {len(tuner.rows)} × {epochs}")
    tokens, seconds = epochs * sum(len(row.ids) for row in tuner.rows), steps[-1]["seconds"]
    parts = list(tuner.model.parameters())
    return {
        "steps": len(steps),
        "tokens_seen": tokens,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "peak_memory_mb": peak_gpu_memory_mb() if gpu else peak_memory_mb(),
        "losses": _by_epoch([entry["loss"] for entry in steps], epochs),
        "trainable": sum(part.numel() for part in parts if part.requires_grad),
        "total": sum(part.numel() for part in parts),
    }


def _by_epoch(losses: Sequence[float], epochs: int) -> list[float]:
    size = len(losses) // epochs
    return [sum(losses[i * size : (i + 1) * size]) / size for i in range(epochs)]


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that is whole: a kill may have cut the last one short."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    newest = max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]), default=None)
    return None if newest is None else str(newest)
