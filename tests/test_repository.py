"""What holds for the repository as a whole: dependencies, house, notebooks, texts, commands.

Most checks are functions that return faults; each is also shown a planted fault, so that a check
that sees nothing is noticed.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ragft.batch import read_parameters
from ragft.types import RagftError

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STRIP_KEYS = "metadata.papermill cell.metadata.papermill"
HEAVY = {"torch", "transformers", "sentence_transformers", "pandas", "trl", "peft", "datasets"}
HEAVY |= {"bitsandbytes", "bert_score", "faiss", "matplotlib", "papermill", "scipy"}


def run(*command: str | Path, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess:
    """Run a command and capture what it prints."""
    texts = [str(part) for part in command]
    return subprocess.run(texts, cwd=cwd, capture_output=True, text=True, check=False, **options)


def tool(name: str) -> Path:
    """Return a command that is installed beside the running interpreter."""
    return Path(sys.executable).with_name(name)


def repository_files() -> list[Path]:
    """Return the files that are, or would be, committed."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout: there is no list of its files")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


# Dependencies


def test_environment_yml_is_in_step_with_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    python, pip, lines = environment["dependencies"]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))
    assert pip == "pip"
    assert lines == {"pip": ["-c constraints.txt", "-e .[all]"]}


def test_pyproject_is_the_only_list_of_dependencies():
    others = ["setup.py", "setup.cfg", "Pipfile", "conda.yml", *ROOT.glob("requirements*.txt")]
    assert [name for name in others if (ROOT / name).exists()] == []


def test_the_extra_all_holds_every_other_extra():
    (everything,) = (Requirement(line) for line in EXTRAS["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == set(EXTRAS) - {"all"}


def resolved() -> dict[str, str]:
    """Return name → version of what is installed because the project, with all extras, needs it."""
    lines = [*PROJECT["dependencies"], *(x for k, v in EXTRAS.items() if k != "all" for x in v)]
    waiting, seen, found = [Requirement(line) for line in lines], set(), {}
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            installed = distribution(requirement.name)
        except PackageNotFoundError:
            found[key[0]] = "not installed"
            continue
        found[key[0]] = installed.version.partition("+")[0]
        for line in installed.requires or []:
            needed, extras = Requirement(line), requirement.extras or {""}
            if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return found


def pins() -> dict[str, str]:
    """Return name → version as constraints.txt has them; nothing but `name==version` passes."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    rows = [re.fullmatch(r"([\w.-]+)==([\w.]+)", x) or x for x in lines if x and x[0] != "#"]
    assert [row for row in rows if isinstance(row, str)] == []
    names = [canonicalize_name(row[1]) for row in rows]
    assert len(set(names)) == len(names)
    return dict(zip(names, (row[2] for row in rows), strict=True))


def test_constraints_pin_every_package_that_is_installed_for_the_project():
    needed, pinned = resolved(), pins()
    assert len(needed) > 100
    assert {n: v for n, v in needed.items() if pinned.get(n) != v} == {}


def test_constraints_satisfy_pyproject():
    pinned = pins()
    lines = [*PROJECT["dependencies"], *(x for k, v in EXTRAS.items() if k != "all" for x in v)]
    for requirement in map(Requirement, lines):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


def imported(source: str) -> set[str]:
    """Return the top-level names of the modules that a source imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("ragft", ["constrained", "documents", "offline", "pii", "qlora"]), ("tests", list(EXTRAS))],
)
def test_every_imported_package_is_declared(folder, extras):
    lines = [*PROJECT["dependencies"], *(x for extra in extras for x in EXTRAS[extra])]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    owners = packages_distributions()
    own = {"ragft", "tests", *sys.stdlib_module_names}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in imported(path.read_text()) - own:
            owned_by = {canonicalize_name(owner) for owner in owners.get(name, [])}
            assert owned_by & declared, f"{path.relative_to(ROOT)} imports {name}: not declared"


# The house


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    """Check the contract of pyproject.toml in a folder that holds a package `ragft`."""
    return run(tool("lint-imports"), "--no-cache", cwd=folder, env={**os.environ, "COLUMNS": "200"})


