import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ragft.claims import (
    VERDICTS,
    Claim,
    Measured,
    Row,
    counts,
    ledger,
    load_claims,
    table,
    verdict,
)
from ragft.cli import main, parser
from ragft.types import RagftError

ROOT = Path(__file__).parents[1]
ROW = {
    "id": "Z1",
    "group": "freshness",
    "article": "A",
    "claim": "an old index finds less",
    "figure": "-19 points",
    "quantity": "precision, old minus new",
    "measured": "precision_drop",
    "scope": "system",
    "effect": "difference",
    "direction": -1,
    "claimed": -0.19,
    "margin": 0.02,
    "unit": "points",
}
DROP = Claim(**ROW)
OPEN = replace(DROP, figure="", claimed=None)
RATIO = replace(DROP, effect="ratio", direction=1, claimed=3.2, margin=0.1, unit="ratio")
LEVEL = replace(DROP, effect="level", direction=0, claimed=0.97, margin=0.02, unit="share")


def between(low, high, **changes):
    return Measured((low + high) / 2, low, high, **{"n": 9, "model": "a/model", **changes})


# The verdict, worked out by hand


@pytest.mark.parametrize(
    ("claim", "low", "high", "expected"),
    [
        (DROP, -0.25, -0.15, "supported"),
        (DROP, -0.19, -0.18, "supported"),  # the figure is the interval's end
        (DROP, -0.15, -0.10, "direction only"),
        (DROP, -0.40, -0.30, "direction only"),  # far more than claimed misses the figure too
        (DROP, -0.30, 0.00, "undecided"),  # no effect is the interval's end
        (DROP, -0.30, 0.10, "undecided"),
        (DROP, 0.01, 0.10, "contradicted"),
        (DROP, -0.01, 0.01, "contradicted"),
        (DROP, -0.015, -0.005, "contradicted"),  # an effect, but so small that it counts as none
        (DROP, -0.02, 0.01, "undecided"),  # reaches the margin
        (replace(DROP, direction=1, claimed=0.19), 0.15, 0.25, "supported"),
        (replace(DROP, direction=1, claimed=0.19), -0.25, -0.15, "contradicted"),
        (replace(DROP, claimed=[-0.30, -0.20]), -0.21, -0.15, "supported"),
        (replace(DROP, claimed=[-0.30, -0.20]), -0.27, -0.25, "supported"),
        (replace(DROP, claimed=[-0.30, -0.20]), -0.19, -0.15, "direction only"),
        (OPEN, -0.10, -0.02, "supported"),
        (OPEN, -0.10, -0.01, "direction only"),  # an effect, perhaps below the margin
        (OPEN, -0.10, 0.01, "undecided"),
        (OPEN, -0.01, 0.01, "contradicted"),
        (OPEN, 0.03, 0.10, "contradicted"),
        (RATIO, 3.0, 3.5, "supported"),
        (RATIO, 1.2, 3.1, "direction only"),
        (RATIO, 0.0, 3.5, "undecided"),
        (RATIO, 0.95, 1.05, "contradicted"),
        (RATIO, 0.905, 0.915, "contradicted"),  # below 1, whatever the margin
        (RATIO, 0.0, 0.0, "contradicted"),
        (replace(RATIO, claimed=None), 1.1, 2.0, "supported"),
        (replace(RATIO, claimed=None), 1.05, 2.0, "direction only"),
        (replace(RATIO, direction=-1, claimed=0.73), 0.70, 0.80, "supported"),
        (replace(RATIO, direction=-1, claimed=None), 0.80, 0.90, "supported"),  # 0.9 < 1 / 1.1
        (replace(RATIO, direction=-1, claimed=None), 0.80, 0.95, "direction only"),
        (replace(RATIO, direction=-1, claimed=None), 1.20, 1.30, "contradicted"),
        (LEVEL, 0.96, 0.98, "supported"),
        (LEVEL, 0.90, 0.94, "contradicted"),
        (LEVEL, 0.995, 1.0, "contradicted"),
        (LEVEL, 0.90, 0.98, "undecided"),
        (LEVEL, 0.00, 1.00, "undecided"),  # holds the figure, and any other
        (replace(LEVEL, claimed=[0.80, 0.85], margin=0), 0.81, 0.84, "supported"),
        (replace(LEVEL, claimed=[0.80, 0.85], margin=0), 0.79, 0.84, "undecided"),
        (replace(LEVEL, direction=1), 0.98, 1.00, "supported"),
        (replace(LEVEL, direction=1), 0.90, 0.94, "contradicted"),
        (replace(LEVEL, direction=-1), 0.00, 0.10, "supported"),
        (replace(LEVEL, direction=-1), 0.98, 1.00, "undecided"),
        (replace(LEVEL, direction=-1, claimed=0.5), 0.98, 1.00, "contradicted"),
    ],
)
def test_the_rules(claim, low, high, expected):
    assert verdict(claim, between(low, high)) == expected


