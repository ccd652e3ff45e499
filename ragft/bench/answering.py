"""What answering in batches gains over asking a model one question after the other."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from ragft import models, prompts
from ragft.arms.library import Library
from ragft.bench import row
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.runtime import stopwatch
from ragft.types import RagftError

if TYPE_CHECKING:
    from ragft.generation.local import LocalModel

DIFFERING = 0.03
"""Share of answers that may differ: a batch adds numbers in another order, which can turn a tie."""
WARM = 8
"""Prompts that both sides answer before anything is timed."""


def answering(
    facts: int = 100, repeats: int = 3, model: str = "embedded", max_new_tokens: int = 48
) -> list[dict[str, Any]]:
    """Answer the same prompts one by one with plain transformers, and in batches with ours.

    Both read the same text with the same weights in the same precision, take the likeliest token
    and stop at the end token. Loading, searching and rendering are timed for neither.

    Parameters
    ----------
    facts : int
        Of a made-up world, one question each; at least 1.
    repeats : int
        Times that both sides answer everything, in turn; at least 1.
    model : str
        As for `LocalModel.load`; on the CPU, in float32.
    max_new_tokens : int
        Of an answer, at most.

    Returns
    -------
    list of dict
        A row for prompts with passages, where reading takes most of the time on a CPU, and one
        for prompts without; the ratio is seconds of transformers / seconds of ours, and the note
        says on how many answers both agree.

    Raises
    ------
    RagftError
        A number is out of range, or more than `DIFFERING` of the answers differ, so that the two
        did not do the same work.
    """
    from ragft.generation.local import LocalModel

    if facts < 1 or repeats < 1:
        raise RagftError(f"bench answering: {facts} facts, {repeats} repeats; at least 1 of each")
    sizes = profile("cpu", dtype="float32", max_new_tokens=max_new_tokens)
    ours = LocalModel.load(model, device=sizes.device, dtype=sizes.dtype)
    plain = _Plain(model, max_new_tokens)
    options = {"max_new_tokens": max_new_tokens, "batch_size": sizes.batch_size}
    return [
        _measured(stage, texts, plain, ours, options, repeats)
        for stage, texts in _rendered(ours, facts).items()
    ]


def _measured(
    stage: str,
    texts: Sequence[str],
    plain: _Plain,
    ours: LocalModel,
    options: dict[str, int],
    repeats: int,
) -> dict[str, Any]:
    plain.answer(texts[:WARM])
    ours.generate(texts[:WARM], **options)
    ratios, alike = [], []
    for _ in range(repeats):
        with stopwatch() as theirs:
            one_by_one = plain.answer(texts)
        with stopwatch() as mine:
            batched = [said.text for said in ours.generate(texts, **options)]
        ratios.append(theirs.ms / mine.ms)
        alike.append(_agreeing(one_by_one, batched))
    tokens = mean(len(tokens) for tokens in models.prompt_tokens(ours.tokenizer, texts))
    note = (
        f"seconds of transformers / ours in batches of up to {options['batch_size']}; both agree "
        f"on {min(alike)} of {len(texts)} answers; {tokens:.0f} tokens in a prompt on average"
    )
    return row(f"answering {stage}", len(texts), "transformers, one by one", ratios, note)


def _rendered(model: LocalModel, facts: int) -> dict[str, list[str]]:
    """Return prompts as the arms write them: with the passages that BM25 finds, and without."""
    sizes = profile("cpu", world_subjects=2 * facts)
    task = world_task(sizes, facts)
    asked = [question for question in task.asked if question.answerable]
    library = Library(retriever="bm25")
    library.prepare(task.corpus)
    found = library.search(asked, sizes.top_k, {})
    shown = [prompts.by_date(hit.passage for hit in hits) for hits in found]
    return {
        "with passages": [
            prompts.for_model(model, q.text, passages, instruction=prompts.READ)
            for q, passages in zip(asked, shown, strict=True)
        ],
        "closed book": [
            prompts.for_model(model, q.text, instruction=prompts.CLOSED) for q in asked
        ],
    }


class _Plain:
    """Plain transformers, as its documentation has it: nothing of ragft answers here."""

    def __init__(self, model: str, max_new_tokens: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = models.locate(model)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.max_new_tokens = max_new_tokens

    def answer(self, texts: Sequence[str]) -> list[str]:
        """Complete texts, one by one."""
        return [self._complete(text) for text in texts]

    def _complete(self, text: str) -> str:
        read = self.tokenizer(text, return_tensors="pt")
        written = self.network.generate(
            input_ids=read["input_ids"],
            attention_mask=read["attention_mask"],
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        new = written[0, read["input_ids"].shape[1] :]
        return self.tokenizer.decode(
            new, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def _agreeing(one: Sequence[str], two: Sequence[str]) -> int:
    """Count equal answers.

    Raises
    ------
    RagftError
        Too many differ.
    """
    alike = sum(a == b for a, b in zip(one, two, strict=True))
    if len(one) - alike > DIFFERING * len(one):
        raise RagftError(
            f"bench answering: {len(one) - alike} of {len(one)} answers differ between "
            f"transformers and ours; at most {DIFFERING:.0%} may, or the times say nothing"
        )
    return alike
