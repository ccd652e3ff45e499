"""The numbers of a behaviour experiment, each worked out by hand on a few questions."""

import math

import pandas as pd
import pytest

from ragft.evaluation.behaviours import SCORES
from ragft.experiments.behaviour_curves import crossing, learning_curves
from ragft.experiments.behaviour_data import FACTS, NEW, TRAINED
from ragft.experiments.behaviour_effects import quantities
from ragft.experiments.teaching_refusals import DISGUISES
from ragft.profiles import profile

SIZES = profile("smoke", n_boot=100)


def rows(part, arm, passed, *, pairs=0, condition="asked", seed=0, **more):
    """Return a row a question: what passed, and whatever other columns are given."""
    task = part.removesuffix("_constrained")
    names = [f"{task}{i}" for i in range(len(passed))]
    frame = pd.DataFrame({"question_id": names, "passed": passed})
    frame = frame.assign(**{name: math.nan for name in SCORES if name != "passed"})
    frame = frame.assign(part=part, arm=arm, pairs=pairs, condition=condition, seed=seed)
    frame = frame.assign(cluster=frame["question_id"], prompt_tokens=100.0)
    return frame.assign(fits=frame["passed"], right=frame["passed"]).assign(**more)


def told(*frames):
    return quantities(pd.concat(frames, ignore_index=True), SIZES)


def mean(found, name):
    return found[name]["mean"]


def test_valid_output_is_the_difference_of_what_fits_over_the_same_questions():
    found = told(
        rows("json", "prompt", [1, 0, 0, 0], right=[1, 0, 0, 0]),
        rows("json", "finetuned", [0, 0, 0, 0]),  # untuned: never compared
        rows("json", "finetuned", [1, 1, 1, 0], pairs=30, right=[1, 0, 0, 0]),
        rows("json", "finetuned", [0, 0, 0, 0], pairs=10),  # fewer pairs: neither
        rows("json_constrained", "prompt", [1, 1, 1, 1]),
        rows("json_constrained", "finetuned", [1, 1, 1, 1], pairs=30),
    )
    assert mean(found, "valid_output_tuned_minus_prompted") == pytest.approx(0.5)
    assert mean(found, "right_output_tuned_minus_prompted") == 0
    assert mean(found, "valid_output_constrained_minus_prompted") == pytest.approx(0.75)
    one = found["valid_output_tuned_minus_prompted"]
    assert (one["n"], one["unit"]) == (4, "share") and "note" not in one


def test_seeds_of_the_tuned_model_stand_against_the_one_prompted_run():
    found = told(
        rows("style", "prompt", [0, 0, 0, 0], prompt_tokens=200.0),
        rows("style", "finetuned", [1, 1, 1, 1], pairs=10, seed=0, prompt_tokens=50.0),
        rows("style", "finetuned", [1, 1, 0, 0], pairs=10, seed=1, prompt_tokens=50.0),
    )
    one = found["style_tuned_minus_prompted"]
    assert (one["mean"], one["seeds"], one["n"]) == (pytest.approx(0.75), 2, 4)
    assert "hardly follows this instruction at all: 0.0 % pass" in one["note"]
    assert "style_prompt_tokens_tuned_over_prompted" not in found  # four questions: no interval


def test_the_shorter_prompt_is_a_ratio_of_tokens():
    many = [1] * 12
    found = told(
        rows("style", "prompt", many, prompt_tokens=200.0),
        rows("style", "finetuned", many, pairs=10, prompt_tokens=50.0),
    )
    one = found["style_prompt_tokens_tuned_over_prompted"]
    assert (one["mean"], one["low"], one["high"], one["unit"]) == (0.25, 0.25, 0.25, "ratio")


def test_jargon_is_what_goes_wrong_with_and_without_a_glossary():
    found = told(
        rows("jargon", "prompt", [1, 0, 0, 0]),
        rows("jargon", "finetuned", [0, 0, 0, 0]),
        rows("jargon", "finetuned", [1, 1, 1, 0], pairs=30),
    )
    assert mean(found, "jargon_wrong_untuned") == pytest.approx(0.75)
    assert mean(found, "jargon_wrong_undefined") == 1
    assert mean(found, "jargon_wrong_tuned") == pytest.approx(0.25)


def test_refusals_are_averaged_over_disguises_and_over_refusals_stand_apart():
    def asked(arm, hidden, direct, allowed, pairs):
        where = {"pairs": pairs}
        parts = [
            rows("refusal", arm, x, condition=name, refused=x, **where)
            for name, x in zip(DISGUISES, hidden, strict=True)
        ]
        parts.append(rows("refusal", arm, direct, condition="direct", refused=direct, **where))
        for name in ("allowed", "lookalike"):
            part = rows("refusal", arm, [1 - x for x in allowed], condition=name, **where)
            part = part.assign(refused=allowed, question_id=part["question_id"] + "free")
            parts.append(part.assign(cluster=part["question_id"]))
        return parts

    none = [[0.0, 0.0]] * len(DISGUISES)
    hidden = [[1.0, 1.0], [1.0, 0.0], *none[2:]]
    found = told(
        *asked("prompt", none, [0.0, 0.0], [0.0, 0.0], 0),
        *asked("finetuned", hidden, [1.0, 1.0], [1.0, 0.0], 30),
    )
    assert mean(found, "refusals_tuned_minus_prompted") == pytest.approx(3 / (2 * len(DISGUISES)))
    assert mean(found, "direct_refusals_tuned_minus_prompted") == 1
    assert mean(found, "over_refusals_tuned_minus_prompted") == pytest.approx(0.5)
    assert mean(found, "lookalikes_refused_tuned") == pytest.approx(0.5)
    assert "refuses 0.0 % of what is forbidden" in found["refusals_tuned_minus_prompted"]["note"]