@pytest.mark.parametrize(
    ("scope", "model", "supported", "contradicted"),
    [
        ("system", "embedded", "supported", "contradicted"),
        ("system", "a/model", "supported", "contradicted"),
        ("mechanism", "a/model", "supported", "contradicted"),
        ("mechanism", "embedded", "direction only", "direction not seen here"),
        ("mechanism", "resident", "direction only", "direction not seen here"),
        ("model", "a/model", "supported", "contradicted"),
        ("model", "embedded", "by construction", "by construction"),
        ("model", "resident", "by construction", "by construction"),
    ],
)
def test_the_scope_caps_the_verdict(scope, model, supported, contradicted):
    claim = replace(DROP, scope=scope)
    assert verdict(claim, between(-0.25, -0.15, model=model)) == supported
    assert verdict(claim, between(0.15, 0.25, model=model)) == contradicted


def test_a_system_row_is_capped_where_another_shape_than_the_stated_was_measured():
    claim = replace(DROP, shape="7 B parameters")
    assert verdict(claim, between(-0.25, -0.15)) == "direction only"
    assert verdict(claim, between(0.15, 0.25)) == "direction not seen here"
    assert verdict(claim, between(-0.25, -0.15, stated_shape=True)) == "supported"


def test_what_is_not_measured_and_what_is_fixed():
    assert verdict(DROP, None) == "not measured yet"
    fixed = replace(DROP, verdict="by construction", why="the simulation sets it")
    assert verdict(fixed, None) == "by construction"
    assert verdict(fixed, between(-0.25, -0.15)) == "by construction"


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.1), (math.nan, 0.1), (0.1, math.nan)])
def test_an_interval_has_two_ends_in_order(low, high):
    with pytest.raises(RagftError, match="give two numbers, low first"):
        Measured(0.1, low, high)


# The verdict, for all numbers

# Nothing so close to 0 that another unit makes it 0.
NUMBERS = st.floats(-4, 4, allow_nan=False).map(lambda x: x if abs(x) > 1e-300 else 0.0)
INTERVALS = st.tuples(NUMBERS, NUMBERS).map(sorted)
MODELS = st.sampled_from(["embedded", "resident", "a/model"])
RULES = st.builds(
    lambda effect, direction, size, claimed, margin, scope, shape: replace(
        DROP,
        effect=effect,
        direction=direction,
        claimed=size if effect == "level" else direction * size if claimed else None,
        margin=margin,
        scope=scope,
        shape=shape,
    ),
    st.sampled_from(["difference", "level"]),
    st.sampled_from([-1, 1]),
    st.floats(0.01, 4),
    st.booleans(),
    st.floats(0.001, 1),
    st.sampled_from(["system", "mechanism", "model"]),
    st.sampled_from(["", "7 B parameters"]),
)
RATIOS = st.builds(
    lambda rule, size: replace(
        rule, effect="ratio", claimed=size if rule.direction > 0 else 1 / size, unit="ratio"
    ),
    RULES,
    st.floats(1.01, 8),
)
ANY = st.one_of(RULES, RATIOS)


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # most intervals decide
@given(ANY, INTERVALS, st.floats(0, 3), st.floats(0, 3), MODELS)
def test_widening_an_interval_never_decides_what_was_undecided(claim, ends, down, up, model):
    low, high = ends
    assume(verdict(claim, between(low, high, model=model)) == "undecided")
    assert verdict(claim, between(low - down, high + up, model=model)) == "undecided"


@given(RULES, INTERVALS, st.integers(-20, 20))
def test_the_unit_does_not_matter(claim, ends, power):
    k = 2.0**power  # exact, so that no rounding moves an end over a boundary
    claimed = None if claim.claimed is None else k * claim.claimed
    scaled = replace(claim, claimed=claimed, margin=k * claim.margin)
    assert verdict(scaled, between(k * ends[0], k * ends[1])) == verdict(claim, between(*ends))


