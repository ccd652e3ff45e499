"""Pretraining of the embedded model: resumable, and the same when it was interrupted.

The recipe: Muon for the matrices, AdamW for the rest, citations before values, rows
that grow from one passage to six, a linear decay at the end. What is taught lives in
`lessons`, what a checkpoint holds in `states`.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional

from ragft import files, models
from ragft.generation.embedded import lessons, probing, states, tokens
from ragft.runtime import device_of
from ragft.types import RagftError

LONG = 768
"""Rows longer than this use the fused attention kernel."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what the weights become."""

    tokens: int = 60_000_000
    """Tokens seen in all, padding included."""
    seed: int = 0
    width: int = 256
    layers: int = 4
    inner: int = 768
    matrix_lr: float = 1e-2
    other_lr: float = 3e-3
    weight_decay: float = 0.05
    decay_share: float = 0.4
    """Share of the tokens, at the end, over which the learning rates fall to zero."""
    context_weight: float = 0.03
    """Loss weight of tokens that are read; those that are taught have 1."""
    citation_weight: float = 3.0
    """Loss weight of the number in a citation: where to look is the hard part."""
    phases: tuple[tuple[float, int, int], ...] = (
        (0.1, 320, 38),
        (0.45, 512, 24),
        (0.8, 768, 16),
        (1.0, 1280, 10),
    )
    """(share of the tokens, row length, rows a step) up to that share."""
    start: str = ""
    """Model whose weights and tokenizer to begin with; '' begins with random ones."""
    known: float = 0.0
    """Share of the lessons that are about the resident world."""

    def phase(self, progress: float) -> tuple[int, int]:
        """Return (row length, rows) of the step at a share of the tokens."""
        return next((length, rows) for end, length, rows in self.phases if progress < end)

    def scale(self, progress: float, step: int) -> float:
        """Return the learning-rate factor: a short warm-up, flat, a linear decay."""
        return min(1.0, (step + 1) / 60) * min(1.0, (1 - progress) / self.decay_share)


RESIDENT = Recipe(
    tokens=4_000_000,
    matrix_lr=4e-3,
    other_lr=1e-3,
    decay_share=0.5,
    phases=((1.0, 768, 16),),
    start="embedded",
    known=0.5,
)
"""How the resident checkpoint is made of the embedded model."""


class Lessons(torch.utils.data.Dataset):
    """Batch number n of a recipe, a pure function of recipe, n and the tokens before it."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, start: tuple[int, int]):
        self.recipe, self.tokenizer = recipe, tokenizer
        self.plan: list[tuple[int, int]] = []
        step, seen = start
        while seen < recipe.tokens:
            length, count = recipe.phase(seen / recipe.tokens)
            self.plan.append((step, seen))
            step, seen = step + 1, seen + length * count

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> tuple[int, int, torch.Tensor, torch.Tensor]:
        step, seen = self.plan[index]
        progress = seen / self.recipe.tokens
        length, count = self.recipe.phase(progress)
        key, known = f"{self.recipe.seed}-{step}", self.recipe.known
        stage = 1.0 if self.recipe.start else progress  # a model that can read needs no first steps
        ids, taught = tokens.batch(
            self.tokenizer, lambda rng: lessons.lesson(rng, stage, known), key, count, length
        )
        return step, seen, torch.from_numpy(ids), torch.from_numpy(taught)


def build(recipe: Recipe):
    """Return an untrained model of the recipe's shape (Llama architecture, tied embeddings)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=tokens.VOCABULARY,
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.width // 64,
        num_key_value_heads=recipe.width // 64,
        max_position_embeddings=tokens.CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def _begin(recipe: Recipe):
    model = build(recipe)
    if recipe.start:
        from safetensors.torch import load_file

        found = load_file(models.locate(recipe.start) / "model.safetensors")
        # The output layer is the embedding, so it is not stored.
        model.load_state_dict({name: value.float() for name, value in found.items()}, strict=False)
    return model


