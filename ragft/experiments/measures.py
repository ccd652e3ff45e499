"""Which measure of likeness tells right answers from wrong ones?

Overlap of words (EM, F1, ROUGE-L, BLEU, chrF) and likeness of vectors (BERTScore) are set
against the exact truth of sentences that were made right or wrong on purpose (`constructed`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments.cells import Finished
from ragft.experiments.constructed import KINDS, constructed
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key, sha256_json
from ragft.types import Question

if TYPE_CHECKING:
    import pandas as pd

    from ragft.evaluation.bertscore import BertScore

METRICS = ("em", "f1", "rouge_l", "bleu", "chrf", "bertscore")
OVERLAP = ("bleu", "rouge_l")
"""The measures that BERTScore is said to be more robust than."""


class Measures(Finished):
    """What the measures of likeness say about truth.

    There is an answer per question, kind and wording, with its reference and its scores. The
    quantities are `auroc_bertscore_minus_overlap` and `auroc_<metric>`, over all answers and over
    the two parts that are not decided by construction: with the ending `_other_words` right
    against wrong answers that are both worded otherwise than the reference, with `_crossed` right
    ones worded otherwise against wrong ones in its own words.
    """

    @property
    def table(self) -> pd.DataFrame:
        """Mean scores: one row per kind of answer, with `n`, one column per metric."""
        groups = self.answers.groupby("kind")
        table = groups[list(METRICS)].mean()
        table.insert(0, "n", groups.size())
        return table.reindex([kind for kind in KINDS if kind in table.index])


def measures(
    questions: Iterable[Question],
    *,
    seed: int = 0,
    level: float = 0.95,
    n_boot: int = 2000,
    base: str | Profile = "cpu",
    corpus: str = "world",
    out: str | Path = "results",
    scorer: BertScore | None = None,
) -> Measures:
    """Score constructed answers with every metric, and ask each metric for the truth.

    Parameters
    ----------
    questions : iterable of Question
        One-hop questions of a made-up world, such as `tasks.world_task(...).asked`; unanswerable
        ones are left out.
    seed : int
        Of the constructed answers and the resampling.
    level : float
        Confidence level.
    n_boot : int
        Resamples, over clusters of answers (a subject's).
    base : str or Profile
        Says where the embedding model is; 'smoke' keeps the record apart.
    corpus : str
        What the record calls the collection.
    out : path
        Folder of records; a finished run is read back.
    scorer : BertScore, optional
        Made from the profile's embedding model where None.

    Raises
    ------
    RagftError
        No question can be used, or the embedding model cannot be had.
    """
    from ragft.evaluation.bertscore import BertScore

    sizes = profile(base, level=level, n_boot=n_boot)
    scorer = scorer or BertScore(sizes.embedding_model)
    rows = constructed(questions, seed)
    run = Records(out, smoke=sizes.name == "smoke").open(
        "measures",
        content_key(
            {
                "rows": sha256_json(rows),
                "num_layers": scorer.num_layers,
                "level": sizes.level,
                "n_boot": sizes.n_boot,
            },
            model=scorer.model_hash,
            seed=seed,
        ),
        parameters={"corpus": corpus, "seed": seed, "num_layers": scorer.num_layers},
        profile=sizes,
        hashes={"answers": sha256_json(rows), "embedding_model": scorer.model_hash},
    )
    if not run.finished:
        answers = scored(rows, scorer)
        results = {"quantities": _quantities(answers, sizes, seed), "not_made": _not_made(rows)}
        run.finish(answers, results)
    record, answers = run.load()
    return Measures(record, answers, run.folder)


def scored(rows: Sequence[Mapping[str, Any]], scorer: BertScore) -> pd.DataFrame:
    """Return the rows with the score of every metric, each answer against its reference."""
    import pandas as pd

    from ragft.evaluation.similarity import bleu, chrf, rouge_l
    from ragft.evaluation.text import exact_match, token_f1

    one_by_one = {"em": exact_match, "f1": token_f1, "rouge_l": rouge_l, "bleu": bleu, "chrf": chrf}
    frame = pd.DataFrame(rows)
    said, golds = frame["answer"].tolist(), [[text] for text in frame["reference"]]
    for name, metric in one_by_one.items():
        frame[name] = [metric(a, g) for a, g in zip(said, golds, strict=True)]
    return frame.assign(bertscore=scorer.score(said, golds))


def _quantities(answers: pd.DataFrame, sizes: Profile, seed: int) -> dict[str, Any]:
    """Return AUROCs against the truth over all answers, and over the harder parts of them."""
    other = answers["wording"] == "other"
    parts = {
        "": answers,
        "_other_words": answers[other],
        "_crossed": answers[other == (answers["right"] == 1)],
    }
    found = {}
    for ending, part in parts.items():
        for name, quantity in _aurocs(part, sizes, seed).items():
            found[name + ending] = quantity
    return found


def _aurocs(answers: pd.DataFrame, sizes: Profile, seed: int) -> dict[str, Any]:
    """Return the AUROC of every metric, and BERTScore's lead over the better overlap measure."""
    from ragft.evaluation.uncertainty import auroc, auroc_difference

    against = (answers["right"], answers["cluster"], sizes.level, sizes.n_boot, seed)
    own = {name: auroc(answers[name], *against) for name in METRICS}
    better = max(OVERLAP, key=lambda name: own[name].mean)
    lead = auroc_difference(answers["bertscore"], answers[better], *against)
    said = {"unit": "points", "model": "none", "against": better}
    return {
        "auroc_bertscore_minus_overlap": {**lead.to_dict(), **said},
        **{f"auroc_{n}": {**i.to_dict(), "unit": "share", "model": "none"} for n, i in own.items()},
    }


def _not_made(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return of how many questions no answer of a kind could be made."""
    asked = {row["question_id"] for row in rows}
    made = Counter(kind for _, kind in {(row["question_id"], row["kind"]) for row in rows})
    return {kind: len(asked) - made[kind] for kind in KINDS}
