"""One wrong fact put right, in the index and in the adapter: does it take, and what else moves.

Every trial corrects another fact and starts from the same prepared arms, so that trials are
independent of each other; the interval is over trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.arms.finetuned import FineTuned, train
from ragft.arms.rag import RAG
from ragft.evaluation.outcomes import judge
from ragft.evaluation.statistics import Interval, mean_interval
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.grid import Grid
from ragft.experiments.tasks import Task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.training.from_questions import fact_examples
from ragft.types import Answer, Changes, DatedAnswer, Document, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

ARMS = ("rag", "finetuned")


class Corrections(Finished):
    """What the trials found."""

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial and arm: corrected, broken and moved, each in [0, 1]; seconds."""
        return self.answers


def corrections(
    task: Task,
    *,
    trials: int = 20,
    model: str = "embedded",
    seed: int = 0,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Corrections:
    """Correct one fact at a time in a refreshed index and in a facts adapter.

    The wrong value is what the collection says and the adapter was taught; the right one is
    another subject's value of the same relation. In the index the document is replaced; the
    adapter trains on the corrected fact alone, in the training wordings.

    Parameters
    ----------
    task : Task
        From `tasks.load_task`; its documents must state the values word for word.
    trials : int
        Facts to correct, one at a time.
    model, seed, base, out, progress
        As for `compare`; `seed` is the training seed.

    Returns
    -------
    Corrections
        `trials` has *corrected* (the new value is answered, in words never trained), *broken*
        (share of the other questions answered rightly before and wrongly now; NaN where none
        was right) and *moved* (share of the other questions with another answer).

    Raises
    ------
    RagftError
        There are not as many facts whose document states their value once, or the collection has
        no facts.
    """
    sizes = profile(base, model=str(model), seeds=(seed,))
    records = Records(out, smoke=sizes.name == "smoke")
    work = _Work(Grid(task, sizes, records, timed=0), seed)
    chosen = work.candidates()[:trials]
    if len(chosen) < trials:
        raise RagftError(
            f"{task.name}: {trials} trials wanted, {len(chosen)} facts can be corrected"
        )
    cells = [(arm, question) for arm in ARMS for question in chosen]
    return run_cells(
        Corrections,
        "corrections",
        cells,
        work.key,
        work.compute,
        lambda frames, _: _summed_up(frames, sizes),
        records=records,
        sizes=sizes,
        settings={"level": sizes.level},
        parameters={"corpus": task.name, "trials": trials},
        hashes={"corpus": task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )


class _Work:
    """The prepared arms, and one trial of each."""

    def __init__(self, grid: Grid, seed: int) -> None:
        self.grid, self.seed = grid, seed
        self._before: dict[str, list[Answer]] = {}
        self._arms: dict[str, Any] = {}

    def candidates(self) -> list[Question]:
        """Return the asked questions that can be corrected, in their order."""
        return [q for q in self.grid.task.asked if q.answerable and self._wrong_and_right(q)]

    def _wrong_and_right(self, question: Question) -> tuple[Document, str, str] | None:
        """Return the document that states the value, that value, and the one to put there."""
        task = self.grid.task
        (value, *_) = question.answers_on(question.asked_on) or ("",)
        stating = [task.corpus.by_id[i] for i in question.supporting if i in task.corpus.by_id]
        others = (
            fact.value
            for fact in task.corpus.facts
            if fact.relation == question.relation
            and fact.subject != question.subject
            and fact.value != value
        )
        right = next(others, None)
        documents = [d for d in stating if d.text.count(value) == 1] if value else []
        return (documents[0], value, right) if documents and right else None

    def key(self, arm: str, question: Question) -> str:
        """Return the key of one trial."""
        what = {"cell": "correction", "question": question.id}
        what |= {"grid": self.grid.key(arm, self.seed)}
        what |= {"training": asdict(self.grid.training(self.seed).continued())}
        return content_key(what, seed=self.seed)

    def compute(self, arm: str, question: Question) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Correct one fact in one arm, ask everything again, and put the arm back."""
        import pandas as pd

        document, wrong, right = self._wrong_and_right(question)
        asked = self.grid.task.asked
        before = self._answers_before(arm)
        corrected = replace(document, text=document.text.replace(wrong, right))
        fixed = _answered_by(question, right)
        trial = self._index_trial if arm == "rag" else self._adapter_trial
        after, seconds = trial(document, corrected, fixed)
        told = dict(zip((q.id for q in asked), after, strict=True))
        others = [
            (q, old, told[q.id])
            for q, old in zip(asked, before, strict=True)
            if q.subject != question.subject
        ]
        was_right = [(q, new) for q, old, new in others if _right(q, old)]
        row = {
            "arm": arm,
            "question_id": question.id,
            "corrected": float(_right(fixed, told[question.id])),
            "broken": _share(not _right(q, new) for q, new in was_right),
            "moved": _share(old.text != new.text for _, old, new in others),
            "others": len(others),
            "seconds": seconds,
        }
        return pd.DataFrame([row]), {}

    def _answers_before(self, arm: str) -> list[Answer]:
        if arm not in self._before:
            built = self.grid.build(arm, self.seed)
            built.said = {}  # after a correction most prompts are what they were
            self.grid.prepare(built)
            self._arms[arm] = built
            self._before[arm] = built.answer(self.grid.task.asked)
        return self._before[arm]

    def _index_trial(
        self, document: Document, corrected: Document, fixed: Question
    ) -> tuple[list[Answer], float]:
        arm: RAG = self._arms["rag"]
        cost = arm.refresh(Changes(changed=(corrected,)))
        answers = arm.answer(self.grid.task.asked)
        arm.refresh(Changes(changed=(document,)))
        return answers, cost.seconds

    def _adapter_trial(
        self, document: Document, corrected: Document, fixed: Question
    ) -> tuple[list[Answer], float]:
        arm: FineTuned = self._arms["finetuned"]
        wordings = [q for q in self.grid.task.taught if _fact(q) == _fact(fixed)]
        taught = [replace(q, answers=fixed.answers) for q in wordings]
        tuned = train(
            self.grid.model,
            fact_examples(self.grid.model, taught),
            arm.training.continued(),
            start=arm.adapter,
        )
        once = FineTuned(adapter=tuned.adapter, **self.grid.decoding())
        return once.answer(self.grid.task.asked), tuned.seconds


def _fact(question: Question) -> str:
    """Return what names a question's fact in every wording."""
    return question.metadata.get("key", question.id)


def _answered_by(question: Question, value: str) -> Question:
    """Return the question with one right answer, on its day."""
    return replace(question, answers=(DatedAnswer(value, documents=question.supporting),))


def _right(question: Question, answer: Answer) -> bool:
    return judge(question, answer, question.asked_on).outcome == "correct"


def _share(flags: Any) -> float:
    found = [float(flag) for flag in flags]
    return sum(found) / len(found) if found else float("nan")


def _summed_up(
    frames: Sequence[pd.DataFrame], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    rows = pd.concat(frames, ignore_index=True)
    return rows, {"quantities": _quantities(rows, sizes)}


def _quantities(rows: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    wide = {arm: rows[rows["arm"] == arm].set_index("question_id") for arm in ARMS}
    gap = wide["finetuned"]["broken"] - wide["rag"]["broken"]

    def interval(values: Sequence[float]) -> dict[str, Any]:
        found: Interval = mean_interval(list(values), level=sizes.level, n_boot=sizes.n_boot)
        return {**found.to_dict(), "unit": "share"}

    found = {"correction_collateral_adapter_minus_index": interval(gap)}
    for arm, name in (("rag", "index"), ("finetuned", "adapter")):
        for measure in ("corrected", "broken", "moved"):
            found[f"{measure}_in_{name}"] = interval(wide[arm][measure])
    return found
