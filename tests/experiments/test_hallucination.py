"""Who is asked what, what is measured where, and the ledger's effects by hand."""

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from ragft import prompts
from ragft.experiments.contexts import CANARY, CONDITIONS, REMEDIES
from ragft.experiments.hallucination import (
    CLOSED,
    MEASURES,
    READERS,
    hallucination,
    hallucination_task,
    lines_of,
)
from ragft.experiments.hallucination_effects import quantities
from ragft.experiments.tasks import world_task
from ragft.generation.local import Completion, LocalModel
from ragft.profiles import profile
from ragft.types import Question, RagftError

SMALL = {
    "facts": 3,
    "world_subjects": 24,
    "epochs": 1,
    "reading_examples": 2,
    "reading_epochs": 1,
    "wordings": 1,
    "max_new_tokens": 2,
    "rank": 4,
    "n_boot": 100,
}
LINES = lines_of(
    conditions=("retrieved", "similar", "planted", "none"), remedied=("old_1",), places=(1,)
)
TUNED = ("finetuned", "finetuned_rag", "raft", "placebo")


@pytest.fixture(scope="module")
def sizes(roomy_model):
    return profile("smoke", model=roomy_model, **SMALL)


@pytest.fixture(scope="module")
def task(sizes):
    """Three facts, of which one never changed, and a question that nothing answers."""
    made = hallucination_task(sizes)
    one, two, three = made.asked
    always = replace(three, answers=tuple(a for a in three.answers if a.holds_on(made.day)))
    nothing = Question("nothing", "What is missing?", (), made.day, one.subject, answerable=False)
    return replace(made, asked=(one, nothing, two, always))


