"""What reaches the weights: what is taught and asked, the effects by hand, and one small run."""

import math

import pandas as pd
import pytest

from ragft import report
from ragft.corpora.relations import BY_NAME, UNSEEN
from ragft.experiments.knowledge import knowledge
from ragft.experiments.knowledge_cells import REWORDED, STORED, Plan, Work
from ragft.experiments.knowledge_data import (
    FORMS,
    NEW,
    TRAINED,
    UNLIKE,
    one_wording,
    stored_task,
    stored_texts,
    topic_first,
    ways_of_asking,
)
from ragft.experiments.knowledge_effects import doses, quantities
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.records import Records
from ragft.types import Question, RagftError

SIZES = profile("smoke", n_boot=100)


# What is taught and asked


def test_every_form_asks_for_the_same_facts_in_the_same_order():
    task = world_task(profile("smoke", wordings=2), 6)
    forms = ways_of_asking(task)
    assert tuple(forms) == FORMS
    assert len({tuple(q.id for q in asked) for asked in forms.values()}) == 1
    assert all(a.answers == b.answers for a, b in zip(forms[NEW], forms["casual"], strict=True))
    trained = {q.text for q in task.taught}
    assert {q.text for q in forms[TRAINED]} <= trained
    for form in UNLIKE:
        assert not {q.text for q in forms[form]} & trained


def test_a_fact_that_is_never_taught_has_no_trained_form():
    task = world_task(profile("smoke", wordings=1), 3)
    with pytest.raises(RagftError, match="is asked but never taught"):
        ways_of_asking(type(task)(task.name, task.corpus, task.day, task.asked))


def test_the_topic_comes_first_and_once():
    asked = Question("q", "Where does Tarmo keep Tarmo's gate?", subject="Tarmo")
    assert topic_first(asked) == "About Tarmo: where does it keep it's gate?"


def test_one_wording_is_the_first_of_each_fact():
    two = [Question(i, f"{i} {n}?") for n in range(2) for i in ("a", "b")]
    assert [q.text for q in one_wording(two)] == ["a 0?", "b 0?"]


@pytest.mark.parametrize("relations", ["unseen", "seen"])
def test_stored_facts_are_never_taught_as_questions(relations):
    task = stored_task(relations, 6, 2)
    subjects = {q.subject for q in task.asked}
    assert len(task.asked) == len(subjects) == 6
    assert not subjects & {q.subject for q in task.taught}
    assert {q.id for q in task.taught} == {q.id for q in task.others}
    assert len(task.taught) == 2 * len(task.others)
    unseen = {relation.name for relation in UNSEEN}
    assert ({q.relation for q in task.asked} <= unseen) == (relations == "unseen")


def test_texts_of_both_halves_are_stored_in_as_many_wordings_as_asked():
    task = stored_task("unseen", 5, 1)
    once, thrice = stored_texts(task, 1), stored_texts(task, 3)
    assert (len(once), len(thrice)) == (10, 30)
    said = {}
    for example in thrice:
        said.setdefault(example.subject, set()).add(example.prompt + example.completion)
    assert {len(texts) for texts in said.values()} == {3}
    last = {r.name: r.wordings("statements", "held_out") for r in UNSEEN}
    held_out = {
        w.format(s=f.subject, v=f.value) for f in task.corpus.facts for w in last[f.relation]
    }
    assert not held_out & {text for texts in said.values() for text in texts}
    assert all(len(BY_NAME[r.name].wordings("statements", "training")) >= 5 for r in UNSEEN)


# The effects


def rows(part, right, *, form=NEW, copies=0, seed=0, **more):
    """Return a row a question: whether its answer was right."""
    names = [f"q{i}" for i in range(len(right))]
    frame = pd.DataFrame({"question_id": names, "cluster": names, "accuracy": map(float, right)})
    frame = frame.assign(part=part, condition=form, copies=copies, seed=seed)
    return frame.assign(hallucination=1 - frame["accuracy"]).assign(**more)


def told(*frames, notes=()):
    return quantities(pd.concat(frames, ignore_index=True), notes, SIZES)


def forms(part, trained, others):
    return [rows(part, trained, form=TRAINED)] + [rows(part, others, form=f) for f in UNLIKE]


def test_a_gain_in_the_trained_form_is_set_against_the_gain_in_all_others():
    base = forms("prompt", [0, 0, 0, 1], [0, 0, 0, 0])
    tuned = forms("qa", [1, 1, 1, 1], [1, 1, 0, 0])
    found = told(*base, *tuned)
    # gained 3 of 4 in the trained form, 2 of 4 in the others
    assert found["gain_in_minus_out_of_distribution"]["mean"] == pytest.approx(0.25)
    assert found["trained_format_minus_other_several_wordings"]["mean"] == pytest.approx(0.5)
    assert "trained_format_minus_other" not in found
    assert found["gain_of_tuning"]["mean"] == pytest.approx(0.5)


def test_half_of_the_forms_is_no_mean_over_forms():
    found = told(rows("qa_1", [1, 1], form=TRAINED), rows("qa_1", [0, 0], form="casual"))
    assert "trained_format_minus_other" not in found


def test_gains_of_tuning_and_of_retrieval():
    found = told(
        rows("prompt", [0, 0, 0, 0]),
        rows("qa", [1, 1, 0, 0]),
        rows("rag", [1, 1, 1, 0]),
        rows("both", [1, 1, 1, 1]),
        rows("raw", [0, 0, 0, 1]),
        rows("reworded", [0, 0, 1, 1]),
    )
    expected = {
        "domain_accuracy_finetuned_minus_rag": -0.25,
        "rag_on_top_of_tuning": 0.5,
        "gain_of_rag": 0.75,
        "both_minus_rag": 0.25,
        "new_facts_rag_minus_tuned": 0.25,
        "paraphrases_minus_raw_text": 0.25,
        "raw_text_minus_base": 0.25,
        "accuracy_of_raw": 0.25,
    }
    assert {name: found[name]["mean"] for name in expected} == pytest.approx(expected)


