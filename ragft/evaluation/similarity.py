"""How much two texts look alike, word by word or letter by letter: ROUGE-L, BLEU and chrF.

Likeness is not truth: a wrong year looks almost like the right one. Whether a value is right is
decided in `text` and `outcomes`, and what likeness says of truth is measured in
`experiments.measures`. The arithmetic is that of the packages rouge-score and sacrebleu; here it
is only said which texts they are given. Likeness by vectors lives in `bertscore`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache

from ragft.types import RagftError


def rouge_l(prediction: str, golds: Iterable[str]) -> float:
    """Return the best ROUGE-L F-measure over gold answers: the longest common subsequence.

    Words are runs of a-z and 0-9 in lower case, not stemmed: accents split a word, and a gold
    answer in another script has no words at all. Such a gold is left out.

    Parameters
    ----------
    prediction : str
        Blank: 1.0 if a gold answer is blank too, else 0.0, as for every metric here.
    golds : iterable of str
        Acceptable answers; a blank one matches a blank prediction only.

    Returns
    -------
    float
        In [0, 1]; NaN without a gold answer, or without one that has words.

    Raises
    ------
    RagftError
        `golds` is one string.

    Source: Lin (2004), ROUGE: A package for automatic evaluation of summaries; rouge-score.

    >>> round(rouge_l("the red house", ["the red brick house"]), 4)
    0.8571
    """

    def best(said: list[str]) -> float:
        scorer, words = _rouge()
        readable = [gold for gold in said if words(gold)]
        if not readable:
            return math.nan
        return float(scorer.score_multi(readable, prediction)["rougeL"].fmeasure)

    return graded(prediction, golds, best)


def bleu(prediction: str, golds: Iterable[str]) -> float:
    """Return sentence-level BLEU: words and phrases of up to four words that a gold answer has.

    Case counts; orders without a match are smoothed ('exp') and orders longer than the text left
    out. Several golds are BLEU's several references: a phrase may be found in any, and the one
    closest in length sets the brevity penalty. Parameters, blank texts and errors as in `rouge_l`.

    Returns
    -------
    float
        sacrebleu's score / 100, in [0, 1]; NaN without a gold answer.

    Source: Papineni et al. (2002), BLEU; Post (2018), A call for clarity in reporting BLEU scores.

    >>> round(bleu("the red house stands here", ["the red house stands there"]), 4)
    0.6687
    """
    return graded(prediction, golds, lambda said: _sacrebleu("BLEU", prediction, said))


def chrf(prediction: str, golds: Iterable[str]) -> float:
    """Return sentence-level chrF, best over gold answers: character runs of one to six shared.

    Case counts, white space does not; recall weighs twice as much as precision. Parameters,
    blank texts and errors as in `rouge_l`.

    Returns
    -------
    float
        sacrebleu's score / 100, in [0, 1]; NaN without a gold answer.

    Source: Popovic (2015), chrF: character n-gram F-score for automatic MT evaluation.

    >>> chrf("Oslo", ["Oslo"]), chrf("Oslo", ["Pim"])
    (1.0, 0.0)
    """
    return graded(prediction, golds, lambda said: _sacrebleu("CHRF", prediction, said))


def graded(prediction: str, golds: Iterable[str], score: Callable[[list[str]], float]) -> float:
    """Score a prediction by a metric that knows no blank texts: these agree with each other alone.

    Parameters
    ----------
    prediction : str
    golds : iterable of str
    score : callable
        Takes the golds that are not blank, at least one; called for a prediction that is not.

    Returns
    -------
    float
        1.0 for a blank prediction where a gold is blank, 0.0 where only one side is; NaN without
        golds.

    Raises
    ------
    RagftError
        `golds` is one string.
    """
    if isinstance(golds, str):
        raise RagftError(f"golds: give a list of answers, not one string ({golds[:40]!r}).")
    golds = list(golds)
    said = [gold for gold in golds if gold.strip()]
    if not golds:
        return math.nan
    if not prediction.strip():
        return float(len(said) < len(golds))
    return score(said) if said else 0.0


@lru_cache(maxsize=1)
def _rouge() -> tuple:
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    tokenizer = DefaultTokenizer(use_stemmer=False)
    return RougeScorer(["rougeL"], tokenizer=tokenizer), tokenizer.tokenize


@lru_cache(maxsize=2)
def _sacrebleu_metric(name: str):
    from sacrebleu import metrics

    return metrics.BLEU(effective_order=True) if name == "BLEU" else metrics.CHRF()


def _sacrebleu(name: str, prediction: str, golds: list[str]) -> float:
    # The score of two equal texts is 100.00000000000004.
    return min(1.0, _sacrebleu_metric(name).sentence_score(prediction, golds).score / 100)