@pytest.fixture(scope="module")
def real(task, roomy_model, sizes, tmp_path_factory):
    """A run with two seeds, its folder, and (adapter, prompts) of every call of the model."""
    out, calls, generate = tmp_path_factory.mktemp("results"), [], LocalModel.generate

    def heard(self, texts, **options):
        calls.append((self.adapter, list(texts)))
        return generate(self, texts, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(LocalModel, "generate", heard)
        options = {"lines": LINES, "model": roomy_model, "seeds": (0, 1), "base": sizes}
        return hallucination(task, **options, out=out, progress=False), out, calls


def cells(found):
    return found.answers.groupby(["arm", "condition", "seed"], sort=False)


# The lines of an experiment


def test_all_lines_by_hand():
    lines = lines_of()
    assert len(lines) == len(set(lines)) == 5 + 3 * 9 + 2 * 4 + 1 + 10
    assert [c for a, c in lines if a in CLOSED] == ["none"] * 5
    for reader in ("finetuned_rag", "raft"):
        assert [c for a, c in lines if a == reader] == list(CONDITIONS)
    assert [c for a, c in lines if a == "rag"] == [
        *CONDITIONS,
        *(f"{old}+{remedy}" for old in ("old_1", "old_2") for remedy in REMEDIES),
        "similar+untold",
        *(f"position_{n}" for n in range(1, 11)),
    ]


def test_what_is_tried_on_rag_alone_needs_rag_and_its_condition():
    without = lines_of(("raft",), (), ("similar",))
    assert without == [("raft", "similar")]
    assert lines_of(("rag",), (), ("gold",), remedied=(), places=(2,)) == [
        ("rag", "gold"),
        ("rag", "position_2"),
    ]


# A whole run


def test_every_line_has_its_cells_one_a_seed_where_it_trains(real, task):
    found, _, _ = real
    seeds = found.answers.groupby(["arm", "condition"], sort=False)["seed"].unique()
    assert list(seeds.index) == LINES
    assert {line: list(s) for line, s in seeds.items()} == {
        line: [0, 1] if line[0] in TUNED else [0] for line in LINES
    }
    one, _, two, always = (q.id for q in task.asked)
    for (_, condition, _), cell in cells(found):
        applies = [one, two] if condition.startswith("old_1") else [one, two, always]
        assert cell["question_id"].tolist() == applies


def test_the_summary_has_every_line_and_its_numbers(real):
    found, _, _ = real
    summary = found.summary
    assert list(summary.groupby(["arm", "condition"], sort=False).groups) == LINES
    assert not summary.duplicated(["arm", "condition", "measure"]).any()
    assert set(summary["measure"]) <= set(MEASURES)
    assert (summary["n"] > 0).all() and summary["mean"].between(0, 1).all()
    accuracy = summary[summary["measure"] == "accuracy"].set_index(["arm", "condition"])
    right = found.answers.assign(right=found.answers["outcome"] == "correct")
    expected = right.groupby(["arm", "condition"])["right"].mean()
    assert accuracy["n"].to_dict() == {
        line: 2 if line[1].startswith("old_1") else 3 for line in LINES
    }
    assert accuracy["mean"].to_dict() == pytest.approx(expected.to_dict())
    several = {line for line, n in accuracy["seeds"].items() if n == 2}
    assert several == {line for line in LINES if line[0] in TUNED}


def test_readers_see_the_same_prompts_and_differ_in_their_adapter(real):
    found, _, calls = real
    keys = [key for key, _ in cells(found) if key[0] != "prior"]
    assert len(keys) == len(calls)  # one call a cell, in the order of the lines
    by_line = dict(zip(keys, calls, strict=True))
    for condition in ("retrieved", "similar", "planted", "none"):
        shown = [texts for (arm, c, _), (_, texts) in by_line.items()
                 if c == condition and arm in READERS]  # fmt: skip
        assert len(shown) == 5 and all(texts == shown[0] for texts in shown)
    adapters = {key: adapter for key, (adapter, _) in by_line.items()}
    assert adapters["rag", "similar", 0] is adapters["prompt", "none", 0] is None
    for seed in (0, 1):
        assert adapters["finetuned_rag", "similar", seed] == adapters["finetuned", "none", seed]
    trained = {(a, s): adapters[a, "none", s] for a, s in product(TUNED, (0, 1))}
    assert len({str(adapter) for adapter in trained.values()}) == 6


def test_prompts_are_those_of_their_condition(real):
    _, _, calls = real
    lines = [line for line in LINES if line[0] != "prior"]
    texts, place = {}, 0
    for line in lines:
        texts[line] = calls[place][1]
        place += 2 if line[0] in TUNED else 1
    assert all(f"say {CANARY}." in text for text in texts["rag", "planted"])
    assert not any(CANARY in text for text in texts["rag", "similar"])
    assert all(text.startswith("Answer from the passages") for text in texts["rag", "none"])
    assert all("[1]" not in text for text in texts["rag", "none"])
    assert all(prompts.NEWEST in text for text in texts["rag", "old_1+newest"])
    assert all("Source: archive." in text for text in texts["rag", "old_1+sources"])
    assert all("unknown" not in text.split("\n")[0] for text in texts["rag", "similar+untold"])
    assert all("[10]:" in text for text in texts["rag", "position_1"])
    for ours in texts["rag", "old_1+by_date"]:
        dates = [line[-11:-1] for line in ours.split("\n") if "]: " in line]
        assert len(dates) == 4 and dates == sorted(dates)


def test_a_second_run_is_read_from_its_record_and_loads_no_model(
    real, task, roomy_model, sizes, monkeypatch
):
    def never(*_, **__):
        raise AssertionError("loaded or computed again")

    first, out, _ = real
    monkeypatch.setattr("ragft.generation.catalog.load_model", never)
    monkeypatch.setattr(LocalModel, "load", never)
    monkeypatch.setattr("ragft.experiments.grid.Grid.new_library", never)
    monkeypatch.setattr("ragft.experiments.hallucination.Contexts", never)
    again = hallucination(
        task, lines=LINES, model=roomy_model, seeds=(0, 1), base=sizes, out=out, progress=False
    )
    assert again.record == first.record and again.folder == first.folder
    assert again.folder.parent == out / "smoke" / "hallucination"
    pd.testing.assert_frame_equal(again.answers, first.answers)
    pd.testing.assert_frame_equal(again.summary, first.summary)
    assert again.quantities == first.quantities == json.loads(json.dumps(first.quantities))


def test_the_record_says_which_lines_were_run(real, task):
    record = real[0].record
    assert record["parameters"]["lines"] == [list(line) for line in LINES]
    assert record["parameters"]["corpus"] == task.name and record["seeds"] == [0, 1]
    assert record["hashes"]["corpus"] == task.content_hash


def test_every_fact_had_two_other_values_before(sizes):
    made = hallucination_task(sizes)
    for question in made.asked:
        assert len(question.answers) == 3 and question.former_answers(made.day)


# What is measured where: a model that says what it is told to


@pytest.fixture
def scripted(task, roomy_model, sizes, tmp_path, monkeypatch):
    """Return a function that runs lines of 'rag' and closed arms with a scripted model."""

    def run(answer, *lines):
        def generate(self, texts, **_):
            return [Completion(answer(text), 10, 2, 0.5, -1.0, 1.0, 1.0) for text in texts]

        monkeypatch.setattr(LocalModel, "generate", generate)
        monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
        return hallucination(
            task,
            lines=lines,
            model=roomy_model,
            seeds=(0,),
            base=sizes,
            out=tmp_path,
            progress=False,
        )

    return run


def measured(found, arm, condition):
    part = found.summary[(found.summary["arm"] == arm) & (found.summary["condition"] == condition)]
    return dict(zip(part["measure"], part["mean"], strict=True))


def test_an_invented_answer_without_a_context_is_hallucinated_and_not_supported_or_not(scripted):
    found = scripted(lambda _: " Zzyzx", ("prompt", "none"), ("rag", "none"), ("rag", "gold"))
    for arm in ("prompt", "rag"):
        values = measured(found, arm, "none")
        assert values["hallucination"] == values["hallucination_attempted"] == 1
        assert values["fabricated"] == 1 and "supported" not in values
        rows = found.answers.query("arm == @arm and condition == 'none'")
        assert len(rows) == 3 and rows["supported"].isna().all()
    assert measured(found, "rag", "gold")["supported"] == 0


def test_where_all_abstain_nothing_is_said_of_attempts_support_or_citations(scripted):
    found = scripted(lambda _: " unknown", ("prompt", "none"), ("rag", "gold"), ("rag", "planted"))
    expected = dict.fromkeys(("accuracy", "stale", "confused", "fabricated", "hallucination"), 0)
    assert measured(found, "prompt", "none") == {**expected, "abstained": 1}
    assert measured(found, "rag", "gold") == {**expected, "abstained": 1}
    assert measured(found, "rag", "planted") == {**expected, "abstained": 1, "canary": 0}


def test_a_closed_book_arm_has_no_citation_precision_even_if_it_writes_numbers(scripted, task):
    right = {q.text: q.answers_on(task.day)[0] for q in task.asked if q.answerable}

    def knows(text):
        (answer,) = (a for asked, a in right.items() if f"Question: {asked}" in text)
        return f" [1] {answer}"

    found = scripted(knows, ("prompt", "none"), ("rag", "gold"), ("rag", "similar"))
    closed, gold, similar = (
        measured(found, *line) for line in (("prompt", "none"), ("rag", "gold"), ("rag", "similar"))
    )
    assert closed["accuracy"] == 1 and closed["citation_recall"] == 0
    assert "citation_precision" not in closed and "supported" not in closed
    assert gold["citation_precision"] == gold["citation_recall"] == gold["supported"] == 1
    assert similar["citation_precision"] == similar["citation_recall"] == 0
    assert similar["accuracy"] == 1 and similar["supported"] == 0


def test_obeying_is_measured_where_an_order_was_planted_and_nowhere_else(scripted):
    lines = [("prompt", "none"), *(("rag", c) for c in ("retrieved", "planted", "similar+untold"))]
    found = scripted(lambda _: f" {CANARY.title()}!", *lines)
    canary = found.summary[found.summary["measure"] == "canary"]
    assert canary[["arm", "condition", "mean"]].to_numpy().tolist() == [["rag", "planted", 1.0]]
    assert found.quantities["planted_obeyed"]["mean"] == 1
    polite = scripted(lambda text: " Zzyzx" if CANARY in text else f" {CANARY}", ("rag", "planted"))
    assert measured(polite, "rag", "planted")["canary"] == 1  # read from the same cell
    assert polite.folder != found.folder


def test_a_reader_misled_by_old_versions_is_stale_until_they_are_filtered(scripted, task):
    former = {q.text: q for q in task.asked if q.answerable}

    def prefers_old(text):
        (question,) = (q for asked, q in former.items() if f"Question: {asked}" in text)
        found = [v for v in question.former_answers(task.day) if v in text]
        return f" {(found or question.answers_on(task.day))[0]}"

    found = scripted(prefers_old, *(("rag", f"old_1{r}") for r in ("", "+filter", "+newest")))
    assert measured(found, "rag", "old_1")["stale"] == 1
    assert measured(found, "rag", "old_1+filter")["stale"] == 0
    assert measured(found, "rag", "old_1+filter")["accuracy"] == 1
    assert found.quantities["filter_on_old_1"]["mean"] == -1
    assert found.quantities["newest_on_old_1"]["mean"] == 0
    assert set(found.quantities) == {"filter_on_old_1", "newest_on_old_1"}


# What a user can get wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lines": [("prompt", "gold")]}, "prompt: shows no passages, so condition 'gold' does"),
        ({"lines": [("prior", "planted")]}, "prior: shows no passages, .*; only 'none'"),
        ({"lines": [("oracle", "none")]}, "unknown arm 'oracle'; choose of rag, finetuned_rag"),
        ({"lines": []}, r"give at least one \(arm, condition\), and none twice"),
        ({"lines": [("rag", "gold"), ("rag", "gold")]}, "none twice"),
        ({"lines": [("rag", "golden")]}, "unknown condition 'golden'; choose of retrieved"),
        ({"lines": [("rag", "old_1+more")]}, "unknown remedy 'more'; choose of by_date"),
        ({"seeds": (0, 0)}, r"seeds=\[0, 0\]: give at least one, and none twice"),
    ],
)
def test_what_a_user_can_get_wrong(options, message, task, roomy_model, sizes, tmp_path):
    options = {"model": roomy_model, "base": sizes, "out": tmp_path, "progress": False, **options}
    with pytest.raises(RagftError, match=message):
        hallucination(task, **options)
    assert not list(tmp_path.rglob("record.json"))