@given(RULES, INTERVALS)
def test_a_minus_b_is_judged_as_b_minus_a(claim, ends):
    claimed = None if claim.claimed is None else -claim.claimed
    turned = replace(claim, direction=-claim.direction, claimed=claimed)
    assert verdict(turned, between(-ends[1], -ends[0])) == verdict(claim, between(*ends))


@given(st.integers(-6, 6), st.integers(0, 6), st.integers(1, 6), st.floats(0.01, 1), st.booleans())
def test_a_over_b_is_judged_as_b_over_a(start, width, claimed, margin, has_figure):
    rule = replace(RATIO, margin=margin, claimed=2.0**claimed if has_figure else None)
    turned = replace(rule, direction=-1, claimed=2.0**-claimed if has_figure else None)
    low, high = 2.0**start, 2.0 ** (start + width)
    assert verdict(turned, between(1 / high, 1 / low)) == verdict(rule, between(low, high))


@given(ANY, INTERVALS, st.sampled_from(["embedded", "resident"]))
def test_a_model_of_this_package_neither_supports_nor_contradicts_a_mechanism(claim, ends, model):
    found = verdict(replace(claim, scope="mechanism"), between(*ends, model=model))
    assert found in ("direction only", "direction not seen here", "undecided")
    found = verdict(replace(claim, scope="model"), between(*ends, model=model))
    assert found == "by construction"


@given(ANY, INTERVALS, MODELS)
def test_a_cap_changes_how_far_a_verdict_goes_and_not_its_side(claim, ends, model):
    claim = replace(claim, scope="mechanism")
    full = verdict(replace(claim, scope="system", shape=""), between(*ends))
    capped = verdict(claim, between(*ends, model=model))
    assert full in VERDICTS and capped in VERDICTS
    sides = [{"supported", "direction only"}, {"contradicted", "direction not seen here"}]
    assert capped == full or {full, capped} in sides


# The rows

FRESHNESS = {
    "F1": ("precision_drop_60_days", "04_freshness_scikit-learn"),
    "F2": ("upkeep_share_of_cost", "04_freshness_drift"),
    "F3": ("nightly_gain_next_day", "04_freshness_drift"),
    "F4": ("stale_after_90_days", "04_freshness_scikit-learn"),
    "F5": ("crossing_share_changed", "04_freshness_scikit-learn"),
    "F6": ("continued_minus_scratch", "04_freshness_drift"),
    "F7": ("forgetting_after_updates", "04_freshness_drift"),
    "F9": ("swap_loss_without_retraining", "04_base_swap"),
    "F10": ("still_finetuned_minus_rag", "04_freshness_drift"),
    "H15": ("flips_after_refresh", "04_freshness_drift"),
    "H16": ("correction_collateral_adapter_minus_index", "04_corrections"),
    "T11": ("answered_after_deletion_adapter_minus_index", "04_freshness_drift"),
}
HALLUCINATION = {
    "05_hallucination": "H1 H7 H13 X1 P4 P6 P10 P12",
    "05_probes": "H3 H6 H10 H11 H14 P9",
    "05_teaching": "H4 H9 H12 T6 X4",
    "05_measures": "M1",
}


LATENCY = {"06_latency": "L1 L2 L4 L6", "06_throughput": "L3", "06_caching": "L8"}
GPU = {"gpu_memory": "L5", "gpu_training": "T1 T2 T10"}
RETRIEVAL = {
    "02_collections": "R1 R2",
    "02_collections_chunking": "R3",
    "02_collections_layouts": "R6",
    "02_answers": "R5 R7",
    "02_domains": "R4",
}
BEHAVIOUR = {"08_behaviour": "L7 T9 B1 B2 B3 B4 B5 B6"}
FINETUNING = {
    "03_forgetting": "T3 T4 P5",
    "03_knowledge": "H2 H5 H8 T7 P1 P2 P11 P13",
    "03_known": "P3 P8",
    "03_curating": "T5",
    "03_memorisation": "T8",
}


