from __future__ import annotations

import pytest

from ragft.batch import plan
from ragft.batch.plan import read_grid
from ragft.types import RagftError

CELL = "profile = 'cpu'\nfacts = 80\nseeds = [0]\nresults = ''\nfigures = ''\nfull = False"


def values(runs):
    return [(run.notebook.stem, run.parameters) for run in runs]


def test_every_notebook_with_every_combination_the_last_changing_fastest(
    make_notebook, make_grid, tmp_path
):
    make_notebook(CELL, name="00_a")
    make_notebook(CELL, name="01_b")
    grid = make_grid("notebooks: [00_a, 1]\nparameters: {profile: smoke, facts: [5, '6'], seed: 3}")
    runs = read_grid(grid, tmp_path)
    given = [{"profile": "smoke", "facts": n, "seeds": [3]} for n in (5, 6)]
    assert values(runs) == [(name, one) for name in ("00_a", "01_b") for one in given]
    assert len({run.name for run in runs}) == 4
    grid = make_grid("notebooks: 00_a\nparameters: {seed: 3, facts: 6, profile: smoke}")
    again = read_grid(grid, tmp_path)
    assert again[0].name == runs[1].name  # whatever their order, and whatever else is run


def test_seed_is_a_list_of_one_where_the_notebook_takes_seeds(make_notebook, make_grid, tmp_path):
    make_notebook(CELL, name="00_a")
    make_notebook("seed = 0\nseeds = [0]", name="01_b")

    def given(text, name="00_a"):
        grid = make_grid(f"notebooks: {name}\nparameters: {{{text}}}")
        return [run.parameters for run in read_grid(grid, tmp_path)]

    assert given("seed: [0, 1]") == [{"seeds": [0]}, {"seeds": [1]}]
    assert given("seeds: [[0, 1], [2]]") == [{"seeds": [0, 1]}, {"seeds": [2]}]
    assert given("seed: [0, 1]", "01_b") == [{"seed": 0}, {"seed": 1}]
    for text, message in {
        "seeds: [0, 1]": r"write seeds: \[\[0, ...\]\] for one run with all of them, or seed: ",
        "seed: 1, seeds: [[2]]": "'seeds' and 'seeds' are the same|'seed' and 'seeds' are the same",
        "seed: a": "the parameter 'seeds' must be list",
    }.items():
        with pytest.raises(RagftError, match=message):
            given(text)


def test_notebooks_may_have_parameters_of_their_own_and_lie_beside_the_grid(
    make_notebook, make_grid, tmp_path
):
    make_notebook("a = 1\nb = 2", name="mine")
    make_notebook("a = 1", name="00_a")
    text = "notebooks: {mine.ipynb: {b: [3, 4], a: 9}, 00_a: }\nparameters: {a: [5]}"
    assert values(read_grid(make_grid(text), tmp_path)) == [
        ("mine", {"a": 9, "b": 3}),
        ("mine", {"a": 9, "b": 4}),
        ("00_a", {"a": 5}),
    ]
    assert values(read_grid(make_grid("notebooks: [0, 00_a]"), tmp_path)) == [("00_a", {})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a grid; write notebooks: "),
        ("[1]", "not a grid"),
        ("notebook: 00_a", "not a grid"),
        ("a: [", "no YAML"),
        ("parameters: {facts: 1}", "names no notebooks"),
        ("notebooks: []", "names no notebooks"),
        ("notebooks: [[00_a]]", "names no notebooks"),
        ("notebooks: 07_x", "no notebook '07_x' in .*: 00_a"),
        ("notebooks: x.ipynb", "no notebook 'x.ipynb'"),
        ("notebooks: 00_a\nparameters: [1]", "parameters: write names with values"),
        ("notebooks: 00_a\nparameters: {1: 2}", "parameters: write names with values"),
        ("notebooks: 00_a\nparameters: {facts: []}", "'facts' has no values, so there is no run"),
        ("notebooks: 00_a\nparameters: {results: x}", "'results' is set by the batch itself"),
        ("notebooks: {00_a: {figures: x}}", "notebooks: 00_a: 'figures' is set by the batch"),
        ("notebooks: 00_a\nparameters: {fact: 3}", "has no parameter 'fact'. It has:\n  profile"),
        ("notebooks: 00_a\nparameters: {facts: [1, a]}", "'facts' must be int, not 'a'"),
        ("notebooks: 00_a\nparameters: {facts: 2024-01-31}", "'facts' must be int, not datetime"),
        ("notebooks: 00_a\nparameters: {profile: [smoke, big]}", "profile: no 'big'; there are"),
    ],
)
def test_a_wrong_grid_is_named_before_anything_runs(
    make_notebook, make_grid, tmp_path, text, message
):
    make_notebook(CELL, name="00_a")
    with pytest.raises(RagftError, match=message):
        read_grid(make_grid(text), tmp_path)


def test_values_without_a_form_in_json_are_refused(make_notebook, make_grid, tmp_path):
    make_notebook("share = 0.5\nmore = {}", name="00_a")
    for text in ("share: .inf", "share: .nan", "more: {1: 2}", "more: {a: 2024-01-31}"):
        grid = make_grid(f"notebooks: 00_a\nparameters: {{{text}}}")
        with pytest.raises(RagftError, match="has no JSON form; quote it"):
            read_grid(grid, tmp_path)


def test_a_missing_file_and_two_notebooks_of_one_name(make_notebook, make_grid, tmp_path):
    with pytest.raises(RagftError, match=r"none\.yaml: cannot be read"):
        read_grid(tmp_path / "none.yaml")
    make_notebook("a = 1", name="00_a")
    (tmp_path / "other").mkdir()
    (tmp_path / "00_a.ipynb").rename(tmp_path / "other" / "00_a.ipynb")
    make_notebook("a = 1", name="00_a")
    grid = make_grid("notebooks: [00_a, other/00_a.ipynb]")
    with pytest.raises(RagftError, match="need different names"):
        read_grid(grid, tmp_path)


def test_too_large_a_grid_is_refused_and_a_large_one_reads_its_notebook_once(
    make_notebook, make_grid, tmp_path, monkeypatch
):
    make_notebook("a = 1\nb = 1\nc = 1", name="00_a")
    tens = list(range(10))
    text = f"notebooks: 00_a\nparameters: {{a: {tens}, b: {tens}, c: {list(range(100))}}}"
    reads = []
    check = plan.check_parameters
    monkeypatch.setattr(plan, "check_parameters", lambda *a: reads.append(a) or check(*a))
    runs = read_grid(make_grid(text), tmp_path)
    assert len({run.name for run in runs}) == 10_000 and len(reads) == 120
    text = (
        f"notebooks: 00_a\nparameters: {{a: {list(range(101))}, b: {tens}, c: {list(range(100))}}}"
    )
    with pytest.raises(RagftError, match="more than 100,000 runs"):
        read_grid(make_grid(text), tmp_path)
