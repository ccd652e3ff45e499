"""The GPU benchmark on a toy shape: every section's record, and what happens if things go wrong."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from ragft.bench.gpu import SECTIONS, bars, measure, memory, prefill, throughput, training
from ragft.bench.gpu.__main__ import main
from ragft.bench.gpu.settings import LONG_PROMPT, Load, check_settings, read_lengths
from ragft.claims import ledger
from ragft.experiments.rates import Rates
from ragft.generation.shapes import TOY
from ragft.types import RagftError

CHECK = ["--check", "--only", "prefill"]


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The folder of a whole check."""
    folder = tmp_path_factory.mktemp("gpu")
    assert main(["--out", str(folder), "--check"]) == 0
    return folder


def _record(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


@pytest.fixture
def calls(monkeypatch):
    """The cells that are measured, by section."""
    found = []
    for name, module in SECTIONS.items():
        work = module.measure

        def counted(device, shape, cell, name=name, work=work):
            found.append((name, cell))
            return work(device, shape, cell)

        monkeypatch.setattr(module, "measure", counted)
    return found


def test_every_section_writes_a_whole_record(checked):
    assert sorted(path.name for path in checked.iterdir()) == sorted(f"{s}.json" for s in SECTIONS)
    for name, section in SECTIONS.items():
        record = _record(checked, name)
        assert (record["not_reached"], record["failed"], record["out_of_memory"]) == (0, 0, 0)
        assert [row["cell"] for row in record["rows"]] == section.cells(check_settings(), [TOY])
        assert all(row["measured"] and "failed" not in row["note"] for row in record["rows"])
        assert record["packages"]["torch"] and record["hardware"]["cpu"] and record["date"]
        assert record["machine"]["packages"]["transformers"] and "commit" in record


def test_times_rates_and_ratios_are_finite_and_positive(checked):
    unknown = {"graph_ms", "eager_over_graph", "peak_bytes", "rest_bytes", "adapter_bytes"}
    for name in SECTIONS:
        record = _record(checked, name)
        for row in [*record["rows"], *record["summary"]]:
            numbers = {k: v for k, v in row.items() if isinstance(v, int | float)}
            zero = {"measured", "passages", "index_bytes"}  # an index on the host takes none
            assert all(math.isfinite(v) and v > 0 for k, v in numbers.items() if k not in zero)
            empty = {k for k, v in row.items() if v is None}
            assert empty <= unknown or row.get("quantity")  # bars are of a shape not run here
    ratios = [r["rag_over_closed_book"] for r in _record(checked, "memory")["summary"]]
    assert ratios and min(ratios) > 1
    assert all(r["real_over_random"] > 0 for r in _record(checked, "real")["rows"])


def test_shares_are_of_the_measured_rates(checked):
    rates = Rates.from_dict(_record(checked, "rates")["rows"][0]["rates"])
    for row in _record(checked, "prefill")["rows"]:
        done = TOY.prefill_operations(row["prompt_tokens"]) / row["seconds"]
        assert row["share_of_rate"] == pytest.approx(done / rates.operations)
    for row in _record(checked, "decode")["rows"]:
        read = TOY.decode_bytes(row["context"] + 1, row["batch"], 4)
        speed = read / row["ms_per_token"] * 1000
        assert row["share_of_bandwidth"] == pytest.approx(speed / rates.bandwidth(read))


def test_memory_is_that_of_the_model_and_of_its_cache(checked):
    for row in _record(checked, "memory")["rows"]:
        positions = row["prompt_tokens"] + row["completion_tokens"] - 1
        kept = TOY.kv_bytes(row["concurrency"] * positions, size=4)
        assert row["kv_bytes"] == row["kv_measured_bytes"] == kept
        assert row["weights_bytes"] == 4 * TOY.parameters


def test_training_names_what_it_trains(checked):
    rows = _record(checked, "training")["rows"]
    assert {row["method"] for row in rows} == {"lora", "qlora", "full"}
    for row in rows:
        if row["method"] == "full":
            assert row["trainable_parameters"] == row["total_parameters"] == TOY.parameters
            assert row["adapter_bytes"] is None
        else:
            assert row["trainable_share"] == row["trainable_parameters"] / row["total_parameters"]
            header = row["adapter_bytes"] - 4 * row["trainable_parameters"]
            assert 0 < header < 10_000


def test_it_runs_where_only_torch_transformers_and_peft_are_installed(tmp_path):
    """No hub either: a folder of weights and shapes are all it needs."""
    missing = "faiss trl datasets bm25s rank_bm25 sentence_transformers bert_score bitsandbytes"
    code = (
        f"import sys; sys.modules |= dict.fromkeys('{missing} pandas matplotlib'.split())\n"
        "from ragft.bench.gpu.__main__ import main\n"
        f"sys.exit(main(['--out', {str(tmp_path)!r}, '--check', '--only', 'training', 'real']))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    rows = _record(tmp_path, "training")["rows"]
    notes = {row["note"] for row in rows if row["method"] == "qlora"}
    assert notes == {"not available: bitsandbytes is not installed: no 4-bit weights"}
    assert all(row["measured"] == (row["method"] != "qlora") for row in rows)


def test_the_commit_is_told_where_there_is_no_repository(tmp_path, monkeypatch):
    monkeypatch.setattr("ragft.records.git_commit", lambda: None)
    options = ["--out", str(tmp_path), "--check", "--minutes", "0", "--only", "rates"]
    assert main([*options, "--commit", "abc"]) == 0
    assert _record(tmp_path, "rates")["commit"] == "abc"


def test_a_second_call_measures_nothing_and_changes_nothing(checked, calls):
    before = {path.name: path.read_bytes() for path in checked.iterdir()}
    assert main(["--out", str(checked), "--check"]) == 0
    assert calls == []
    assert before == {path.name: path.read_bytes() for path in checked.iterdir()}


def test_other_settings_in_the_same_folder_are_refused_before_anything_is_measured(
    checked, calls, capsys
):
    assert main(["--out", str(checked), "--check", "--rank", "2"]) == 1
    text = capsys.readouterr().err
    assert "training.json: measured with other settings" in text and "another --out" in text
    assert calls == []


def test_a_full_memory_is_recorded_and_the_sweep_goes_on(tmp_path, monkeypatch, capsys):
    work = prefill.measure

    def full(device, shape, cell):
        if cell["load"] == "rag":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return work(device, shape, cell)

    monkeypatch.setattr(prefill, "measure", full)
    assert main(["--out", str(tmp_path), *CHECK]) == 0
    assert "2 rows measured, 1 out of memory;" in capsys.readouterr().out
    record = _record(tmp_path, "prefill")
    assert [row["note"] for row in record["rows"]] == ["", "out of memory", ""]
    assert record["rows"][1]["measured"] is False and record["out_of_memory"] == 1
    assert record["rows"][2]["seconds"] > 0
    monkeypatch.setattr(prefill, "measure", None)  # the limit is a result: not measured again
    assert main(["--out", str(tmp_path), *CHECK]) == 0


def test_a_row_that_fails_is_told_and_measured_again(tmp_path, monkeypatch):
    work = prefill.measure
    monkeypatch.setattr(prefill, "measure", lambda *_: 1 / 0)
    assert main(["--out", str(tmp_path), *CHECK]) == 1
    record = _record(tmp_path, "prefill")
    assert record["failed"] == 3
    assert record["rows"][0]["note"] == "failed: ZeroDivisionError: division by zero"
    monkeypatch.setattr(prefill, "measure", work)
    assert main(["--out", str(tmp_path), *CHECK]) == 0
    assert _record(tmp_path, "prefill")["failed"] == 0


def test_after_an_interruption_the_rest_is_measured(tmp_path, monkeypatch, calls):
    work = prefill.measure

    def interrupted(device, shape, cell):
        if cell["load"] == "long":
            raise KeyboardInterrupt
        return work(device, shape, cell)

    monkeypatch.setattr(prefill, "measure", interrupted)
    assert main(["--out", str(tmp_path), *CHECK]) == 130
    assert len(_record(tmp_path, "prefill")["rows"]) == 2
    monkeypatch.setattr(prefill, "measure", work)
    calls.clear()
    assert main(["--out", str(tmp_path), *CHECK]) == 0
    assert calls == [("prefill", {"shape": "toy", "load": "long"})]


def test_what_the_time_does_not_suffice_for_is_recorded(tmp_path, calls, capsys):
    assert main(["--out", str(tmp_path), "--check", "--minutes", "0"]) == 0
    assert calls == []
    for name, section in SECTIONS.items():
        record = _record(tmp_path, name)
        assert record["not_reached"] == len(section.cells(check_settings(), [TOY]))
        assert {row["note"] for row in record["rows"]} == {"not reached"}
        assert not any(row["measured"] for row in record["rows"])
    assert "prefill: 0 rows measured, 3 not reached;" in capsys.readouterr().out
    assert main(["--out", str(tmp_path), *CHECK]) == 0
    assert _record(tmp_path, "prefill")["not_reached"] == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--check", "--shapes", "huge"], "--shapes: no shape 'huge'; choose from toy"),
        (["--check", "--only", "speed"], "--only: no section 'speed'; choose from rates, prefill"),
        (["--check", "--rank", "0"], "--rank 0: must be at least 1"),
        (["--check", "--minutes", "-1"], "--minutes -1.0: must be 0 or above"),
        (["--check", "--real", "/nowhere"], "/nowhere: no such model folder"),
    ],
)
def test_wrong_options_are_named(options, text, tmp_path, capsys):
    assert main(["--out", str(tmp_path), *options]) == 1
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_machine_without_a_gpu_is_told_of_the_check(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--out", str(tmp_path)]) == 1
    assert "no GPU that torch can use here; --check runs" in capsys.readouterr().err


def test_a_file_that_is_no_record_is_not_overwritten(tmp_path):
    (tmp_path / "prefill.json").write_text("{}")
    with pytest.raises(RagftError, match=r"prefill.json: is no record of this benchmark .*--out"):
        measure(check_settings(), tmp_path, [TOY], ["prefill"])


def _write(path, value):
    path.write_text(json.dumps(value))
    return path


PAIR = {"prompt": 40.4, "completion": 12}


def test_lengths_come_from_a_record_or_from_a_file(tmp_path):
    tokens = {"prompt": PAIR, "rag": {"prompt": 900.6, "completion": 14.2}}
    record = _write(tmp_path / "record.json", {"results": {"tokens": tokens}})
    loads = read_lengths(None, record)
    assert loads["closed_book"] == Load(40, 12, record.as_posix())
    assert loads["rag"] == Load(901, 14, record.as_posix())
    assert loads["long"] == Load(LONG_PROMPT, 14, "4096 tokens: typical published")
    own = _write(tmp_path / "own.json", {"closed_book": PAIR, "rag": PAIR, "long": PAIR})
    assert read_lengths(own, tmp_path / "none")["long"] == Load(40, 12, own.as_posix())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"results": {}}, "holds no lengths .*--lengths FILE"),
        ({"results": {"tokens": {"prompt": PAIR}}}, "rag needs the numbers prompt and completion"),
        ({"results": {"tokens": {"prompt": {"prompt": 0, "completion": 1}}}}, "at least 1"),
        ([], "holds no lengths"),
    ],
)
def test_records_without_lengths_are_refused_by_name(value, text, tmp_path):
    with pytest.raises(RagftError, match=f"record.json.*{text}"):
        read_lengths(None, _write(tmp_path / "record.json", value))