def test_imports_point_downwards_only():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "kept"),
    [
        ("types", "import json", True),
        ("arms", "import ragft.retrieval", True),
        ("cli", "import ragft.batch", True),
        ("retrieval", "import ragft.arms", False),
        ("retrieval", "import ragft.generation", False),
        ("arms", "def later():\n    import ragft.experiments", False),
        ("types", "from ragft import records", False),
        ("report", "from ragft.batch import x", False),
        ("stranger", "", False),
    ],
)
def test_the_contract_sees_an_upward_a_sideways_and_a_homeless_import(tmp_path, module, line, kept):
    layers = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    (tmp_path / "ragft").mkdir()
    for name in ("__init__", *re.findall(r"\w+", " ".join(layers))):
        (tmp_path / "ragft" / f"{name}.py").write_text("")
    (tmp_path / "ragft" / f"{module}.py").write_text(line)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    result = lint_imports(tmp_path)
    assert (result.returncode == 0) is kept, result.stdout + result.stderr


def imported_at_once(source: str) -> set[str]:
    """Return the top-level names that a module imports when it is imported itself."""
    waiting, names = list(ast.parse(source).body), set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= imported(ast.unparse(node))
        waiting += ast.iter_child_nodes(node)
    return names


def test_what_a_module_imports_at_once_is_told_from_what_it_imports_later():
    source = (
        "from __future__ import annotations\nimport a.b\nfrom c import d\n"
        "if TYPE_CHECKING:\n    import later\nelse:\n    import e\n"
        "def f():\n    import later\n"
        "class K:\n    import g\n    def m(self):\n        import later\n"
        "try:\n    import h\nexcept ImportError:\n    pass\n"
    )
    assert imported_at_once(source) == {"__future__", "a", "c", "e", "g", "h"}


def test_heavy_packages_are_imported_inside_functions():
    exempt = {"torch", "transformers", "peft", "trl", "datasets"}
    paths = sorted((ROOT / "ragft").rglob("*.py"))
    assert len(paths) > 10
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        whole = ("ragft/generation/", "ragft/training/", "ragft/kernels.py")
        allowed = exempt if name.startswith(whole) else set()
        assert imported_at_once(path.read_text()) & HEAVY - allowed == set(), name


def test_import_ragft_is_light():
    best = float("inf")
    for _ in range(3):
        code = "import ragft, sys; print(*sys.modules)"
        result = run(sys.executable, "-X", "importtime", "-c", code)
        assert result.returncode == 0, result.stderr
        assert set(result.stdout.split()) & (HEAVY | {"numpy"}) == set()
        (row,) = re.findall(r"\|\s*(\d+) \| ragft$", result.stderr, flags=re.MULTILINE)
        best = min(best, int(row) / 1e6)
    assert best < 0.3


IMPORT_EVERYTHING = """
import importlib, importlib.abc, logging, os, pkgutil, sys, warnings

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {extras!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
before = (os.getcwd(), dict(os.environ), list(sys.path))
import ragft
for module in pkgutil.walk_packages(ragft.__path__, "ragft."):
    if module.name.rpartition(".")[2] != "__main__":
        importlib.import_module(module.name)
assert (os.getcwd(), list(sys.path)) == (before[0], before[2]), "the folder or the path changed"
changed = {{name for name in os.environ if os.environ[name] != before[1].get(name)}}
assert {{name for name in changed if name.startswith(("RAGFT", "HF_", "OMP", "CUDA"))}} == set()
assert logging.getLogger("ragft").handlers == [], "logging was set up"
if "torch" in sys.modules:
    assert not sys.modules["torch"].cuda.is_initialized(), "CUDA was touched"
print("imported", len([name for name in sys.modules if name.startswith("ragft")]))
"""


def test_every_module_imports_with_the_base_install_alone_and_without_side_effects():
    owners = packages_distributions()
    base = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    optional = {canonicalize_name(Requirement(x).name) for v in EXTRAS.values() for x in v} - base
    optional.discard(PROJECT["name"])
    extras = {n for n, dists in owners.items() if {canonicalize_name(d) for d in dists} <= optional}
    extras -= {"pytest", "_pytest", "hypothesis"}  # packages of the base look for them
    assert {"bitsandbytes", "ranx", "statsmodels"} <= extras
    result = run(sys.executable, "-c", IMPORT_EVERYTHING.format(extras=extras))
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) > 10