def _optimisers(model, recipe: Recipe) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=recipe.matrix_lr, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(others, lr=recipe.other_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _loss(model, recipe: Recipe, ids: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    with torch.autocast(ids.device.type, torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    losses = functional.cross_entropy(
        logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none"
    )
    marks = taught[:, 1:].flatten()
    weights = torch.where(marks >= 1, 1.0, recipe.context_weight) * (marks >= 0)
    weights = torch.where(marks == 2, recipe.citation_weight, weights)
    return (losses * weights).sum() / weights.sum()


def pretrain(
    out: str | Path,
    recipe: Recipe | None = None,
    *,
    checkpoint_every: int = 100,
    device: str = "auto",
    stop_after: float | None = None,
    compiled: bool = True,
) -> Path:
    """Pretrain the embedded model, or go on where an earlier call stopped.

    Parameters
    ----------
    out : path
        Folder for checkpoints and, at the end, `model/`; the same recipe resumes there.
    recipe : Recipe, optional
    checkpoint_every : int
        Steps between checkpoints (weights, optimiser state and position).
    device : str
        'auto' takes a GPU where there is one.
    stop_after : float, optional
        Seconds after which to stop at a checkpoint.
    compiled : bool
        Compile the step (needs a C++ compiler; half again as fast).

    Returns
    -------
    Path
        The model folder, or the last checkpoint where it was stopped early.

    Raises
    ------
    RagftError
        `out` holds the state of another recipe.
    """
    from tqdm.auto import tqdm

    recipe, out = recipe or Recipe(), Path(out)
    device = device_of(device)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, recipe)
    tokenizer = _tokenizer(out, recipe)
    model = _begin(recipe).to(device)
    optimisers = _optimisers(model, recipe)
    start = states.restore(out, model, optimisers)
    step_loss = torch.compile(_loss, dynamic=False) if compiled else _loss
    plan = Lessons(recipe, tokenizer, start)
    loader = torch.utils.data.DataLoader(
        plan, batch_size=None, num_workers=1, prefetch_factor=4, multiprocessing_context="spawn"
    )
    began = time.perf_counter()
    bar = tqdm(total=recipe.tokens, initial=start[1], unit="tok", unit_scale=True, mininterval=10)
    for step, seen, ids, taught in loader:
        factor = recipe.scale(seen / recipe.tokens, step)
        for optimiser, rate in zip(optimisers, (recipe.matrix_lr, recipe.other_lr), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        # Compiled plain attention is quicker on a CPU, until its scores outgrow the caches.
        model.set_attn_implementation("eager" if ids.shape[1] <= LONG else "sdpa")
        loss = step_loss(model, recipe, ids.to(device), taught.to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        bar.update(ids.numel())
        done = (step + 1, seen + ids.numel())
        if step % 20 == 0:
            _log(out, step=step, tokens=done[1], loss=float(loss.detach()), rows=ids.shape[1])
        stopping = stop_after is not None and time.perf_counter() - began > stop_after
        if stopping or (step + 1) % checkpoint_every == 0:
            states.save(out, model, optimisers, done)
        if (step + 1) % (5 * checkpoint_every) == 0:
            _log(out, step=step, tokens=done[1], **probing.probe(model, tokenizer, recipe, done[1]))
        if stopping:
            return out / "state"
    states.save(
        out, model, optimisers, (plan.plan[-1][0] + 1 if plan.plan else start[0], recipe.tokens)
    )
    return export(out)


def _claim(out: Path, recipe: Recipe) -> None:
    """Write down the recipe of a folder, or refuse a folder that has another one."""
    path, text = out / "recipe.json", json.dumps(asdict(recipe), indent=1)
    if path.exists() and path.read_text(errors="replace") != text:
        raise RagftError(f"{path}: another recipe was begun here; choose another folder")
    files.atomic_write(path, text)


def _tokenizer(out: Path, recipe: Recipe) -> Tokenizer:
    """Return the tokenizer of a run, made when it begins: that of its start, or a trained one."""

    def build(folder: Path) -> None:
        path = folder / "tokenizer.json"
        if recipe.start:
            shutil.copyfile(models.locate(recipe.start) / path.name, path)
            return
        rng = random.Random(f"tokenizer-{recipe.seed}")
        drawn = (lessons.lesson(rng, 1.0) for _ in range(6000))
        tokens.train_tokenizer("".join(t for t, _ in lesson) for lesson in drawn).save(str(path))

    # sealed: a turned bit in it would give a model other words, in silence
    folder = files.build_once(out / "tokenizer", out / ".tokenizer.lock", build)
    return Tokenizer.from_file(str(files.check_folder(folder) / "tokenizer.json"))


def _log(out: Path, **entry: object) -> None:
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")


def export(out: str | Path, folder: str | Path | None = None) -> Path:
    """Write the last checkpoint as a model folder that transformers loads (float16 weights)."""
    out = Path(out)
    recipe = Recipe(
        **{k: _tuples(v) for k, v in json.loads((out / "recipe.json").read_text()).items()}
    )
    folder = Path(folder) if folder else out / "model"
    model = build(recipe)
    states.restore(out, model, _optimisers(model, recipe))
    model.half().save_pretrained(folder)
    tokens.save_tokenizer(_tokenizer(out, recipe), folder)
    return folder


def _tuples(value: object) -> object:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
