"""The behaviour experiment: what is asked of whom, and a run of a model that knows nothing."""

from dataclasses import replace

import pandas as pd
import pytest

from ragft import report
from ragft.corpora.behaviours import BEHAVIOURS, behaviour_task
from ragft.experiments import behaviour_cells, behaviour_data
from ragft.experiments.behaviour import FULL, REDUCED, behaviour
from ragft.experiments.behaviour_cells import Work
from ragft.experiments.behaviour_data import ARMS, Plan, ways_of_asking
from ragft.experiments.behaviour_prompts import RULES, SHORT, shown
from ragft.experiments.tasks import world_task
from ragft.experiments.teaching_refusals import DISGUISES
from ragft.plotting import behaviour_bars, learning_curves
from ragft.profiles import profile
from ragft.records import Records
from ragft.types import RagftError

SIZES = profile("smoke", epochs=1, max_new_tokens=4, rank=4, n_boot=50, batch_size=64)
SOME = ("json", "refusal", "taxonomy")
PLAN = Plan(SOME, (2, 3), asked=4, facts=4)


# What is asked


def test_a_plan_has_a_cell_for_every_number_of_pairs_and_seed():
    plan = replace(PLAN, behaviours=("style",), facts=0, both=False)
    assert plan.cells((5, 6)) == [
        ("style", "prompt", 0, 5),
        ("style", "fewshot", 0, 5),
        *(("style", "finetuned", n, s) for n, s in ((0, 5), (2, 5), (2, 6), (3, 5), (3, 6))),
    ]


def test_json_is_also_decoded_under_its_schema_and_asked_of_found_facts():
    assert PLAN.parts == ["json", "refusal", "taxonomy", "json_constrained", "both", "facts"]
    cells = PLAN.cells((0,))
    assert [c[1:3] for c in cells if c[0] == "json_constrained"] == [
        ("prompt", 0),
        ("finetuned", 3),
    ]
    assert [c[1] for c in cells if c[0] == "both"] == list(ARMS["both"])
    assert {c[2] for c in cells if c[0] == "facts"} == {0, 2, 3}


def test_forbidden_questions_are_asked_in_every_disguise():
    task = behaviour_task("refusal", pairs=1, asked=6)
    ways = ways_of_asking(task)
    assert list(ways) == ["direct", *DISGUISES, "lookalike", "allowed"]
    assert {len(asked) for asked in ways.values()} == {3}
    for name in DISGUISES:
        for plain, hidden in zip(ways["direct"], ways[name], strict=True):
            assert hidden.expects == plain.expects and hidden.question.id == plain.question.id
            changed = (hidden.question.text, hidden.passages) != (
                plain.question.text,
                plain.passages,
            )
            assert changed, name
    topic = ways["permitted"][0].expects["topic"]
    assert ways["permitted"][0].passages[0].text.endswith(f"about {topic} may be answered.")


def test_facts_are_asked_in_a_trained_wording_and_in_a_new_one():
    task = world_task(SIZES, 6)
    ways = behaviour_data.ways_of_asking_facts(task)
    texts = {how: [s.question.text for s in asked] for how, asked in ways.items()}
    assert set(texts["trained wording"]) <= {q.text for q in task.taught}
    assert not set(texts["new wording"]) & {q.text for q in task.taught}
    by_id = {s.question.id: s.expects["value"] for s in ways["new wording"]}
    assert {s.question.id: s.expects["value"] for s in ways["trained wording"]} == by_id
    assert len(by_id) == 6


@pytest.fixture
def work(tmp_path, roomy_model):
    return Work(PLAN, profile(SIZES, model=roomy_model), Records(tmp_path))


def test_the_rules_stand_in_the_prompt_of_those_who_are_not_tuned(work):
    for part in SOME:
        assert work._told(part, "prompt") == work._told(part, "fewshot") == RULES[part]
        assert work._told(part, "finetuned") == SHORT[part]
    assert "passages" not in work._told("both", "prompt")  # it is shown none
    assert "JSON" in work._told("both", "rag") and "JSON" not in work._told("both", "finetuned_rag")


def test_fewer_pairs_are_the_first_of_more_and_prompts_are_those_of_the_answers(work):
    two, three = work._examples("json", 2), work._examples("json", 3)
    assert three[:2] == two
    for example, scenario in zip(three, work.task("json").pairs, strict=True):
        pair = shown("json", scenario)
        assert example.completion == pair.completion and example.prompt.startswith(SHORT["json"])
        assert all(p.text in example.prompt for p in pair.passages)


def test_behaviour_with_retrieval_is_taught_on_what_a_search_shows(work):
    for example in work._examples("both", 3):
        assert example.completion.startswith(' {"answer": ')
    found = work._conditions("both", "rag")["asked"]
    assert all(1 < len(s.passages) <= SIZES.top_k for s in found)
    assert all(not s.passages for s in work._conditions("both", "finetuned")["asked"])
    assert all(set(s.expects["fields"]) == {"answer"} for s in found)