def test_the_rows_of_the_package_are_sound():
    claims = load_claims()
    names = [claim.measured for claim in claims if claim.measured]
    assert len(set(names)) == len(names)
    recorded = {c.id: (c.measured, c.record) for c in claims if c.record}
    listed = HALLUCINATION | LATENCY | GPU | RETRIEVAL | BEHAVIOUR | FINETUNING
    others = {i: record for record, ids in listed.items() for i in ids.split()}
    assert {i: recorded.pop(i)[1] for i in others} == others and recorded == FRESHNESS
    model = {claim.id for claim in claims if claim.scope == "model"}
    assert model == {*(f"H{n}" for n in range(1, 8)), "P4", "P6", "P10", "P12"}
    assert {c.id for c in claims if c.judged_on == "packages"} == {"F1", "F4", "F5"}
    assert [c.id for c in claims if c.verdict == "not testable here"] == ["N1"]
    texts = [text for c in claims for text in (c.claim, c.figure, c.quantity)]
    assert not [text for text in texts if "|" in text], "a bar would split a table's cell"


def test_no_claim_of_the_list_has_left_the_ledger():
    source = ROOT.parent / "shared" / "CLAIMS.md"
    if not source.is_file():
        pytest.skip("../shared/CLAIMS.md, the list of claims, is not beside the repository")
    listed = re.findall(r"^\| ([A-Z]\d+) \|", source.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) > 80
    assert [claim.id for claim in load_claims()] == listed


def write_rows(tmp_path, *rows):
    path = tmp_path / "rows.yaml"
    path.write_text(yaml.safe_dump(list(rows)), encoding="utf-8")
    return path


def test_a_sound_row_is_read(tmp_path):
    changed = [{"date": "2026-01-02", "reason": "the margin was too wide"}]
    text = yaml.safe_dump([ROW | {"id": "Z2", "changed": changed}]).replace("'2026", "2026")
    (tmp_path / "rows.yaml").write_text(text.replace("02'", "02"))
    (claim,) = load_claims(tmp_path / "rows.yaml")
    assert (claim.id, claim.claimed, claim.span) == ("Z2", -0.19, (-0.19, -0.19))
    assert Row(claim, None, "undecided", "").to_dict()["changed"] == changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, "row 2 .*: id is ''; give a text that is not empty"),
        ({"id": 7}, r"row 2 \(7\): id is 7"),
        ({"claim": None}, r"row 2 \(Z2\): claim is None; give a text that is not empty"),
        ({"figure": None}, "figure is None; give a text, '' for none"),
        ({"scope": "world"}, "scope is 'world'; give one of 'system', 'mechanism'"),
        ({"effect": "slope"}, "effect is 'slope'; give one of 'difference', 'ratio', 'level'"),
        ({"direction": 2}, "direction is 2; give one of 1, -1, 0"),
        ({"direction": True}, "direction is True"),
        ({"direction": 0}, "direction is 0; give 1 or -1"),
        ({"claimed": "-19 %"}, "claimed is '-19 %'; give a number, a range"),
        ({"claimed": [-0.1, -0.2]}, r"claimed is \[-0.1, -0.2\]; give a number, a range"),
        ({"claimed": True}, "claimed is True"),
        ({"claimed": math.nan}, "claimed is nan"),
        ({"claimed": 0.19}, "claimed is 0.19; give an effect on the side of the direction, -1"),
        ({"claimed": [-0.1, 0.1]}, "claimed is .*on the side of the direction"),
        ({"effect": "ratio", "claimed": 1.5}, "claimed is 1.5; give an effect on the side"),
        ({"effect": "level", "claimed": None}, "claimed is None; give the level"),
        ({"margin": -0.1}, "margin is -0.1; give a number from 0 up"),
        ({"margin": None}, "margin is None; give a number above 0"),
        ({"margin": 0}, "margin is 0; give a number above 0"),
        ({"unit": "furlongs"}, "unit is 'furlongs'; give one of 'points', 'share'"),
        ({"unit": ""}, "unit is ''; give what the record gives"),
        ({"measured": None}, "measured is None; give what the record gives"),
        ({"record": ""}, "record is ''; give a name or null"),
        ({"judged_on": "worlds"}, "judged_on is 'worlds'; give one of '', 'packages'"),
        ({"verdict": "supported"}, "verdict is 'supported'; give one of None, 'by construction'"),
        ({"verdict": "by construction"}, "why is ''; give the reason of the fixed verdict"),
        ({"verdict": "not testable here", "why": "x"}, "verdict is .*with the scope 'none'"),
        ({"scope": "none"}, "verdict is None; give 'not testable here' with the scope 'none'"),
        ({"effect": "none"}, "measured is 'precision_drop'; give null, or an effect other"),
        ({"changed": "2026-01-02"}, "changed is '2026-01-02'; give a list of {date"),
        ({"changed": [{"date": "soon", "reason": "x"}]}, "changed is .*give a list of {date"),
        ({"colour": "red"}, "unknown field 'colour'; there are id, group"),
        ({"id": "Z1"}, "Z1 stands there twice"),
    ],
)
def test_a_broken_row_is_named_with_its_field(changes, message, tmp_path):
    path = write_rows(tmp_path, ROW, ROW | {"id": "Z2"} | changes)
    with pytest.raises(RagftError, match=message):
        load_claims(path)


