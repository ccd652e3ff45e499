"""TRL's SFTTrainer, made quick for short examples: batches by token budget, loss on the answer.

The hooks are the trainer's own (data loader, loss, callbacks); what is trained, where it is kept
and whether it may be reused is decided in `finetune`.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from torch.nn.functional import cross_entropy, linear
from tqdm.auto import tqdm
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from ragft import files
from ragft.runtime import peak_gpu_memory_mb, peak_memory_mb
from ragft.training import processes
from ragft.training.batches import Row, TokenBatches, collate, share, steps_an_epoch
from ragft.training.methods import start_from_words
from ragft.types import RagftError

CHECKPOINT_SECONDS = 60.0
"""A run shorter than this writes no checkpoint: starting again is cheaper."""
LEFT = 30_000_000
"""Parameters that trainings may leave behind before all that they left is looked for."""
_VARIETIES = 64
"""Kinds of layers that one process may compile; more are computed as without."""
COMPLETE = "ragft_complete"
"""Marker put into a checkpoint once it is whole."""


class Keeper(TrainerCallback):
    """Asks for a checkpoint when the run is long, and marks each one that is whole."""

    def __init__(self, every: int | None) -> None:
        self.every, self.last = every, time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save every `every` steps, or once a minute where that is None."""
        if self.every is not None:
            control.should_save = state.global_step % self.every == 0
        elif processes.from_first(self._due):
            control.should_save = True

    def _due(self) -> bool:
        if time.monotonic() - self.last <= CHECKPOINT_SECONDS:
            return False
        self.last = time.monotonic()
        return True

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Seal the checkpoint just written as whole, unless its weights are no numbers."""
        # asked in every process: only when all have answered has each written its part
        (good,) = processes.added(float(finite(model)))
        if good == processes.count() and processes.first():
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            seal = files.sealed_json({"hash": files.hash_folder(folder)})
            files.atomic_write(folder / COMPLETE, seal)


class Tuner(SFTTrainer):
    """SFTTrainer over rows tokenised beforehand.

    Each step leaves one entry in `state.log_history`, which checkpoints carry: losses, rows and
    seconds therefore survive a restart.
    """

    left: ClassVar[int] = 0
    """Parameters of the trainings since unreachable objects were last looked for."""

    def __init__(
        self, rows: Sequence[Row], budget: int, mixed: bool, progress: Any, **options: Any
    ) -> None:
        self.rows, self.budget, self.mixed, self.progress = rows, budget, mixed, progress
        self.started: float | None = None
        super().__init__(**options)
        self._spare_walks()
        Tuner.left += sum(part.numel() for part in self.model.parameters())
        if Tuner.left <= LEFT:
            self._spare_collection()
        else:
            Tuner.left = 0

    def _spare_walks(self) -> None:
        """Replace two walks over all modules at every step: a tenth of the time of a small step."""
        if processes.count() > 1:  # what wraps the model then replaces its parameters
            return
        self.trained = [part for part in self.model.parameters() if part.requires_grad]
        self.model.train()
        self.model.train = lambda mode=True: self.model

        def zero_grad(set_to_none: bool = True) -> None:
            for part in self.trained:
                part.grad = None

        self.model.zero_grad = zero_grad

    def _spare_collection(self) -> None:
        """Release memory before a training without looking through every object there is.

        That takes a third of a second, longer than a small training, and the memory that a few of
        them leave is small.
        """
        release = self.accelerator.free_memory

        def free_memory(*objects: Any) -> list:
            if gc.get_freeze_count():  # by somebody else, whose matter it is
                return release(*objects)
            gc.freeze()
            try:
                return release(*objects)
            finally:
                gc.unfreeze()

        self.accelerator.free_memory = free_memory

    def get_train_dataloader(self) -> Any:
        """Return batches by token budget in place of a fixed number of rows."""
        pad = self.processing_class.pad_token_id
        lengths = [len(row.ids) for row in self.rows]
        batches = TokenBatches(lengths, self.budget, self.args.seed, self.mixed)
        rank, count = processes.rank(), processes.count()

        def put_together(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
            return collate(rows, pad) if count == 1 else share(rows, rank, count, pad)

        loader = torch.utils.data.DataLoader(
            self.rows, batch_sampler=batches, collate_fn=put_together
        )
        if count == 1:
            return self.accelerator.prepare(loader)
        # accelerate would deal out whole batches; here each is shared, so that a step is a step
        return prepare_data_loader(
            loader, self.accelerator.device, num_processes=1, process_index=0, put_on_device=True
        )

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of the completion tokens, projecting onto the vocabulary only them.

        In several processes the sum over a process's own rows by the tokens of the whole batch,
        times the processes, by which their gradients are divided: the step is that of one process.
        """
        inputs.pop("trained", None)
        tokens = inputs.pop("tokens", None)
        width = inputs["input_ids"].shape[1]
        labels = inputs.pop("labels")[:, 1:]
        places = (labels != -100).any(0).nonzero().squeeze(1)
        # counted from the end, because virtual tokens may stand in front
        logits = model(**inputs, use_cache=False, logits_to_keep=places - width).logits
        chosen = labels[:, places]
        if tokens is None:
            return cross_entropy(logits.flatten(0, 1).float(), chosen.flatten(), ignore_index=-100)
        loss = cross_entropy(
            logits.flatten(0, 1).float(), chosen.flatten(), ignore_index=-100, reduction="sum"
        )
        return loss / tokens * processes.count()

    def training_step(self, model: Any, inputs: dict, num_items_in_batch: Any = None) -> Any:
        """Take a step, and note its loss, rows and the seconds so far."""
        history, step = self.state.log_history, self.state.global_step + 1
        rows = int(inputs.get("trained", len(inputs["labels"])))
        if self.started is None:  # the first step of this process
            self.started = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
            self.progress.update(step - 1)
        loss = super().training_step(model, inputs, num_items_in_batch)
        value = loss.item()
        if processes.count() > 1:
            value, rows = processes.added(value / processes.count(), rows)
        if not math.isfinite(value):
            raise RagftError(self._diverged(f"the loss became {value} at step {step}"))
        seconds = time.perf_counter() - self.started
        history.append({"step": step, "loss": value, "rows": int(rows), "seconds": seconds})
        self.progress.update(1)
        return loss

    def _diverged(self, what: str) -> str:
        kept = _last_checkpoint(Path(self.args.output_dir))
        where = f"; the last good checkpoint is kept in {kept}" if kept else ""
        return f"{what}: lower learning_rate (now {self.args.learning_rate:g}){where}"

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

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load weights in the precision that they are trained in: PEFT loads all in float32."""
        before = {name: part.dtype for name, part in self.model.named_parameters()}
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for name, part in self.model.named_parameters():
            if part.requires_grad:
                part.data = part.data.to(before[name])
        self.trained = [part for part in self.model.parameters() if part.requires_grad]

    def floating_point_ops(self, inputs: Any) -> int:
        """Skip an estimate nobody reads: it walks over all parameters at every step."""
        return 0

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Skip the model card of each checkpoint."""

    def _send_telemetry(self) -> None:
        """Report nothing to anybody."""