def test_a_missing_file_of_lengths_is_named_with_its_option(tmp_path):
    with pytest.raises(RagftError, match=r"--lengths .*none.json: cannot be read"):
        read_lengths(tmp_path / "none.json", tmp_path / "record.json")
    with pytest.raises(RagftError, match=r"--figures-record .*give lengths with --lengths FILE"):
        read_lengths(None, tmp_path / "none.json")


def test_a_bar_is_of_what_was_measured():
    assert bars.bar("x", 0.4, min, [0.5, None, 0.3]) == {
        "quantity": "x",
        "bar": 0.4,
        "measured": 0.3,
        "met": False,
    }
    assert bars.bar("x", 0.4, max, [0.5, 0.3])["met"] is True
    assert bars.bar("x", 0.4, max, [None])["met"] is None


def test_hours_and_memory_ratios_by_hand():
    row = {"shape": "s", "load": "rag", "step_tokens": 4096, "example_tokens": 1000}
    row |= {"share_of_rate": 0.5}
    lora = row | {"method": "lora", "tokens_per_second": 2000, "peak_bytes": 40}
    slow = lora | {"step_tokens": 1024, "tokens_per_second": 10, "peak_bytes": None}
    qlora = row | {"method": "qlora", "tokens_per_second": 1000, "peak_bytes": 10}
    found = training.summary(check_settings(), [lora, slow, qlora])
    assert [r["memory_qlora_over_lora"] for r in found if "memory_qlora_over_lora" in r] == [0.25]
    hours = {(r["method"], r["examples"]): r["hours"] for r in found if "hours" in r}
    assert hours["lora", 5_000] == pytest.approx(5_000 * 3 * 1000 / 2000 / 3600)
    assert hours["qlora", 50_000] == pytest.approx(20 * hours["lora", 5_000])
    assert {r["note"] for r in found if "hours" in r} == {"extrapolated from tokens a second"}


