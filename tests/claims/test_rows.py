import math
import re
from pathlib import Path

import pytest
import yaml

from ragft.claims import Row, load_claims
from ragft.types import RagftError
from tests.claims.samples import ROW

ROOT = Path(__file__).parents[2]
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


LATENCY = {
    "06_latency": "L1 L2 L4 L6",
    "06_throughput": "L3",
    "06_caching": "L8",
    "06_filing": "L7",
}
GPU = {"gpu_memory": "L5", "gpu_training": "T1 T2 T10"}
RETRIEVAL = {
    "02_collections": "R1 R2",
    "02_collections_chunking": "R3",
    "02_collections_layouts": "R6",
    "02_answers": "R5 R7",
    "02_domains": "R4",
}
BEHAVIOUR = {"08_behaviour": "T9 B1 B2 B3 B4 B6", "08_taxonomy": "B5"}
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
    assert model == {*(f"H{n}" for n in (*range(1, 8), 10)), "B2", "P4", "P6", "P10", "P12"}
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