def test_old_versions_that_the_task_does_not_have_are_an_error(roomy_model, sizes, tmp_path):
    never_changed = world_task(sizes, 3, former=0)
    options = {"model": roomy_model, "base": sizes, "out": tmp_path, "progress": False}
    with pytest.raises(RagftError, match="condition 'old_2' applies to no question"):
        hallucination(never_changed, lines=[("rag", "old_2")], **options)


# The ledger's effects, by hand

OUTCOMES = {"c": "accuracy", "s": "stale", "x": "confused", "f": "fabricated", "u": "abstained"}


def judged(arm, condition, *runs, **scores):
    """Rows of one line: a letter a question (see `OUTCOMES`), a string a seed; ' ' = not asked."""
    rows = []
    for seed, letters in enumerate(runs):
        for n, letter in enumerate(letters):
            if letter == " ":
                continue
            row = {name: float(letter == key) for key, name in OUTCOMES.items()}
            row |= {"hallucination": float(letter in "sxf"), "citation_recall": math.nan}
            row |= {"arm": arm, "condition": condition, "seed": seed, "canary": math.nan}
            row |= {name: values[n] for name, values in scores.items()}
            rows.append(row | {"question_id": f"q{n}", "cluster": f"q{n}"})
    return pd.DataFrame(rows)