def halve_frozen(network: Any) -> None:
    """Turn the frozen weights of linear layers to bfloat16, in place.

    Autocast multiplies with them in bfloat16 anyway, and without this turns them anew at every
    step, as it does with what goes into each LoRA matrix, which PEFT turns to float32 before: the
    products are the same to the bit. A weight that is also an embedding's stays; its layer
    multiplies with a copy.
    """
    tables = {id(m.weight) for m in network.modules() if isinstance(m, torch.nn.Embedding)}
    for module in network.modules():
        if hasattr(module, "lora_A") and _drops_nothing(module):
            module.cast_input_dtype_enabled = False
        if type(module) is not torch.nn.Linear:
            continue
        parts = dict(module.named_parameters(recurse=False))
        if any(part.requires_grad for part in parts.values()):
            continue
        halves = {name: part.data.to(torch.bfloat16) for name, part in parts.items()}
        if id(module.weight) not in tables:
            for name, part in parts.items():
                part.data = halves[name]
        elif processes.count() == 1:  # else the weight may be spread over them
            module.forward = partial(linear, **halves)


def compile_layers(network: Any) -> None:
    """Let torch compile each layer of a transformer when it is first computed.

    Layer by layer, so that one is compiled and all others, also of the next model of this shape,
    are computed by the same code.

    Raises
    ------
    RagftError
        The architecture does not say what its layers are.
    """
    names = getattr(network, "_no_split_modules", None) or ()
    layers = [module for module in network.modules() if type(module).__name__ in names]
    if not layers:
        raise RagftError("compiled=True: this model does not name its layers; train without it")
    # Each rank and each kind of weight is compiled anew: more of them than torch expects.
    dynamo = torch._dynamo.config
    dynamo.recompile_limit = max(dynamo.recompile_limit, _VARIETIES)
    for layer in layers:
        layer.compile(dynamic=True)  # rows and widths of batches differ


def _drops_nothing(module: Any) -> bool:
    """Tell whether a LoRA layer has no dropout: what it leaves is rounded by its precision."""
    return all(type(part) is torch.nn.Identity for part in module.lora_dropout.values())


def finite(network: Any) -> bool:
    """Tell whether all trained weights are numbers."""
    trained = (part for part in network.parameters() if part.requires_grad)
    # of weights that are spread over processes (FSDP), those that lie here
    here = (part.to_local() if hasattr(part, "to_local") else part for part in trained)
    return all(bool(part.isfinite().all()) for part in here)