def test_the_taxonomy_is_held_against_both_prompts():
    found = told(
        rows("taxonomy", "prompt", [0] * 12),
        rows("taxonomy", "fewshot", [1] * 6 + [0] * 6),
        rows("taxonomy", "finetuned", [1] * 12, pairs=9),
    )
    assert mean(found, "taxonomy_tuned_minus_prompted") == 1
    assert mean(found, "taxonomy_tuned_minus_fewshot") == pytest.approx(0.5)


def test_both_is_measured_against_the_better_one_alone():
    found = told(
        rows("both", "rag", [1, 1, 0, 0], right=[1, 0, 1, 1]),  # both: 1 of 4
        rows("both", "finetuned", [1, 1, 1, 1], pairs=9, right=[0, 0, 0, 0]),  # none
        rows("both", "finetuned_rag", [1, 1, 1, 0], pairs=9, right=[1, 1, 1, 1]),  # 3 of 4
    )
    assert mean(found, "both_minus_best_single") == pytest.approx(0.5)


def test_what_was_not_measured_is_left_out():
    assert told(rows("json", "prompt", [1, 0])) == {}
    assert set(told(rows("jargon", "prompt", [1, 0]))) == {"jargon_wrong_untuned"}


# How many examples it takes


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([0.0, 0.6, 1.0], 100),  # half of the way from 10 to 1,000 on a log axis
        ([0.0, 0.8, 0.9], 10),  # on the bar counts as above it; 0 has no logarithm
        ([0.9, 0.9, 0.9], 1),  # without any example
        ([0.0, 0.1, 0.2], math.inf),  # never
        ([0.0, 0.2, 0.8], 1000),
    ],
)
def test_where_a_curve_crosses_the_bar(means, expected):
    assert crossing([0, 10, 1000], means) == pytest.approx(expected)


def curve(part, passed, condition="asked"):
    """Return the rows of a curve: `passed` maps numbers of pairs to the share of 20 questions."""
    return [
        rows(part, "finetuned", [1.0] * round(20 * share) + [0.0] * round(20 * (1 - share)),
             pairs=pairs, condition=condition)
        for pairs, share in passed.items()
    ]  # fmt: skip


def test_knowledge_over_behaviour_is_a_ratio_of_crossings():
    found = told(
        *curve("json", {0: 0, 10: 1.0, 1000: 1.0}),  # 10
        *curve("style", {0: 0, 10: 0.6, 1000: 1.0}),  # 100
        *curve(FACTS, {0: 0, 10: 0, 1000: 1.0}, NEW),  # 10 · 100^.8
        *curve(FACTS, {0: 0, 10: 1.0, 1000: 1.0}, TRAINED),  # the trained wording does not count
    )
    one = found["examples_knowledge_over_behaviour"]
    assert one["mean"] == pytest.approx(10 * 100**0.8 / math.sqrt(10 * 100))
    assert one["one"] == pytest.approx(10 * 100**0.8) and one["two"] == pytest.approx(1000**0.5)
    assert one["low"] < one["mean"] < one["high"] and one["n"] == 20
    assert one["note"] == "20 facts asked, each taught in several wordings"


def test_the_median_behaviour_counts_so_that_one_that_never_gets_there_does_no_harm():
    facts = curve(FACTS, {0: 0, 10: 0, 1000: 1.0}, NEW)  # 10 · 100^.8
    found = told(
        *curve("json", {0: 0, 10: 1.0, 1000: 1.0}),  # 10
        *curve("style", {0: 0, 10: 0.6, 1000: 1.0}),  # 100
        *curve("taxonomy", {0: 0, 10: 0.0, 1000: 0.2}),  # never
        *facts,
    )
    one = found["examples_knowledge_over_behaviour"]
    assert one["mean"] == pytest.approx(10 * 100**0.8 / 100)
    assert one["note"].endswith("never there: taxonomy")


def test_where_the_median_or_the_facts_never_get_there_the_ratio_is_not_defined():
    name, learnt = "examples_knowledge_over_behaviour", {0: 0, 10: 0, 1000: 1.0}
    never = {0: 0, 10: 0.5, 1000: 0.6}
    assert name not in told(*curve("style", never), *curve(FACTS, learnt, NEW))
    assert name not in told(*curve("style", learnt), *curve(FACTS, never, NEW))


def test_without_facts_or_behaviours_there_is_no_ratio():
    name = "examples_knowledge_over_behaviour"
    assert name not in told(*curve("style", {0: 0, 10: 1.0}))
    assert name not in told(*curve(FACTS, {0: 0, 10: 1.0}, NEW))


def test_learning_curves_hold_every_number_and_when_it_is_learnt():
    frame = pd.concat(
        [*curve("style", {0: 0, 10: 0.5, 100: 1.0}), *curve(FACTS, {0: 0, 10: 0.5}, NEW)],
        ignore_index=True,
    )
    found = pd.DataFrame(learning_curves(frame, SIZES)).set_index(["series", "x"])
    assert list(found.index) == [
        ("style", 0), ("style", 10), ("style", 100),
        ("facts, new wording", 0), ("facts, new wording", 10),
    ]  # fmt: skip
    assert found["mean"].tolist() == [0, 0.5, 1, 0, 0.5] and (found["n"] == 20).all()
    assert found["learnt"].tolist() == [False, False, True, False, False]