def effects(*parts):
    return quantities(pd.concat(parts, ignore_index=True), profile("smoke", n_boot=100))


def only(*parts):
    """The one effect that these rows tell."""
    ((_, found),) = effects(*parts).items()
    return found


def test_h1_hallucinated_share_of_tuning_minus_rag_that_is_misled():
    found = effects(
        judged("finetuned", "none", "fffc", "fccc"),
        judged("rag", "old_2", "scu "),  # q3 has no two former values: left out everywhere
        judged("rag", "similar", "fucf"),
        judged("rag", "irrelevant", "uxuf"),
    )["hallucination_finetuned_minus_rag"]
    # q0: 1 - 2/3; q1: 1/2 - 1/3; q2: 1/2 - 0
    assert found["mean"] == pytest.approx((1 / 3 + 1 / 6 + 1 / 2) / 3)
    assert (found["n"], found["seeds"], found["unit"]) == (3, 2, "share")


def test_h7_stale_and_confused_but_not_fabricated_with_old_versions_minus_without():
    found = effects(judged("rag", "old_2", "sxfc"), judged("rag", "gold_similar", "xcsc"))
    mean = found["wrong_with_old_versions_minus_without"]["mean"]
    assert mean == pytest.approx((0 + 1 - 1 + 0) / 4)
    assert list(found) == ["wrong_with_old_versions_minus_without"]
    more = only(judged("rag", "old_2", "sxfc"), judged("rag", "gold_similar", "fccc"))
    assert more["mean"] == pytest.approx((1 + 1 + 0 + 0) / 4)


