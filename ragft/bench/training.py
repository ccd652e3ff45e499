"""What our trainer gains over TRL as it comes, and over TRL's own packing of short examples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from ragft import models
from ragft.bench import row
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.runtime import can_compile, device_of, multiplies_bf16, stopwatch
from ragft.types import Example, RagftError

if TYPE_CHECKING:
    import torch

EPOCHS = 10
"""Passes over the examples: as many as the `cpu` profile makes."""
STEP = 200
"""Tokens in a step of ours, rows as they fall: about as many as TRL's default batch of 8 rows has
here. Larger steps, or rows of like lengths together, are quicker and learn less in as many
passes."""
PACK = 1024
"""Tokens in a pack of TRL's (its default), one pack a step: with 8 it takes too few steps."""
WARM = 8
"""Examples that every side trains on once before anything is timed."""


@dataclass
class _Side:
    """One way of training; what it took and what its results are worth, run by run."""

    train: Callable[[Sequence[Example], int, int], tuple[float, dict[str, torch.Tensor]]]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def held_out(self) -> str:
        """Mean and range of the held-out losses."""
        return f"{mean(self.losses):.4f} ({min(self.losses):.4f} to {max(self.losses):.4f})"


def training(
    examples: int = 400, repeats: int = 3, model: str = "embedded", epochs: int = EPOCHS
) -> list[dict[str, Any]]:
    """Train the same LoRA adapter on the same examples with ours, and with TRL in two ways.

    All sides start from the same weights and have the same rank, learning rate, precision and
    number of passes; batches, order and schedule are each side's own. Tokenising and loading are
    timed for none. Useful tokens are those of the examples, without padding.

    Parameters
    ----------
    examples : int
        Closed-book questions about a made-up world with their answers; at least 1.
    repeats : int
        Times that every side trains, in turn, with another seed each time; at least 1.
    model : str
        As for `finetune`.
    epochs : int
        Passes over the examples.

    Returns
    -------
    list of dict
        A row against TRL's defaults (batches of 8, activations computed twice) and one against
        its packing, a pack of `PACK` tokens a step; the ratio is ours / theirs in useful tokens
        a second, and the note has both sides' loss on other wordings of the same questions. Where
        there is a C++ compiler, the same again with ours compiled, which happens before.

    Raises
    ------
    RagftError
        A number is out of range, or TRL left tokens out, so that the sides did other work.
    """
    if examples < 1 or repeats < 1 or epochs < 1:
        raise RagftError(
            f"bench training: {examples} examples, {repeats} repeats, {epochs} epochs; at least 1 "
            "of each"
        )
    bench = _Bench(model)
    taught, asked = _examples(bench, examples)
    packed = {"packing": True, "max_length": PACK, "per_device_train_batch_size": 1}
    theirs = {
        "TRL's defaults": _Side(lambda *work: bench.theirs(*work)),
        "TRL's packing": _Side(lambda *work: bench.theirs(*work, **packed)),
    }
    ours = {"training": _Side(bench.ours)}
    if can_compile():
        ours["training, compiled"] = _Side(lambda *work: bench.ours(*work, compiled=True))
    sides = [*theirs.values(), *ours.values()]
    for side in sides:
        side.train(taught[:WARM], 1, 0)
    for seed in range(repeats):
        for side in sides:
            seconds, weights = side.train(taught, epochs, seed)
            side.seconds.append(seconds)
            side.losses.append(bench.loss(weights, asked))
    tokens = epochs * bench.tokens(taught)
    return [
        _row(stage, name, side, mine, len(taught), tokens)
        for stage, mine in ours.items()
        for name, side in theirs.items()
    ]


def _row(
    stage: str, name: str, theirs: _Side, ours: _Side, size: int, tokens: int
) -> dict[str, Any]:
    import torch

    ratios = [slow / quick for slow, quick in zip(theirs.seconds, ours.seconds, strict=True)]
    note = (
        f"useful tokens a second on {torch.get_num_threads()} threads, ours / TRL's: "
        f"{tokens / mean(ours.seconds):.0f} / {tokens / mean(theirs.seconds):.0f}; "
        f"held-out loss in nats, mean and range of {len(ratios)} seeds: ours "
        f"{ours.held_out}, TRL's {theirs.held_out}"
    )
    return row(stage, size, name, ratios, note)


