"""Notebooks of a few cells, made where a test needs them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest


@pytest.fixture
def make_notebook(tmp_path):
    """Return a function that writes a notebook from a parameters cell and further code cells."""

    def make(parameters: str | None, *cells: str, name: str = "01_small") -> Path:
        notebook = nbformat.v4.new_notebook()
        notebook.cells.append(nbformat.v4.new_markdown_cell("# A notebook"))
        if parameters is not None:
            tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
            notebook.cells.append(tagged)
        notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path

    return make
