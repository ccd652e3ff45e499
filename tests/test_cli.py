import json
import subprocess
import sys

import pytest

from ragft.cli import main, parser


def documents(tmp_path, count=12):
    rows = [{"id": f"d{n}", "contents": f"Item {n} costs {n + 5} coins."} for n in range(count)]
    asked = [
        {
            "id": f"q{n}",
            "question": f"What does item {n} cost?",
            "golden_answers": [f"{n + 5} coins"],
            "metadata": {"supporting": [f"d{n}"]},
        }
        for n in range(count)
    ]
    for name, lines in (("docs", rows), ("asked", asked)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return str(tmp_path / "docs.jsonl"), str(tmp_path / "asked.jsonl")


def test_retrieve_prints_json_alone_and_writes_a_run(tmp_path, capsys):
    docs, asked = documents(tmp_path)
    run = tmp_path / "run.trec"
    options = ["--documents", docs, "--questions", asked, "--retriever", "bm25", "--json"]
    assert main(["retrieve", *options, "--top-k", "3", "--run", str(run)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 12 and found["recall@10"]["mean"] == 1.0
    assert {"recall@10", "ndcg@10", "mrr", "queries_per_second"} <= set(found)
    assert len(run.read_text().splitlines()) == 36


def ports(folder, count=12):
    """Write a folder of documents of which one sentence each may be asked."""
    from tests.experiments.test_known_item import told

    folder.mkdir()
    for n in range(count):
        (folder / f"f{n}.md").write_text(told(n))
    (folder / "empty.txt").write_text("")
    return str(folder)


def test_retrieve_takes_a_folder_without_questions(tmp_path, capsys):
    folder, run = ports(tmp_path / "docs"), tmp_path / "run.trec"
    options = ["retrieve", folder, "--retriever", "bm25", "--count", "10"]
    assert main([*options, "--json", "--run", str(run)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 10 and found["recall@10"]["mean"] == 1.0
    assert found["known_items"]["questions"] == {"heading": 0, "sentence": 10}
    assert found["source"]["skipped"]["files"][0]["name"] == "empty.txt"
    assert len(run.read_text().splitlines()) == 100
    assert main([*options, "--include", "f1*", "--include", "f2*"]) == 0
    text = capsys.readouterr().out
    assert "n = 4," in text and "Asked: 0 headings, 4 sentences" in text and "skipped" not in text
    assert main(["retrieve", "--documents", folder, "--retriever", "bm25"]) == 0
    text = capsys.readouterr().out
    assert "n = 12," in text and "skipped: 1\n  1 empty: empty.txt" in text


def test_retrieve_takes_a_folder_with_questions(tmp_path, capsys):
    folder = ports(tmp_path / "docs")
    row = {"id": "q", "question": "ships3?", "metadata": {"supporting": ["f3.md"]}}
    (tmp_path / "asked.jsonl").write_text(json.dumps(row) + "\n")
    options = [folder, "--questions", str(tmp_path / "asked.jsonl"), "--retriever", "bm25"]
    assert main(["retrieve", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 1 and found["mrr"]["mean"] == 1.0 and "known_items" not in found


def test_retrieve_prints_the_drift_of_a_repository(tmp_path, capsys):
    from tests.experiments.test_known_item import told
    from tests.git_repository import Repository

    repository = Repository(tmp_path / "repo")
    repository.commit("2024-01-01", {f"f{n}.md": told(n) for n in range(10)})
    tip = repository.commit("2024-02-01", {"f0.md": told(50), "\x1b[31mred.md": b"a\0"})
    options = ["retrieve", str(repository.path), "--history", "--out", str(tmp_path / "out")]
    assert main(options) == 0
    text = capsys.readouterr().out
    assert "made on 2024-01-01" in text and "2024-02-01  10" in text and "90.0 [" in text
    assert f"at {tip}: 11 documents" in text and "1 binary: red.md" in text and "\x1b" not in text
    assert main([*options, "--json", "--made-on", "2024-01-15", "--days", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["made_on"] == "2024-01-15" and found["source"]["revision"] == tip
    assert [row["recall@10"]["mean"] for row in found["summary"]] == [1, 1, 0.9, 1]


def test_compare_takes_a_folder_and_tells_what_was_skipped(tmp_path, capsys, monkeypatch):
    from tests.conftest import save_tiny_model

    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    model = str(save_tiny_model(tmp_path / "m", max_position_embeddings=2048))
    _, asked = documents(tmp_path)
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(12):
        (folder / f"d{n}").with_suffix(".txt").write_text(f"Item {n} costs {n + 5} coins.")
    (folder / "empty.md").write_text("")
    lines = (tmp_path / "asked.jsonl").read_text().replace('"]}}', '.txt"]}}')
    (tmp_path / "asked.jsonl").write_text(lines)
    options = [str(folder), "--questions", asked, "--profile", "smoke", "--model", model]
    options += ["--arms", "prompt", "rag", "--out", str(tmp_path / "out")]
    assert main(["compare", *options]) == 0
    assert "skipped: 1\n  1 empty: empty.md" in capsys.readouterr().out
    assert main(["compare", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"]["documents"] == 12 and found["source"]["kind"] == "folder"


def test_compare_prints_a_table_with_intervals(tmp_path, capsys, monkeypatch):
    from tests.conftest import save_tiny_model

    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    model = str(save_tiny_model(tmp_path / "m", max_position_embeddings=2048))
    docs, asked = documents(tmp_path)
    options = ["--corpus", docs, "--questions", asked, "--profile", "smoke", "--model", model]
    options += ["--arms", "prompt", "rag", "--out", str(tmp_path / "out")]
    assert main(["compare", *options]) == 0
    text = capsys.readouterr().out
    assert "accuracy %" in text and "prompt − rag" in text and "Record: " in text
    assert main(["compare", *options, "--json"]) == 0
    assert [row["arm"] for row in json.loads(capsys.readouterr().out)["arms"]] == ["prompt", "rag"]


def test_explain_shows_the_steps_of_one_answer(tmp_path, capsys, monkeypatch):
    from tests.conftest import save_tiny_model

    monkeypatch.chdir(tmp_path)
    model = str(save_tiny_model(tmp_path / "m", max_position_embeddings=2048))
    docs, asked = documents(tmp_path)
    options = ["--corpus", docs, "--questions", asked, "--profile", "smoke", "--model", model]
    assert main(["explain", "q3", *options]) == 0
    text = capsys.readouterr().out
    assert "question: What does item 3 cost? (q3)" in text and "rank: bm25 1" in text
    assert "Passages shown, as in the prompt" in text and "d3[0:21]" in text
    assert text.rstrip().endswith("Question: What does item 3 cost?\nAnswer:")
    assert main(["explain", "What does  Item 3 cost?", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["question"]["id"] == "q3" and found["right_answers"] == ["8 coins"]
    assert found["right"][0]["ranks"] == {"bm25": 1} and len(found["shown"]) == 4
    assert found["cause"] in ("read wrongly", "wrongly refused"), "random weights are never right"
    assert main(["explain", "Who sells \x1b[31mitems?", *options]) == 0
    text = capsys.readouterr().out
    assert "cause: unknown: no answer key" in text and "Who sells items?" in text
    assert "\x1b" not in text and not (tmp_path / "results").exists()


def test_corpus_writes_files_that_compare_can_read(tmp_path, capsys):
    assert main(["corpus", "world", "--out", str(tmp_path), "--facts", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["facts"] > 0
    assert len((tmp_path / "questions.jsonl").read_text().splitlines()) == found["asked"]


def test_doctor_names_versions_and_models(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["torch"] and "embedded" in found["models"]
    assert main(["doctor"]) == 0
    assert "hardware:" in capsys.readouterr().out


def test_doctor_tells_what_fits_a_gpu_and_which_key_is_set_but_not_the_key(capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (15 * 2**30, 16 * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr("ragft.runtime.hardware", dict)
    monkeypatch.setenv("RAGFT_API_KEY", "sk-secret")
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "Llama-3.1-8B: float16, weights in 4 bits, " in told
    assert "key: RAGFT_API_KEY" in told and "sk-secret" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["retrieve", "--documents", "none.jsonl", "--questions", "x"], "none.jsonl"),
        (["retrieve"], "no documents: name FILE|FOLDER|git:REPO"),
        (["retrieve", "a", "--documents", "b"], "a and --documents b: name one source"),
        (["retrieve", "{tmp}/none"], "no such file or folder"),
        (["retrieve", "{tmp}"], "empty.jsonl"),
        (["retrieve", "{tmp}", "--history"], "no git repository"),
        (["retrieve", "{tmp}", "--history", "--questions", "q"], "makes its own questions"),
        (["retrieve", "git:{tmp}/x@y"], "no such folder"),
        (["compare", "{tmp}"], "needs --questions FILE"),
        (["compare", "{tmp}/none", "--questions", "q"], "no such file or folder"),
        (["compare", "world", "--corpus", "world"], "name one source"),
        (["compare", "--facts", "0"], "--facts 0"),
        (["compare", "--arms", "magic", "--out", "{tmp}"], "unknown arm 'magic'"),
        (["run", "no_such.ipynb"], "no_such.ipynb"),
        (["explain", "q", "--arm", "oracle"], "arm 'oracle': it makes no search"),
        (["explain", "q", "--facts", "0"], "--facts 0"),
        (["explain", " ", "--profile", "smoke"], "question: it is empty"),
        (["explain", "q", "--corpus", "{tmp}/none.jsonl"], "needs --questions"),
        (["model", "evaluate", "--model", "{tmp}/none"], "none"),
        (["compare", "--corpus", "{tmp}/empty.jsonl", "--questions", "q"], "empty.jsonl"),
    ],
)
def test_errors_are_one_message_and_a_status(arguments, message, tmp_path, capsys):
    (tmp_path / "empty.jsonl").write_text("")
    assert main([a.format(tmp=tmp_path) for a in arguments]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.startswith("ragft: ")
    assert captured.out == "" and "Traceback" not in captured.err


@pytest.mark.parametrize(
    "command",
    ["reproduce", "run", "compare", "retrieve", "explain", "corpus", "doctor", "train", "model"],
)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    assert "usage: ragft " + command in capsys.readouterr().out


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "ragft", "--help"], capture_output=True, text=True, check=True
    )
    assert "compare" in done.stdout