def test_missing_fields_rows_and_files_are_named(tmp_path):
    with pytest.raises(RagftError, match=r"row 1 \(Z1\): the field 'margin' is missing"):
        load_claims(write_rows(tmp_path, {k: v for k, v in ROW.items() if k != "margin"}))
    with pytest.raises(RagftError, match="row 1: 'F1' is no row of fields"):
        load_claims(write_rows(tmp_path, "F1"))
    with pytest.raises(RagftError, match="holds no list of rows"):
        load_claims(write_rows(tmp_path))
    (tmp_path / "bad.yaml").write_text("- id: [")
    with pytest.raises(RagftError, match=r"bad\.yaml: cannot be read as YAML"):
        load_claims(tmp_path / "bad.yaml")
    with pytest.raises(RagftError, match=r"none\.yaml: cannot be read as YAML"):
        load_claims(tmp_path / "none.yaml")


# The ledger

QUANTITY = {"mean": 0.04, "low": 0.03, "high": 0.06, "n": 40, "seeds": 5, "unit": "points"}


def record(quantities, *, profile="cpu", timeline="world (subjects=500)"):
    return {
        "date": "2026-01-02T03:04:05+00:00",
        "parameters": {"timeline": timeline},
        "profile": {"name": profile, "model": "embedded"},
        "results": {"quantities": quantities},
    }


def row_of(folder, row_id):
    return {row.claim.id: row for row in ledger(folder)}[row_id]


def put(folder, content, name="04_freshness_drift"):
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_row_carries_what_was_measured_and_where(tmp_path):
    found = row_of(put(tmp_path, record({"still_finetuned_minus_rag": QUANTITY})), "F10")
    told = found.to_dict()
    assert {k: told[k] for k in ("measured", "low", "high", "n", "seeds", "claimed", "unit")} == {
        "measured": 0.04, "low": 0.03, "high": 0.06, "n": 40, "seeds": 5, "claimed": 0.042,
        "unit": "points",
    }  # fmt: skip
    assert (told["model"], told["date"]) == ("embedded", "2026-01-02")
    assert (told["corpus"], told["scope"]) == ("world (subjects=500)", "mechanism")
    assert (told["verdict"], told["reason"]) == ("direction only", "")
    assert (told["record"], told["figure_file"]) == (
        "04_freshness_drift", "figures/04_freshness_drift.png",
    )  # fmt: skip
    assert found.shown == "4.0 [3.0, 6.0] points"


def test_a_quantity_may_name_another_model_corpus_and_its_arms(tmp_path):
    own = QUANTITY | {"model": "a/model", "corpus": "packages:networkx", "arms": ["rag", "prompt"]}
    told = row_of(put(tmp_path, record({"still_finetuned_minus_rag": own})), "F10").to_dict()
    assert told["verdict"] == "supported" and told["corpus"] == "packages:networkx"
    assert told["arms"] == ["rag", "prompt"]