def build(
    network: Any,
    rows: Sequence[Row],
    chosen: Any,
    *,
    folder: Path,
    tokenizer: Any,
    peft_config: Any,
    bf16: bool,
    progress: bool,
    checkpoint_every: int | None,
) -> Tuner:
    """Return a trainer for `rows`: no reports, no logs, checkpoints only when the run is long.

    Raises
    ------
    RagftError
        PEFT refuses its configuration.
    """
    arguments = SFTConfig(
        output_dir=str(folder),
        num_train_epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=chosen.seed,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=chosen.gradient_checkpointing,
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
        average_tokens_across_devices=False,  # the loss is divided by their number here
        # what PEFT may train and not use is its own matter; the rest is used at every step
        ddp_find_unused_parameters=chosen.method.startswith("peft:"),
    )
    steps = steps_an_epoch(rows, chosen.batch_tokens, chosen.mix_lengths) * chosen.epochs
    try:
        tuner = Tuner(
            rows,
            chosen.batch_tokens,
            chosen.mix_lengths,
            tqdm(
                total=steps,
                desc="fine-tuning",
                unit="step",
                disable=not (progress and processes.first()),
            ),
            model=network,
            args=arguments,
            # the rows are tokenised: the trainer only looks at the form of its own data set
            train_dataset=Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]}),
            processing_class=tokenizer,
            peft_config=peft_config,
            callbacks=[Keeper(checkpoint_every)],
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        if peft_config is None or not chosen.method.startswith("peft:"):
            raise
        raise RagftError(f"method: PEFT cannot tune this model so ({error})") from error
    tuner.remove_callback(PrinterCallback)
    if chosen.method == "prefix":
        start_from_words(tuner.model, chosen.seed)
    if bf16 and not chosen.method.startswith("peft:"):  # some of PEFT's kinds read the weights
        halve_frozen(tuner.model)
    if chosen.compiled:
        compile_layers(tuner.model)
    return tuner


def run(tuner: Tuner) -> dict[str, Any]:
    """Train, from the last whole checkpoint if there is one, and return what was measured.

    Raises
    ------
    RagftError
        Not every row was trained once per epoch, or the loss or a weight is not a number.
    """
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    checkpoint = processes.from_first(lambda: _last_checkpoint(Path(tuner.args.output_dir)))
    with tuner.progress:
        tuner.train(resume_from_checkpoint=checkpoint)
    steps = [entry for entry in tuner.state.log_history if "rows" in entry]
    epochs = int(tuner.args.num_train_epochs)
    trained = sum(entry["rows"] for entry in steps)
    if trained != len(tuner.rows) * epochs:
        raise RagftError(f"{trained} rows were trained instead of {len(tuner.rows)} × {epochs}")
    if processes.added(float(finite(tuner.model))) != [processes.count()]:
        raise RagftError(tuner._diverged("a weight is no longer a number after the last step"))
    tokens, seconds = epochs * sum(len(row.ids) for row in tuner.rows), steps[-1]["seconds"]
    (memory,) = processes.largest(peak_gpu_memory_mb() if gpu else peak_memory_mb())
    curve, parts = [entry["loss"] for entry in steps], list(tuner.model.parameters())
    return {
        "steps": len(steps),
        "tokens_seen": tokens,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "peak_memory_mb": memory,
        "losses": _by_epoch(curve, epochs),
        "curve": curve,
        "trainable": sum(part.numel() for part in parts if part.requires_grad),
        "total": sum(part.numel() for part in parts),
    }


def whole_weights(tuner: Tuner) -> dict[str, torch.Tensor] | None:
    """Return weights that are spread over processes, put together; None where none are.

    All processes must ask; the first alone gets them.
    """
    if not (processes.count() > 1 and processes.sharded()):
        return None
    found = tuner.accelerator.get_state_dict(tuner.model)
    # what shares its weight with another layer is not written twice
    shared = getattr(tuner.model, "all_tied_weights_keys", None) or {}
    return {name: part for name, part in found.items() if name not in shared}


def _by_epoch(losses: Sequence[float], epochs: int) -> list[float]:
    size = len(losses) // epochs
    return [sum(losses[i * size : (i + 1) * size]) / size for i in range(epochs)]


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that is whole.

    A kill may have cut the last one short, and turned bits in one would load in silence: the one
    before it, or the beginning, leads to the same weights.
    """
    marked = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    for path in sorted(marked, key=lambda path: int(path.name.rsplit("-", 1)[1]), reverse=True):
        with suppress(RagftError):  # a file that cannot be read
            if files.find_sealed(path / COMPLETE).get("hash") == files.hash_folder(path, COMPLETE):
                return str(path)
    return None