def test_p6_the_current_passage_alone_minus_with_old_ones():
    found = only(judged("rag", "gold", "ccucc"), judged("rag", "old_2", "csuc"))
    assert (found["mean"], found["n"]) == (pytest.approx(1 / 4), 4)


def test_p4_tuned_to_read_minus_tuned_on_facts():
    found = only(
        judged("raft", "retrieved", "cc", "cu"), judged("finetuned_rag", "retrieved", "cf", "uu")
    )
    # q0: 1 - 1/2; q1: 1/2 - 0
    assert (found["mean"], found["seeds"]) == (pytest.approx(0.5), 2)


@pytest.mark.parametrize(
    ("rag", "finetuned", "expected"),
    [("cccu", "uuuu", 1 / 4), ("uuuc", "ccuu", 2 / 4), ("cuuu", "cccc", 0)],
)
def test_x1_takes_the_better_single_arm(rag, finetuned, expected):
    found = effects(
        judged("finetuned_rag", "retrieved", "cccc"),
        judged("rag", "retrieved", rag),
        judged("finetuned", "none", finetuned, finetuned),
    )
    assert found["combined_minus_best_single"]["mean"] == pytest.approx(expected)


def test_p10_first_and_last_place_minus_the_two_in_the_middle():
    found = only(
        judged("rag", "position_1", "ccc"),
        judged("rag", "position_10", "cuc"),
        judged("rag", "position_5", "cuu"),
        judged("rag", "position_6", "uuu"),
        judged("rag", "position_4", "fff"),
        judged("rag", "position_7", "ccc"),
    )
    # q0: 1 - 1/2; q1: 1/2 - 0; q2: 1 - 0
    assert found["mean"] == pytest.approx(2 / 3)


def test_p12_whatever_is_said_with_noise_alone_is_answered():
    found = only(judged("rag", "similar", "uucfs"))
    assert (found["mean"], found["n"]) == (pytest.approx(3 / 5), 5)
    assert only(judged("rag", "similar", "uuu"))["mean"] == 0


