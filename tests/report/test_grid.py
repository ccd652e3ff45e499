"""The page and the table over a grid of runs, from folders written here."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from ragft.files import sealed_json
from ragft.report.grid import grid_text, metrics, read_runs
from ragft.report.grid_page import PageWriter, page
from ragft.types import RagftError

EVIL = '<script>alert("1")</script><img src=x onerror=alert(2)>\x1b[31m'


def interval(mean, low=0.1, high=0.9, **more):
    return {"mean": mean, "low": low, "high": high, "n": 40, **more}


@pytest.fixture
def grid(tmp_path):
    """Return a function that writes a grid of runs, each a record and figures or None."""

    def write(*runs, asked=None):
        names = [f"00_a-{i}" for i in range(len(runs))]
        listed = [
            {"name": name, "notebook": "00_a", "parameters": {"seed": i, "profile": "smoke"}}
            for i, name in enumerate(names)
        ]
        whole = sealed_json({"runs": listed if asked is None else asked})
        (tmp_path / "grid.json").write_text(whole)
        for name, run in zip(names, runs, strict=True):
            if run is None:
                continue
            record, figures = run
            told = {"status": "finished", "seconds": 1.25, "attempts": 1, "error": ""}
            told |= {"hardware": {"cpu": "fast", "cores": 2}, "workers": 1}
            data = tmp_path / name / "figures" / "data"
            data.mkdir(parents=True)
            (tmp_path / name / "record.json").write_text(sealed_json(told | record))
            for stem, results in figures.items():
                (data / f"{stem}.json").write_text(json.dumps({"results": results}))
                (data.parent / f"{stem}.png").write_bytes(b"")
        return tmp_path

    return write


class Tags(HTMLParser):
    """Collects tags, links and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.attributes, self.text = [], [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_metrics_have_intervals_units_and_n(grid):
    quantities = {
        "share_gained": interval(0.25, unit="share"),
        "times": interval(1.5, 1.25, 2, unit="ratio"),
        "wait": interval(12.34567, unit="seconds"),
        "undefined": interval(None, None, None, unit="share"),
        "half": interval(0.5, None, None, unit="points"),
        "no interval": 3,
        "no numbers": interval("x"),
    }
    arms = [{"arm": a, "accuracy": interval(m)} for a, m in (("prompt", 0.0), ("rag", 0.8))]
    folder = grid(({}, {"00_a": {"arms": arms}, "00_b": {"quantities": quantities}}))
    data = folder / "00_a-0" / "figures" / "data"
    (data / "00_c.json").write_text("{")
    (data / "00_d.json").write_text('{"results": []}')
    assert metrics(data) == [
        ("00_a: accuracy of rag", "80.0 [10.0, 90.0] % (n = 40)"),
        ("00_a: accuracy of prompt", "0.0 [10.0, 90.0] % (n = 40)"),
        ("00_b: share_gained", "25.0 [10.0, 90.0] % (n = 40)"),
        ("00_b: times", "1.5 [1.25, 2] times (n = 40)"),
        ("00_b: wait", "12.3 [0.1, 0.9] seconds (n = 40)"),
        ("00_b: undefined", "– (n = 40)"),
        ("00_b: half", "50.0 % (n = 40)"),
        ("00_c", "the record cannot be read"),
        ("00_d", "the record cannot be read"),
    ]
    assert metrics(folder / "none") == []


def test_runs_keep_their_order_and_say_what_varies_and_what_is_not_there(grid):
    failed = {"status": "failed", "error": "00_a: it broke", "attempts": 2, "seconds": 0.0}
    folder = grid(({}, {"00_a": {}}), None, (failed, {}), ({"seconds": "x"}, {}), ({}, {}))
    (folder / "00_a-4" / "record.json").write_text("{")
    runs = read_runs(folder)
    assert [run["status"] for run in runs] == [
        "finished", "waiting", "failed", "record damaged", "record damaged"
    ]  # fmt: skip
    assert [run["varied"] for run in runs] == [{"seed": i} for i in range(5)]
    assert runs[0]["pictures"] == ["00_a-0/figures/00_a.png"]
    lines = grid_text(runs).splitlines()
    assert lines[0].split() == "run seed status seconds tries first number".split()
    assert lines[2].split() == ["00_a-0", "0", "finished", "1.2", "1", "–"]
    assert lines[4].split() == ["00_a-2", "2", "failed", "0.0", "2", "–"]
    assert "00_a-2: 00_a: it broke" in lines
    assert lines[-1] == "5 runs: 1 finished, 1 waiting, 1 failed, 2 record damaged."
    assert len(Tags(page(runs)).tags) > 50


@pytest.mark.parametrize(
    "asked", [{}, [{}], [{"name": "a", "notebook": "b", "parameters": []}], [3]]
)
def test_a_folder_without_a_grid_is_named(grid, tmp_path, asked):
    with pytest.raises(RagftError, match=r"grid\.json: missing or damaged"):
        read_runs(tmp_path)
    grid(asked=asked)
    with pytest.raises(RagftError, match=r"grid\.json: missing or damaged"):
        read_runs(tmp_path)


def test_the_page_has_all_runs_their_pictures_and_links_that_are_there(grid):
    arms = {"arms": [{"arm": "rag", "accuracy": interval(0.8)}]}
    folder = grid(({}, {"00_a": arms}), ({"status": "failed", "error": "why"}, {}))
    (folder / "00_a-0" / "00_a.ipynb").write_text("{}")
    path = PageWriter(folder).write()
    assert path == folder / "index.html"
    found = Tags(path.read_text())
    assert found.tags.count("img") == 1 and found.tags.count("details") == 2
    files = [link for link in found.links if not link.startswith("#")]
    assert sorted(files) == ["./00_a-0/00_a.ipynb", "./00_a-0/figures/00_a.png"]
    assert all((folder / link).exists() for link in files)
    assert found.text.count("00_a: accuracy of rag") == 2
    assert "In all runs: profile = smoke." in found.text and "why" in found.text


def test_times_beside_other_runs_are_marked(grid):
    runs = read_runs(grid(({"timed": True, "workers": 2}, {}), ({"timed": True}, {})))
    assert page(runs).count("measured beside other runs") == 1


def test_nothing_becomes_markup_or_leads_elsewhere(grid, tmp_path):
    hostile = 'javascript:alert(1)"><script>.png'
    asked = [
        {"name": EVIL.replace("/", ""), "notebook": EVIL, "parameters": {EVIL: EVIL, "b": [EVIL]}},
        {"name": "b", "notebook": "javascript:alert(1)", "parameters": {EVIL: 2}},
    ]
    folder = grid(asked=asked)
    record = {"status": EVIL, "seconds": 1, "attempts": 1, "error": EVIL, "commit": EVIL}
    record |= {"hardware": {"cpu": EVIL}, "workers": 1, "engine": [EVIL]}
    figures = folder / "b" / "figures"
    (figures / "data").mkdir(parents=True)
    (figures / hostile).write_bytes(b"")
    (figures / "data" / "x<b>.json").write_text(
        json.dumps({"results": {"quantities": {EVIL: interval(1, unit=EVIL) | {"n": EVIL}}}})
    )
    (folder / "b" / "record.json").write_text(sealed_json(record))
    runs = read_runs(folder)
    made = page(runs)
    found = Tags(made)
    ours = "html head meta title style body h1 p table tr th td span a br details summary pre img"
    assert set(found.tags) <= set(ours.split())
    assert found.tags.count("img") == 1
    assert not {name for name in found.attributes if name.startswith("on")}
    assert all(link.startswith(("./", "#")) for link in found.links)
    assert "\x1b" not in made and "\x1b" not in grid_text(runs)
    assert "<script" not in made
    PageWriter(folder).write()


def test_a_page_is_not_written_over_and_over(grid, monkeypatch):
    folder = grid(({}, {}))
    writer = PageWriter(folder)
    now = iter([0.0, 0.0, 1.0, 1.0, 5.0, 30.0, 30.0, 31.0, 31.0])
    monkeypatch.setattr("ragft.report.grid_page.time.monotonic", lambda: next(now))
    writes = []
    monkeypatch.setattr(writer, "write", lambda: writes.append(1))
    writer.changed()  # takes a second, so that there is none for twenty
    writer.changed()
    assert len(writes) == 1
    writer.changed()
    assert len(writes) == 2
