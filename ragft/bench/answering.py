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
    from transformers import PreTrainedModel

    from ragft.generation.local import LocalModel

DIFFERING = 0.03
"""Share of answers that may differ: a batch adds numbers in another order, which can turn a tie."""
AS_EACH_COMES = "with passages, as each comes"
WARM = 8
"""Prompts that both sides answer before anything is timed."""


def answering(
    facts: int = 100, repeats: int = 3, model: str = "embedded", max_new_tokens: int = 48
) -> list[dict[str, Any]]:
    """Answer the same prompts one by one with plain transformers, and in batches with ours.

    Both read the same text with the same weights, take the likeliest token and stop at the end
    token: in the same precision, float32, and once more as each comes (transformers takes the
    precision of the weights' file, ours that of the profile). Without passages the model guesses,
    and what it guesses depends on the precision, so that only answers with passages are timed so.
    Loading, searching and rendering are timed for neither.

    Parameters
    ----------
    facts : int
        Of a made-up world, one question each; at least 1.
    repeats : int
        Times that both sides answer everything, in turn; at least 1.
    model : str
        As for `LocalModel.load`; on the CPU.
    max_new_tokens : int
        Of an answer, at most.

    Returns
    -------
    list of dict
        A row for prompts with passages, where reading takes most of the time on a CPU, one for
        prompts without, and one for those with passages as each comes; the ratio is seconds of
        transformers / seconds of ours, and the note says on how many answers both agree.

    Raises
    ------
    RagftError
        A number is out of range, or more than `DIFFERING` of the answers differ in the same
        precision, so that the two did not do the same work.
    """
    from ragft.generation.local import LocalModel

    if facts < 1 or repeats < 1:
        raise RagftError(f"bench answering: {facts} facts, {repeats} repeats; at least 1 of each")
    sizes = profile("cpu", max_new_tokens=max_new_tokens)
    options = {"max_new_tokens": max_new_tokens, "batch_size": sizes.batch_size}
    ours = LocalModel.load(model, device=sizes.device, dtype="float32")
    plain = _Plain(model, max_new_tokens, "float32")
    reading, guessing = _rendered(ours, facts)
    rows = [
        _measured("with passages", reading, plain, ours, options, repeats),
        _measured("closed book", guessing, plain, ours, options, repeats),
    ]
    ours = LocalModel.load(model, device=sizes.device, dtype=sizes.dtype)
    plain = _Plain(model, max_new_tokens, "auto")
    return [*rows, _measured(AS_EACH_COMES, reading, plain, ours, options, repeats)]


def _measured(
    stage: str,
    texts: Sequence[str],
    plain: _Plain,
    ours: LocalModel,
    options: dict[str, int],
    repeats: int,
) -> dict[str, Any]:
    theirs_in, mine_in = _precision(plain.network), _precision(ours.network)
    may_differ = DIFFERING if theirs_in == mine_in else 1.0
    plain.answer(texts[:WARM])
    ours.generate(texts[:WARM], **options)
    ratios, alike = [], []
    for _ in range(repeats):
        with stopwatch() as theirs:
            one_by_one = plain.answer(texts)
        with stopwatch() as mine:
            batched = [said.text for said in ours.generate(texts, **options)]
        ratios.append(theirs.ms / mine.ms)
        alike.append(_agreeing(one_by_one, batched, may_differ))
    tokens = mean(len(tokens) for tokens in models.prompt_tokens(ours.tokenizer, texts))
    note = (
        f"seconds of transformers / ours in batches of up to {options['batch_size']}, in "
        f"{theirs_in} / {mine_in}; both agree on {min(alike)} of {len(texts)} answers; "
        f"{tokens:.0f} tokens in a prompt on average"
    )
    return row(f"answering {stage}", len(texts), "transformers, one by one", ratios, note)


def _precision(network: PreTrainedModel) -> str:
    return str(network.dtype).removeprefix("torch.")


def _rendered(model: LocalModel, facts: int) -> tuple[list[str], list[str]]:
    """Return prompts as the arms write them: with the passages that BM25 finds, and without."""
    sizes = profile("cpu", world_subjects=2 * facts)
    task = world_task(sizes, facts)
    asked = [question for question in task.asked if question.answerable]
    library = Library(retriever="bm25")
    library.prepare(task.corpus)
    found = library.search(asked, sizes.top_k, {})
    shown = [prompts.by_date(hit.passage for hit in hits) for hits in found]
    reading = [
        prompts.for_model(model, q.text, passages, instruction=prompts.READ)
        for q, passages in zip(asked, shown, strict=True)
    ]
    return reading, [prompts.for_model(model, q.text, instruction=prompts.CLOSED) for q in asked]


class _Plain:
    """Plain transformers, as its documentation has it: nothing of ragft answers here."""

    def __init__(self, model: str, max_new_tokens: int, dtype: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = models.locate(model)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
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


def _agreeing(one: Sequence[str], two: Sequence[str], may_differ: float = DIFFERING) -> int:
    """Count equal answers.

    Raises
    ------
    RagftError
        Too many differ.
    """
    alike = sum(a == b for a, b in zip(one, two, strict=True))
    if len(one) - alike > may_differ * len(one):
        raise RagftError(
            f"bench answering: {len(one) - alike} of {len(one)} answers differ between "
            f"transformers and ours; at most {may_differ:.0%} may, or the times say nothing"
        )
    return alike