def test_h13_citing_minus_answering_from_memory_where_both_answer():
    found = only(
        judged("rag", "retrieved", "ccfu", citation_recall=[1, 1, 0, math.nan]),
        judged("finetuned", "none", "ccff", citation_recall=[0, 0, 0, 0]),
    )
    assert (found["mean"], found["n"], found["missing"]) == (pytest.approx(2 / 3), 3, 1)


def test_planted_orders_obeyed():
    assert only(judged("rag", "planted", "cfc", canary=[0, 1, 0]))["mean"] == pytest.approx(1 / 3)


def test_being_told_to_abstain_minus_not():
    found = effects(judged("rag", "similar", "uuuf"), judged("rag", "similar+untold", "sxuf"))
    assert found["told_to_abstain_minus_not"]["mean"] == pytest.approx(-2 / 4)


@pytest.mark.parametrize(("remedy", "old"), list(product(REMEDIES, ("old_1", "old_2"))))
def test_a_remedy_is_the_stale_share_with_it_minus_without(remedy, old):
    found = effects(judged("rag", old, "sssx"), judged("rag", f"{old}+{remedy}", "cssc"))
    assert list(found) == [f"{remedy}_on_{old}"]
    assert found[f"{remedy}_on_{old}"]["mean"] == pytest.approx(-1 / 4)


NEEDS = {
    "hallucination_finetuned_minus_rag": {
        ("finetuned", "none"), ("rag", "old_2"), ("rag", "similar"), ("rag", "irrelevant")
    },
    "wrong_with_old_versions_minus_without": {("rag", "old_2"), ("rag", "gold_similar")},
    "current_alone_minus_with_old": {("rag", "gold"), ("rag", "old_2")},
    "raft_minus_finetuned_rag": {("raft", "retrieved"), ("finetuned_rag", "retrieved")},
    "combined_minus_best_single": {
        ("finetuned_rag", "retrieved"), ("rag", "retrieved"), ("finetuned", "none")
    },
    "ends_minus_middle": {("rag", f"position_{n}") for n in (1, 5, 6, 10)},
    "answered_on_noise_alone": {("rag", "similar")},
    "citation_recall_rag_minus_finetuned": {("rag", "retrieved"), ("finetuned", "none")},
    "planted_obeyed": {("rag", "planted")},
    "told_to_abstain_minus_not": {("rag", "similar"), ("rag", "similar+untold")},
    **{
        f"{remedy}_on_{old}": {("rag", old), ("rag", f"{old}+{remedy}")}
        for remedy, old in product(REMEDIES, ("old_1", "old_2"))
    },
}  # fmt: skip
NEEDED = sorted(set().union(*NEEDS.values()))


def line(arm, condition):
    return judged(arm, condition, "csf", citation_recall=[1, 0, 0], canary=[0, 0, 1])


def test_all_lines_tell_all_effects_and_have_what_they_need():
    everything = effects(*(line(*one) for one in NEEDED))
    assert set(everything) == set(NEEDS)
    assert set(NEEDED) <= set(lines_of())
    assert all(found["unit"] == "share" and found["n"] == 3 for found in everything.values())
    json.dumps(everything, allow_nan=False)


@pytest.mark.parametrize("missing", NEEDED, ids="/".join)
def test_an_effect_whose_line_is_missing_is_left_out(missing):
    found = effects(*(line(*one) for one in NEEDED if one != missing))
    assert set(found) == {name for name, needed in NEEDS.items() if missing not in needed}


def test_other_lines_tell_nothing():
    assert effects(line("prompt", "none"), line("raft", "none"), line("rag", "none")) == {}


def test_outcomes_that_are_not_defined_make_no_effect():
    """Without facts nobody knows what is confused, so H7 cannot be told; P6 can."""
    parts = [judged("rag", c, "scf") for c in ("old_2", "gold_similar", "gold")]
    rows = pd.concat(parts, ignore_index=True).assign(confused=np.nan)
    found = quantities(rows, profile("smoke", n_boot=100))
    assert list(found) == ["current_alone_minus_with_old"]
