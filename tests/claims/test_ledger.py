import json
import math
import re
from dataclasses import replace

import pytest

from ragft.claims import VERDICTS, Measured, Row, counts, ledger, load_claims, table
from ragft.cli import main, parser
from ragft.types import RagftError
from tests.claims.samples import LEVEL

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
    assert (told["one"], told["two"]) == (None, None)


def test_a_row_shows_both_sides_where_the_record_tells_them(tmp_path):
    sides = QUANTITY | {"one": 0.5, "two": 0.46}
    found = row_of(put(tmp_path, record({"still_finetuned_minus_rag": sides})), "F10")
    assert found.shown == "4.0 [3.0, 6.0] points (50.0 − 46.0)"
    assert (found.to_dict()["one"], found.to_dict()["two"]) == (0.5, 0.46)
    lacking = QUANTITY | {"one": 0.5, "two": None}
    found = row_of(put(tmp_path, record({"still_finetuned_minus_rag": lacking})), "F10")
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
    assert found["not measured yet"] == len(rows) - 3


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
    measured = Measured(0.25, 0.2, 0.3)
    claim = replace(LEVEL, unit=unit)
    assert Row(claim, measured, "undecided", "").shown == shown
    sides = {"share": "(50.0 − 25.0)", "ratio": "(0.5 / 0.25)", "seconds": "(0.5 − 0.25)"}[unit]
    with_sides = replace(measured, one=0.5, two=0.25)
    assert Row(claim, with_sides, "undecided", "").shown == f"{shown} {sides}"


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
    assert text.rstrip().endswith("2 by construction, 1 not testable here, 84 not measured yet")


def test_the_command_explains_itself_and_names_a_missing_folder(tmp_path, capsys):
    assert main(["claims", "--records", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser().parse_args(["claims", "--help"])
    assert "usage: ragft claims" in capsys.readouterr().out