def test_a_missing_extra_would_be_seen():
    code = IMPORT_EVERYTHING.format(extras={"ragft"})
    assert "No module named 'ragft'" in run(sys.executable, "-c", code).stderr


# Style


def test_ruff_finds_nothing():
    result = run(tool("ruff"), "check", "--no-cache", "--output-format", "concise", ".")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ('"""A module."""\n\n\ndef public():\n    return 1\n', "D103"),
        ('"""A module."""\n\n\nclass Public:\n    pass\n', "D101"),
        ("import os\n", "D100"),
        ('"""A module."""\n\nimport pickle\n\npickle.loads(b"")\n', "S301"),
        ('"""A module."""\n\nimport numpy as np\n\nnp.random.seed(1)\n', "NPY002"),
    ],
)
def test_ruff_asks_for_docstrings_and_refuses_pickle_and_global_seeds(code, rule):
    command = (tool("ruff"), "check", "--stdin-filename", "ragft/planted.py", "-")
    assert rule in run(*command, input=code).stdout


FAULTS = {
    "a path of one machine": re.compile(r"(?<![\w.-])/wor[k]/|/hom[e]/\w|/User[s]/\w|/roo[t]/\w"),
    "a package index": re.compile(
        r"pypi\.org/simpl[e]|pythonhoste[d]|download\.pytorc[h]"
        r"|-(?:index-url|find-links)[ =]+(?:https?:|file:|/)"
    ),
}
NEIGHBOUR = re.compile(r"\.\./share[d]")


def text_faults(name: str, text: str) -> list[str]:
    """Return what a file of the repository refers to and may not."""
    found = [fault for fault, pattern in FAULTS.items() if pattern.search(text)]
    is_skipping_test = name.startswith("tests/") and "skip" in text
    if NEIGHBOUR.search(text) and not is_skipping_test:
        found.append("a folder beside the repository")
    return found


def test_no_file_refers_to_a_machine_a_registry_or_a_neighbouring_folder():
    seen = 0
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT).as_posix()
        assert text_faults(name, text) == [], name
        seen += 1
    assert seen > 10


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("a.py", "open('/wor" + "k/main/a')", 1),
        ("a.md", "see /hom" + "e/ann/x", 1),
        ("a.md", "C: /User" + "s/ann and /roo" + "t/x", 1),
        ("a.txt", "--extra-index-url " + "https://example.org/simple", 1),
        ("a.txt", "https://download.pytorc" + "h.org/whl", 1),
        ("a.txt", "--find-links=" + "/wheels", 1),
        ("ragft/a.py", "pytest.skip  # ../share" + "d/data", 1),
        ("tests/test_a.py", "Path('../share" + "d/data')", 1),
        ("tests/test_a.py", "pytest.skip('no ../share" + "d/data')", 0),
        ("a.md", "how it works/fails: https://pypi.org/project/numpy", 0),
        ("tests/test_a.py", "refuses '--index-url'", 0),
    ],
)
def test_a_planted_reference_is_found(name, text, count):
    assert len(text_faults(name, text)) == count


def test_the_package_ships_every_data_file_that_lies_in_it():
    package = ROOT / "ragft"
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["ragft"]
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    inside = {path for path in repository_files() if package in path.parents}
    assert {path for path in inside if path.suffix not in {".py", ".typed"}} <= shipped


def test_the_licence_is_apache_2():
    text = " ".join((ROOT / "LICENSE").read_text().split())
    assert PROJECT["license"] == "Apache-2.0"
    assert text.startswith("Apache License Version 2.0, January 2004")
    assert "9. Accepting Warranty or Additional Liability." in text


# Notebooks


