from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest

from ragft.batch import execution
from ragft.batch.execution import execute
from ragft.types import RagftError


def outputs(text: str) -> str:
    """Return all that the cells of an executed notebook printed."""
    cells = nbformat.reads(text, as_version=4).cells
    return "".join(o.text for c in cells for o in c.get("outputs", []) if "text" in o)


def test_parameters_arrive_as_they_are_in_the_notebooks_folder_and_this_interpreter(
    make_notebook, monkeypatch, tmp_path
):
    # A kernel registered under the same name must not be taken instead.
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["false"], "display_name": "other"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    path = make_notebook(
        "text = ''\nshare = 0.0\nseeds = [0]\nmodel: str | None = 'a'\nflag = True",
        "import os, sys\nprint((text, share, seeds, model, flag))",
        "print(sys.executable, os.getcwd())",
        name="01_{braces}",
    )
    text = "a \"quoted\" 'text'\n\\n {text} é"
    values = {"text": text, "share": float("inf"), "seeds": [1, 2], "model": None, "flag": False}
    printed = outputs(execute(path, values))
    assert printed.splitlines()[0] == repr((text, float("inf"), [1, 2], None, False))
    assert printed.splitlines()[1] == f"{sys.executable} {tmp_path}"


CONNECTION = """
import os
from ipykernel.connect import get_connection_info
info = get_connection_info(unpack=True)
place = os.path.dirname(info["ip"])
print(info["transport"], "curve_secretkey" in info, oct(os.stat(place or ".").st_mode)[-3:], place)
"""
# The client's last question is answered before its handler ends; on a busy machine long before.
SLOW_TO_END = """
import time
kernel = get_ipython().kernel
answer = kernel.shell_handlers["kernel_info_request"]

async def slow(*message):
    await answer(*message)
    time.sleep(1)

kernel.shell_handlers["kernel_info_request"] = slow
"""


@pytest.mark.parametrize("last", ["a = 2", SLOW_TO_END], ids=["at once", "slow to end"])
def test_a_run_is_silent_and_private(make_notebook, capfd, caplog, last):
    """Its sockets lie in a folder that nobody else may enter, which is gone afterwards."""
    path = make_notebook("package = 'numpy==1.0,2.0'", CONNECTION, last)
    kind, _, mode, place = outputs(execute(path, {"package": "a==2"})).split()
    assert (kind, mode) == ("ipc", "700")
    assert not Path(place).exists()
    assert "".join(capfd.readouterr()) == "" and not caplog.messages


def test_where_sockets_cannot_be_files_it_is_encrypted(make_notebook, monkeypatch):
    monkeypatch.setattr(execution, "LONGEST", 0)
    assert outputs(execute(make_notebook(CONNECTION), {})).split()[:2] == ["tcp", "True"]


def test_a_failing_cell_is_shown_with_its_error(make_notebook):
    path = make_notebook("a = 1", "print('before')", "# why\n\n1 / (a - 1)\nprint('after')")
    with pytest.raises(RagftError) as raised:
        execute(path, {})
    assert str(raised.value) == (
        "01_small.ipynb: stopped in the cell `# why`: ZeroDivisionError: division by zero"
    )


def test_a_long_error_is_cut(make_notebook):
    with pytest.raises(RagftError, match=r"ValueError: x{600} \.\.\.$"):
        execute(make_notebook("a = 1", "raise ValueError('x' * 5000)"), {})


def test_a_killed_kernel_is_a_failure(make_notebook):
    path = make_notebook("a = 1", "import os\nos._exit(0)", "print('after')")
    with pytest.raises(RagftError, match="stopped in the cell `import os`: the kernel died"):
        execute(path, {})


def test_a_notebook_that_ends_itself_is_not_complete(make_notebook):
    path = make_notebook("a = 1", "raise SystemExit(0)", "print('after')")
    with pytest.raises(RagftError, match=r"in the cell `print\('after'\)`: never run"):
        execute(path, {})


def test_an_interrupt_stops_the_batch_and_is_no_failed_cell(make_notebook):
    with pytest.raises(KeyboardInterrupt):
        execute(make_notebook("a = 1", "raise KeyboardInterrupt"), {})