def test_hallucination_is_a_ratio_over_the_same_questions_with_seeds_averaged():
    many = [0] * 8 + [1] * 2
    found = told(
        rows("prompt", many),  # 8 of 10 wrong
        rows("qa", [0] * 4 + [1] * 6, seed=0),  # 4 of 10
        rows("qa", [0] * 2 + [1] * 8, seed=1),  # 2 of 10
    )
    one = found["hallucination_finetuned_over_base"]
    assert one["mean"] == pytest.approx(0.3 / 0.8) and one["unit"] == "ratio"


def test_stored_in_the_most_wordings_against_one():
    stored = [rows(STORED, right, copies=n) for n, right in ((1, [0, 0]), (2, [1, 0]), (5, [1, 1]))]
    assert told(*stored)["several_wordings_minus_one"]["mean"] == 1
    assert "several_wordings_minus_one" not in told(*stored[1:])


def test_the_slope_is_that_of_a_straight_line_over_the_logarithm():
    notes = [{"part": REWORDED, "copies": n, "text_tokens": 100 * n} for n in (1, 10, 100)]
    right = {1: [0, 0, 0, 0], 10: [1, 0, 0, 0], 100: [1, 1, 0, 0]}
    frames = [rows(REWORDED, one, copies=n) for n, one in right.items()]
    found = told(*frames, notes=notes)["accuracy_per_tenfold_tokens"]
    assert found["mean"] == pytest.approx(0.25)
    assert found["note"].startswith("100, 1,000, 10,000 tokens")
    lines = doses(pd.concat(frames), notes, SIZES)
    assert [(row["x"], row["mean"]) for row in lines["tokens"]] == [
        (100, 0), (1000, 0.25), (10000, 0.5),
    ]  # fmt: skip
    assert lines["wordings"] == []


def test_a_single_number_of_rewordings_has_no_slope():
    notes = [{"part": REWORDED, "copies": 1, "text_tokens": 100}]
    found = told(rows(REWORDED, [0, 1], copies=1), notes=notes)
    assert "accuracy_per_tenfold_tokens" not in found


# The cells


def test_keys_tell_parts_copies_and_seeds_apart(tmp_path):
    plan = Plan(("prompt", "rag", "qa", "both"), 4, (1, 2), (1, 2))
    work = Work(plan, profile("smoke"), Records(tmp_path))
    cells = plan.cells((0, 1))
    assert len(cells) == 2 + 2 * 2 + 4 * 2
    keys = [work.key(*cell) for cell in cells]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"parts": ("qa", "qa")}, "none twice"),
        ({"parts": ("qa", "nonsense")}, "unknown part 'nonsense'; choose of prompt, rag"),
        ({"wordings": (2, 1)}, r"wordings=\[2, 1\]: give numbers that rise from 1"),
        ({"copies": (0,)}, "rise from 1"),
        ({"facts": 1}, "facts=1 must be 2 or more"),
        ({"parts": (), "wordings": (), "copies": ()}, "with parts, wordings or copies"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, told, tmp_path):
    with pytest.raises(RagftError, match=told):
        knowledge(**options, base="smoke", out=tmp_path, progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("knowledge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(place / "cache"))
        sizes = {"wordings": (1, 2), "copies": (1, 2), "facts": 4, "seeds": (0,)}
        yield knowledge(**sizes, base="smoke", out=place / "results", progress=False)


def test_a_run_asks_every_part_in_its_forms(run):
    asked = run.summary[run.summary["measure"] == "accuracy"]
    counts = asked.groupby(["part", "copies"])["condition"].nunique().to_dict()
    many = dict.fromkeys(("prompt", "rag", "qa", "qa_1"), 5)
    few = dict.fromkeys(("both", "raw", "reworded"), 1)
    expected = {(part, 0): n for part, n in (many | few).items()}
    expected |= {(part, n): 1 for part in (STORED, REWORDED) for n in (1, 2)}
    assert counts == expected
    assert set(asked["n"]) == {4}
    assert list(run.wordings["x"]) == [1, 2]
    assert run.tokens["x"].is_monotonic_increasing


def test_the_effects_of_a_run_are_there_and_finite(run):
    assert len(run.quantities) == 23
    assert all(math.isfinite(one["mean"]) for one in run.quantities.values())
    cells = {(c["part"], c["copies"]): c for c in run.record["results"]["cells"]}
    assert "leakage" not in cells["prompt", 0]
    stored = [cells[STORED, n] for n in (1, 2)]
    assert [cell["leakage"]["questions"] for cell in stored] == [0, 0]
    assert stored[0]["steps"] == stored[1]["steps"]
    assert stored[1]["text_tokens"] > stored[0]["text_tokens"]


def test_a_table_has_a_column_a_form_and_a_dash_where_nothing_was_asked(run):
    table = report.accuracy_table(run.summary, ["part", "copies"])
    assert list(table.columns) == list(FORMS)
    assert table.loc[("raw", 0), "casual"] == "–"
    mine = run.summary[(run.summary["part"] == "rag") & (run.summary["condition"] == NEW)]
    right = mine[mine["measure"] == "accuracy"]["mean"].item()
    assert table.loc[("rag", 0), NEW].startswith(f"{100 * right:.1f} [")