def notebook_faults(path: Path) -> list[str]:
    """Return what a notebook has too much of: cells, lines, definitions; and a bad first cell."""
    cells = nbformat.read(path, as_version=4).cells
    faults = [f"{len(cells)} cells"] if len(cells) > 20 else []
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        source, literals = cell.source, "parameters" in cell.metadata.get("tags", [])
        lines = [line for line in source.splitlines() if line.strip()]
        first = lines[0] if lines else ""
        if len(lines) > 8 and not literals:  # of parameters there are as many as it takes
            faults.append(f"{len(lines)} lines from {first!r}")
        code = "\n".join(x for x in source.splitlines() if not x.lstrip().startswith(("%", "!")))
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        if any(isinstance(node, definitions) for node in ast.walk(ast.parse(code))):
            faults.append(f"a definition in the cell from {first!r}")
    try:
        if "profile" not in read_parameters(path):
            faults.append("no parameter 'profile'")
    except RagftError as error:
        faults.append(str(error))
    return faults


def unstripped(*paths: Path) -> str:
    """Return what nbstripout says of the notebooks in which it would change something."""
    result = run(tool("nbstripout"), "--verify", "--extra-keys", STRIP_KEYS, *paths)
    assert (result.returncode == 0) == (result.stdout == ""), result.stderr
    return result.stdout


@pytest.mark.skipif(not NOTEBOOKS, reason="there are no notebooks in notebooks/ yet")
def test_notebooks_are_thin():
    assert {path.name: faults for path in NOTEBOOKS if (faults := notebook_faults(path))} == {}


@pytest.mark.skipif(not NOTEBOOKS, reason="there are no notebooks in notebooks/ yet")
def test_notebooks_are_stripped_and_numbered():
    assert unstripped(*NOTEBOOKS) == "", "run `make strip`"
    assert [p.name for p in NOTEBOOKS if not re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", p.name)] == []


def test_a_thick_notebook_is_found(tmp_path):
    def write(*sources: str, parameters: str = "profile = 'cpu'") -> Path:
        tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        cells = [tagged, *map(nbformat.v4.new_code_cell, sources)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
        return tmp_path / "a.ipynb"

    assert notebook_faults(write("%matplotlib inline\n" + "x = 1\n" * 7)) == []
    assert notebook_faults(write(*["1"] * 20)) == ["21 cells"]
    assert notebook_faults(write("x = 1\n" * 9)) == ["9 lines from 'x = 1'"]
    assert len(notebook_faults(write("def f():\n    pass", "if 1:\n    class K: pass"))) == 2
    assert notebook_faults(write(parameters="seed = 1")) == ["no parameter 'profile'"]
    assert "which is no literal" in notebook_faults(write(parameters="profile = str(1)"))[0]


def test_a_notebook_with_outputs_is_found(tmp_path):
    cell = nbformat.v4.new_code_cell("1", id="0", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "clean.ipynb")
    run_data = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {"duration": 1}})
    nbformat.write(run_data, tmp_path / "papermill.ipynb")
    cell.execution_count = 1
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "run.ipynb")
    found = unstripped(*sorted(tmp_path.glob("*.ipynb")))
    assert re.findall(r"\w+(?=\.ipynb)", found) == ["papermill", "run"]


# Commands


def test_continuous_integration_calls_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make test"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("reproduce", "-m ragft reproduce"),
        ("reproduce-all", "-m ragft reproduce --full"),
        ("test", "-m pytest"),
        ("test-long", "-m pytest -m long"),
        ("lab", "-m jupyterlab"),
        ("lint", "ruff check"),
    ],
)
def test_a_target_makes_its_environment_where_it_is_missing(tmp_path, target, command):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    plan = run("make", "-n", target, cwd=tmp_path).stdout
    install = plan.index("pip install --disable-pip-version-check -c constraints.txt -e '.[all]'")
    assert install < plan.index(command)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    plan = run("make", "-n", target, cwd=tmp_path).stdout
    assert "pip install" not in plan
    assert command in plan


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_python_that_is_too_old_is_one_clear_message(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "oldpython"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    result = run("make", "test", f"PYTHON={old}", cwd=tmp_path)
    assert result.returncode != 0
    assert f"ragft needs Python 3.11 or newer, and {old} is Python 3.9.1." in result.stderr
    assert not (tmp_path / ".venv").exists()