def test_what_the_ledger_reads_by_hand():
    row = {"shape": bars.BIG, "step_tokens": 4096, "example_tokens": 1000, "share_of_rate": 0.5}
    row |= {"method": "lora", "tokens_per_second": 2000, "trainable_share": 0.005}
    rows = [
        row | {"load": "rag", "peak_bytes": 40},
        row | {"load": "closed_book", "peak_bytes": 20, "example_tokens": 100},
        row | {"load": "rag", "method": "qlora", "peak_bytes": 10, "trainable_share": 0.006},
        row | {"load": "rag", "shape": "other", "peak_bytes": 1, "trainable_share": 0.5},
    ]
    found = training.quantities(check_settings(), rows)
    share, ratio = found["trainable_share"], found["memory_qlora_over_lora"]
    assert (share["mean"], share["n"], share["stated_shape"]) == (0.005, 1, True)
    assert (ratio["low"], ratio["high"], ratio["unit"]) == (0.25, 0.25, "ratio")
    seconds = found["training_seconds"]
    small, large = min(check_settings().examples), max(check_settings().examples)
    epochs = check_settings().epochs
    assert seconds["low"] == pytest.approx(small * epochs * 100 / 2000)
    assert seconds["high"] == pytest.approx(large * epochs * 1000 / 2000)
    assert training.quantities(check_settings(), rows[3:]) == {}
    held = {"shape": bars.BIG, "concurrency": 4, "weights_bytes": 1, "kv_measured_bytes": 1}
    read = held | {"load": "rag"}
    rows = [held | {"load": "closed_book", "peak_bytes": 200}, read | {"peak_bytes": 500}]
    rows += [read | {"peak_bytes": 700, "concurrency": 8}]  # nothing to compare it with
    over = memory.quantities(check_settings(), rows)["peak_memory_rag_over_finetuned"]
    most = 4 * 384 * max(check_settings().passages)
    assert over["mean"] == (500 + most) / 200 and over["n"] == 1
    assert memory.quantities(check_settings(), rows[:1]) == {}


