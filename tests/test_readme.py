import json
import re
from pathlib import Path

import pytest

from ragft.batch.grids import mark_full
from ragft.readme import fill, filled
from ragft.types import RagftError

ROOT = Path(__file__).parents[1]


def interval(mean):
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 9}


RECORD = {
    "date": "2026-01-02T03:04:05",
    "parameters": {"corpus": "world", "facts": 9},
    "seeds": [0, 1],
    "profile": {"model": "embedded"},
    "hardware": {"cores": 2, "cpu": "a chip"},
    "results": {
        "arms": [
            {
                "arm": "rag",
                **{s: interval(0.5) for s in ("accuracy", "stale", "fabricated", "abstained")},
                "confused": {"mean": None, "low": None, "high": None, "n": 0},
                "latency_ms": {"p50": 12.3},
                "training_seconds": None,
            }
        ]
    },
    "scores": {"read": interval(0.9), "lora_seconds": interval(31.0)},
}
BLOCK = "# Title\n<!-- ragft: {kind} r.json -->\nold\n<!-- /ragft -->\nend\n"


def test_a_block_is_made_from_its_record(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(RECORD))
    text = filled(BLOCK.format(kind="comparison"), tmp_path)
    assert "| RAG | 50.0 [40.0, 60.0] |" in text and "| – | 50.0" in text and "| 12 | – |" in text
    assert "2026-01-02 · world · 9 facts · 2 training seeds" in text
    assert "old" not in text and text.startswith("# Title\n") and text.endswith("end\n")
    assert filled(text, tmp_path) == text


def test_scores_are_in_per_cent_and_seconds_as_they_are(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(RECORD))
    text = filled(BLOCK.format(kind="scores"), tmp_path)
    assert "| `read` | 90.0 [80.0, 100.0] | 9 |" in text
    assert "| `lora_seconds` | 31.0 | 9 |" in text


def claims_record(mean):
    found = {"mean": mean, "low": 0.03, "high": 0.06, "n": 40, "seeds": 5, "unit": "points"}
    return RECORD | {"results": {"quantities": {"still_finetuned_minus_rag": found}}} | {
        "profile": {"name": "cpu", "model": "embedded"}
    }  # fmt: skip


def test_the_ledger_is_made_from_a_folder_of_records_and_counts_what_is_open(tmp_path):
    block = "<!-- ragft: claims data -->\nold\n<!-- /ragft -->\n"
    (tmp_path / "data").mkdir()
    empty = filled(block, tmp_path)
    assert empty.splitlines()[1] == (
        "0 of 88 claims are measured: 2 by construction, 1 not testable here, 85 not measured yet."
    )
    record = tmp_path / "data" / "04_freshness_drift.json"
    record.write_text(json.dumps(claims_record(0.04)))
    text = filled(block, tmp_path)
    rows = [line for line in text.splitlines() if line.startswith("| F")]
    assert rows == [
        "| F10 | where the domain stands still, tuning beats RAG | +4.2 points "
        "| accuracy where nothing changes, fine-tuned minus RAG "
        "| 4.0 [3.0, 6.0] points | 40 | direction only |"
    ]
    assert "2026-01-02 · model embedded · 1 of 88 claims are measured: 1 direction" in text
    assert filled(text, tmp_path) == text and "full grid" not in text
    mark_full(tmp_path, "05_hallucination")
    mark_full(tmp_path, "04_freshness_drift")
    full = filled(text, tmp_path)
    assert "not measured yet. Wholly on the full grid: notebooks 04, 05." in full
    record.write_text(json.dumps(claims_record(0.05)))
    assert filled(text, tmp_path) != text, "a table that its records do not give is noticed"


def test_a_ledger_may_be_cut_to_some_rows_and_is_still_counted_whole(tmp_path):
    (tmp_path / "data").mkdir()
    record = claims_record(0.04)
    record["results"]["quantities"]["nightly_gain_next_day"] = {
        **record["results"]["quantities"]["still_finetuned_minus_rag"]
    }
    (tmp_path / "data" / "04_freshness_drift.json").write_text(json.dumps(record))
    block = "<!-- ragft: claims data{} -->\nold\n<!-- /ragft -->\n"
    whole, one, none = (filled(block.format(i), tmp_path) for i in ("", " F10", " L9 N1"))
    ids = [re.findall(r"^\| (\w\d+) ", text, re.MULTILINE) for text in (whole, one, none)]
    assert ids == [["F3", "F10"], ["F10"], []]
    assert [text.splitlines()[-2] for text in (one, none)] == [whole.splitlines()[-2]] * 2
    assert "2 of 88 claims are measured: 2 direction only, 2 by construction" in whole
    assert one.startswith("<!-- ragft: claims data F10 -->\n| id | claim | article | measured [95")
    assert "| where the domain stands still, tuning beats RAG | +4.2 points | 4.0 [3.0" in one
    with pytest.raises(RagftError, match="block 'claims': no row is called Z1, F99"):
        filled(block.format(" Z1 F10 F99"), tmp_path)
    (tmp_path / "r.json").write_text(json.dumps(RECORD))
    with pytest.raises(RagftError, match="block 'scores': .*ids follow a claims block alone"):
        filled("<!-- ragft: scores r.json F1 -->\n<!-- /ragft -->", tmp_path)


def test_filling_writes_only_what_changed(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(RECORD))
    (tmp_path / "R.md").write_text(BLOCK.format(kind="scores"))
    assert fill(tmp_path / "R.md") is True
    assert fill(tmp_path / "R.md") is False


def test_missing_records_and_kinds_are_named(tmp_path):
    with pytest.raises(RagftError, match=r"r\.json: the record behind a block is missing"):
        filled(BLOCK.format(kind="scores"), tmp_path)
    with pytest.raises(RagftError, match="block 'magic': choose one of comparison, scores, claims"):
        filled(BLOCK.format(kind="magic"), tmp_path)
    with pytest.raises(RagftError, match=r"r\.json: no such folder"):
        filled(BLOCK.format(kind="claims"), tmp_path)
    with pytest.raises(RagftError, match="no such file"):
        fill(tmp_path / "none.md")


FILLED = (ROOT / "README.md", ROOT / "figures" / "claims.md", *ROOT.glob("ragft/**/README.md"))


@pytest.mark.parametrize("path", FILLED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tables_in_the_repository_are_those_of_their_records(path):
    text = path.read_text(encoding="utf-8")
    assert re.search(r"<!-- ragft: ", text), "it quotes a record"
    assert filled(text, path.parent) == text, f"run: ragft readme {path.relative_to(ROOT)}"