def _examples(bench: _Bench, count: int) -> tuple[list[Example], list[Example]]:
    """Return examples to train on, and the same facts in a wording that none is trained in."""
    from ragft.generation.local import LocalModel
    from ragft.training.from_questions import fact_examples

    facts = -(-count // profile("cpu").wordings)
    task = world_task(profile("cpu", world_subjects=2 * facts), facts)
    model = LocalModel.load(bench.folder, device="cpu")
    taught = fact_examples(model, task.taught)[:count]
    return taught, fact_examples(model, [q for q in task.asked if q.answerable])


class _Bench:
    """A base to tune, by ours and by TRL; every training starts from it anew."""

    def __init__(self, model: str) -> None:
        from ragft.training import methods

        self.folder = models.locate(model)
        self.tokenizer = models.open_tokenizer(self.folder)
        self.bf16 = multiplies_bf16()
        width = models.open_config(self.folder).hidden_size
        self.rank = min(32, width // 2)
        self.learning_rate = methods.default_learning_rate(width, "lora")

    def rows(self, examples: Sequence[Example]) -> list[Any]:
        """Return the examples in tokens."""
        from ragft.training.rows import tokenise

        return tokenise(self.folder, examples, None)[0]

    def tokens(self, examples: Sequence[Example]) -> int:
        """Return how many tokens the examples have."""
        return sum(len(each.ids) for each in self.rows(examples))

    def ours(
        self, examples: Sequence[Example], epochs: int, seed: int, compiled: bool = False
    ) -> tuple[float, Any]:
        """Train as `finetune` does; return seconds and the adapter's weights."""
        from peft import get_peft_model_state_dict

        from ragft.training import methods, trainer
        from ragft.training.adapters import Settings

        rows, rank = self.rows(examples), self.rank
        form = methods.shape("lora", rank, None, 0.0, "all-linear")
        chosen = Settings(
            "lora",
            **form,
            epochs=epochs,
            learning_rate=self.learning_rate,
            batch_tokens=STEP,
            mix_lengths=True,
            seed=seed,
            compiled=compiled,
            max_length=PACK,
            base_hash="",
            examples_hash="",
        )
        with tempfile.TemporaryDirectory() as folder, models.quiet():
            tuner = trainer.build(
                methods.open_base(self.folder, chosen, max(len(each.ids) for each in rows)),
                rows,
                chosen,
                folder=Path(folder),
                tokenizer=self.tokenizer,
                peft_config=methods.configuration(chosen),
                bf16=self.bf16,
                progress=False,
                checkpoint_every=10**9,
            )
            with stopwatch() as watch:
                trainer.run(tuner)
        return watch.seconds, get_peft_model_state_dict(tuner.model)

    def theirs(
        self, examples: Sequence[Example], epochs: int, seed: int, **options: Any
    ) -> tuple[float, Any]:
        """Train with TRL as its documentation has it; nothing of ragft trains here."""
        from datasets import Dataset
        from peft import get_peft_model_state_dict
        from torch.cuda import is_available
        from transformers import PrinterCallback
        from trl import SFTConfig, SFTTrainer

        data = {
            "prompt": [example.prompt for example in examples],
            "completion": [example.completion for example in examples],
        }
        with tempfile.TemporaryDirectory() as folder, models.quiet():
            trainer = SFTTrainer(
                self.network(),
                args=SFTConfig(
                    output_dir=folder,
                    num_train_epochs=epochs,
                    learning_rate=self.learning_rate,
                    seed=seed,
                    bf16=self.bf16,
                    use_cpu=not is_available(),
                    save_strategy="no",
                    report_to=[],
                    disable_tqdm=True,
                    **options,
                ),
                train_dataset=Dataset.from_dict(data),
                processing_class=models.open_tokenizer(self.folder),
                peft_config=self.lora(),
            )
            trainer.remove_callback(PrinterCallback)
            with stopwatch() as watch:
                trainer.train()
        read = max(entry.get("num_tokens", 0) for entry in trainer.state.log_history)
        if read != epochs * self.tokens(examples):
            raise RagftError(
                f"bench training: TRL read {read:.0f} tokens and not "
                f"{epochs * self.tokens(examples)}: the two times say nothing"
            )
        return watch.seconds, get_peft_model_state_dict(trainer.model)

    def lora(self) -> Any:
        """Return the matrices that every side trains."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            lora_alpha=2 * self.rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )

    def network(self) -> Any:
        """Return the base in float32."""
        import torch

        return models.open_network(self.folder, device=device_of(), dtype=torch.float32)

    def loss(self, weights: Any, asked: Sequence[Example]) -> float:
        """Return the mean loss of an adapter on completions, in nats a token, in float32."""
        import torch
        from peft import get_peft_model, set_peft_model_state_dict
        from torch.nn.functional import cross_entropy

        from ragft.training.batches import TokenBatches, collate

        with models.quiet():
            tuned = get_peft_model(self.network(), self.lora()).eval()
        set_peft_model_state_dict(tuned, weights)
        rows, nats, count = self.rows(asked), 0.0, 0
        for batch in TokenBatches([len(each.ids) for each in rows], PACK, 0):
            inputs = collate([rows[i] for i in batch], self.tokenizer.pad_token_id)
            inputs = {name: part.to(tuned.device) for name, part in inputs.items()}
            labels = inputs.pop("labels")[:, 1:].flatten()
            with torch.inference_mode():
                logits = tuned(**inputs, use_cache=False).logits[:, :-1].flatten(0, 1)
                nats += cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
            count += int((labels != -100).sum())
        return nats / count