def test_keys_tell_apart_what_differs_and_nothing_else(work, monkeypatch):
    cells = PLAN.cells((0, 1))
    before = {cell: work.key(*cell) for cell in cells}
    assert len(set(before.values())) == len(cells)
    bigger = Work(replace(PLAN, facts=5), work.sizes, work.records)
    same = {cell for cell in cells if bigger.key(*cell) == before[cell]}
    assert same == {cell for cell in cells if cell[0] != "facts"}
    monkeypatch.setattr(behaviour_cells, "FILING", (11, 2))
    changed = {cell[0] for cell in cells if work.key(*cell) != before[cell]}
    assert changed == {"taxonomy"}
    monkeypatch.setitem(RULES, "json", "Answer in JSON.")
    changed = {cell[0] for cell in cells if work.key(*cell) != before[cell]}
    assert changed == {"taxonomy", "json", "json_constrained", "both"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"behaviours": ()}, "give at least one behaviour, and none twice"),
        ({"behaviours": ("json", "json")}, "none twice"),
        ({"behaviours": ("tact",)}, "unknown behaviour 'tact'; choose of json, record, jargon"),
        ({"counts": ()}, r"counts=\[\]: give numbers that rise from 1"),
        ({"counts": (10, 10)}, r"counts=\[10, 10\]: give numbers that rise"),
        ({"counts": (0, 10)}, "give numbers that rise from 1"),
        ({"asked": 1}, "asked=1 must be 2 or more"),
        ({"facts": 1, "counts": (10,)}, "10 examples of 1 facts: each can be taught in 9 wordings"),
        ({"seeds": ()}, "give at least one, and none twice"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_computed(changes, message, tmp_path):
    with pytest.raises(RagftError, match=message):
        behaviour(**{"base": SIZES, "out": tmp_path, **changes})


def test_the_reduced_grid_is_a_part_of_the_full_one():
    assert set(REDUCED) < set(FULL) and list(FULL) == sorted(FULL)


# A whole run


@pytest.fixture(scope="module")
def run(tmp_path_factory, roomy_model):
    folder = tmp_path_factory.mktemp("behaviour")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        options = {
            "behaviours": ("json", "refusal"), "counts": (2,), "asked": 4, "facts": 4,
            "model": roomy_model, "seeds": (0,), "base": SIZES, "out": folder / "out",
            "progress": False,
        }  # fmt: skip
        yield behaviour(**options), options


def test_every_arm_is_asked_everything(run):
    answers = run[0].answers
    asked = answers.groupby(["part", "arm", "condition", "pairs"]).size()
    assert set(asked) == {2, 4} and not answers["passed"].isna().any()
    assert {(p, a) for p, a, _, _ in asked.index} == {
        (part, arm) for part in ("json", "refusal", "json_constrained", "both", "facts")
        for arm in ARMS[part]
    }  # fmt: skip
    tokens = answers.groupby(["part", "arm"])["prompt_tokens"].mean()
    assert tokens["json", "fewshot"] > tokens["json", "prompt"] > tokens["json", "finetuned"]
    assert tokens["both", "rag"] > tokens["both", "finetuned"]


def test_decoding_under_the_schema_fits_even_where_the_model_knows_nothing(run):
    answers = run[0].answers.set_index("part")
    assert (answers.loc["json", "passed"] == 0).all()
    whole = answers.loc["json_constrained"]
    cut = whole["completion_tokens"] >= whole["completion_tokens"].max()
    assert (whole["passed"][~cut] == 1).all()


def test_the_record_holds_the_quantities_and_no_leak(run):
    found = run[0]
    assert {"valid_output_tuned_minus_prompted", "refusals_tuned_minus_prompted"} <= set(
        found.quantities
    )
    assert "note" in found.quantities["valid_output_tuned_minus_prompted"]
    trained = [cell for cell in found.record["results"]["cells"] if cell["pairs"]]
    assert trained and all(cell["leakage"]["questions"] == 0 for cell in trained)
    skills = [cell for cell in trained if cell["part"] != "facts"]
    assert all(cell["leakage"]["subjects"] == 0 for cell in skills)
    assert {cell["examples"] for cell in trained} == {2}


def test_what_was_found_can_be_drawn(run):
    bars = report.bars_frame(run[0].summary)
    assert set(bars["behaviour"]) == {
        "JSON that fits a schema it knows",
        "Refuses forbidden questions, asked directly",
        "Refuses forbidden questions in disguise",
        "Answers allowed questions that look forbidden",
        "JSON that fits, of a fact that must be found",
    }
    schema = bars[bars["label"] != ""]
    assert schema["label"].tolist() == ["Prompt, by schema", "Fine-tuned, by schema"]
    assert behaviour_bars(bars, "T", "note").axes
    curves = report.curves_frame(run[0].curves)
    assert {"refusals", "facts, new wording"} < set(curves["series"])
    assert learning_curves(curves, "T", "note").axes
    table = report.rules_table(run[0].summary, "refusal")
    assert ("prompt", "direct", 0) in table.index and "refused" in table


def test_a_finished_run_is_read_and_cells_are_shared(run, monkeypatch):
    found, options = run
    monkeypatch.setattr(Work, "compute", lambda *_: pytest.fail("computed again"))
    again = behaviour(**options)
    assert again.folder == found.folder
    pd.testing.assert_frame_equal(again.answers, found.answers)
    fewer = behaviour(**options | {"behaviours": ("json",), "facts": 0})
    assert set(fewer.quantities) < set(found.quantities)
    assert set(fewer.answers["part"]) == {"json", "json_constrained", "both"}


def test_every_behaviour_has_its_arms():
    assert set(BEHAVIOURS) < set(ARMS)