def test_a_check_is_a_smoke_run_to_the_ledger(checked, tmp_path):
    for name in ("memory", "training"):
        record = _record(checked, name)
        (tmp_path / f"gpu_{name}.json").write_text(json.dumps(record))
    rows = {row.claim.id: row for row in ledger(tmp_path)}
    for name in ("L5", "T1", "T2", "T10"):
        assert "of a smoke run" in rows[name].reason
    record = _record(checked, "training")
    whole = {"mean": 0.25, "low": 0.25, "high": 0.25, "n": 1, "seeds": 1, "unit": "ratio"}
    record["profile"]["name"] = "gpu"
    record["results"]["quantities"] = {"memory_qlora_over_lora": whole | {"stated_shape": True}}
    (tmp_path / "gpu_training.json").write_text(json.dumps(record))
    told = {row.claim.id: row for row in ledger(tmp_path)}["T2"]
    assert told.verdict == "supported" and told.measured.mean == 0.25


def test_memory_of_rag_over_closed_book_by_hand():
    def row(load, peak):
        parts = {"weights_bytes": 80, "kv_measured_bytes": 20, "peak_bytes": peak}
        return {"shape": "s", "load": load, "concurrency": 4} | parts

    found = memory.summary(check_settings(), [row("closed_book", 200), row("rag", 500)])
    assert found[0]["passages"] == 0 and found[0]["rag_over_closed_book"] == 2.5
    assert found[1]["index_bytes"] == 100_000 * 384 * 4
    assert found[1]["rag_over_closed_book"] == (500 + 153_600_000) / 200
    assert memory.summary(check_settings(), [row("rag", 500)]) == []


def test_the_largest_bursts_are_answered_in_static_batches_alone():
    loads = {"closed_book": Load(40, 10, "test"), "long": Load(4096, 10, "test")}
    sizes = replace(check_settings(), loads=loads, concurrencies=(1, 64, 256))
    cells = throughput.cells(sizes, [TOY])
    most = {
        e: max(c["concurrency"] for c in cells if c["engine"] == e and c["load"] == "long")
        for e in throughput.ENGINES
    }
    assert most == {"static": 256, "continuous": 64}
    assert sum(cell["load"] == "closed_book" for cell in cells) == 6


def test_the_faster_engine_counts():
    def row(load, engine, seconds):
        speed = {"seconds": seconds, "answers_per_second": 8 / seconds}
        return {"shape": "s", "load": load, "concurrency": 8, "engine": engine} | speed

    rows = [row("closed_book", "static", 2), row("closed_book", "continuous", 1)]
    rows += [row("rag", "static", 4), row("rag", "continuous", 5)]
    closed, rag = throughput.summary(check_settings(), rows)
    assert (closed["engine"], closed["answers_per_second"]) == ("continuous", 8)
    assert (rag["engine"], rag["over_closed_book"]) == ("static", 0.25)