@pytest.mark.parametrize(
    ("quantities", "options", "reason"),
    [
        ({"still_finetuned_minus_rag": QUANTITY}, {"profile": "smoke"}, "is of a smoke run"),
        ({}, {}, "has no quantity 'still_finetuned_minus_rag'"),
        (
            {"still_finetuned_minus_rag": QUANTITY | {"low": None}},
            {},
            "the interval of 'still_finetuned_minus_rag' is undefined (n = 40)",
        ),
        (
            {"still_finetuned_minus_rag": QUANTITY | {"mean": math.nan}},
            {},
            "the interval of 'still_finetuned_minus_rag' is undefined (n = 40)",
        ),
        (
            {"still_finetuned_minus_rag": QUANTITY | {"unit": "days"}},
            {},
            "'still_finetuned_minus_rag' is in days, the row is in points",
        ),
        (
            {"still_finetuned_minus_rag": {"mean": 0.04, "low": 0.03, "high": 0.06}},
            {},
            "lacks n, seeds, unit",
        ),
    ],
)
def test_what_a_record_does_not_hold_is_not_measured_and_says_why(
    quantities, options, reason, tmp_path
):
    found = row_of(put(tmp_path, record(quantities, **options)), "F10")
    assert found.verdict == "not measured yet" and reason in found.reason
    told = found.to_dict()
    assert [told[k] for k in ("measured", "low", "high", "n", "model")] == [None] * 5
    assert found.shown == "–"


def test_records_that_are_not_there(tmp_path):
    rows = {row.claim.id: row for row in ledger(tmp_path)}
    assert rows["F10"].reason == "the record 04_freshness_drift.json is not there"
    assert rows["L9"].reason == "no experiment measures it yet"
    assert "business" in rows["N1"].reason and rows["N1"].verdict == "not testable here"
    found = counts(list(rows.values()))
    assert list(found) == list(VERDICTS) and sum(found.values()) == len(rows)
    assert found["not measured yet"] == len(rows) - 2


def test_shares_and_points_are_one_scale(tmp_path):
    share = QUANTITY | {"unit": "share"}
    assert row_of(put(tmp_path, record({"still_finetuned_minus_rag": share})), "F10").measured


def test_rows_on_change_rates_nobody_chose_are_not_judged_on_a_made_up_world(tmp_path):
    quantities = {"stale_after_90_days": QUANTITY | {"low": 0.2, "high": 0.4, "unit": "share"}}
    found = row_of(put(tmp_path, record(quantities), "04_freshness_scikit-learn"), "F4")
    assert found.measured is None and "made-up world" in found.reason
    real = record(quantities, timeline="packages:scikit-learn")
    found = row_of(put(tmp_path, real, "04_freshness_scikit-learn"), "F4")
    assert found.verdict == "direction only"


def test_a_folder_that_is_not_there_and_a_damaged_record_are_named(tmp_path):
    with pytest.raises(RagftError, match="none: no such folder"):
        ledger(tmp_path / "none")
    (tmp_path / "04_freshness_drift.json").write_text('{"date": ')
    with pytest.raises(RagftError, match=r"04_freshness_drift\.json: is no record"):
        ledger(tmp_path)


@pytest.mark.parametrize(
    ("unit", "shown"),
    [("share", "25.0 [20.0, 30.0] %"), ("ratio", "0.25 [0.2, 0.3] times"),
     ("seconds", "0.25 [0.2, 0.3] seconds")],
)  # fmt: skip
def test_numbers_are_shown_in_their_unit(unit, shown):
    assert Row(replace(LEVEL, unit=unit), Measured(0.25, 0.2, 0.3), "undecided", "").shown == shown


# The command


def test_the_command_prints_json_alone(tmp_path, capsys):
    put(tmp_path, record({"still_finetuned_minus_rag": QUANTITY}))
    assert main(["claims", "--json", "--records", str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [claim.id for claim in load_claims()]
    assert [row["id"] for row in rows if row["measured"] is not None] == ["F10"]


def test_the_command_prints_groups_and_counts(tmp_path, capsys):
    put(tmp_path, record({"still_finetuned_minus_rag": QUANTITY}))
    assert main(["claims", "--records", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    groups = table(ledger(tmp_path))
    assert list(groups)[:2] == ["freshness", "truthfulness"]
    assert [line for line in text.splitlines() if line in groups] == list(groups)
    assert re.search(r"^F10 .* 4\.0 \[3\.0, 6\.0\] points +40 +direction only$", text, re.MULTILINE)
    assert text.rstrip().endswith("1 by construction, 1 not testable here, 85 not measured yet")


def test_the_command_explains_itself_and_names_a_missing_folder(tmp_path, capsys):
    assert main(["claims", "--records", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser().parse_args(["claims", "--help"])
    assert "usage: ragft claims" in capsys.readouterr().out
