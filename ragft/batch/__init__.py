"""Reruns in batch: numbered notebooks through papermill, with parameters checked first.

`parameters` reads and checks what a notebook takes, `runs` decides what has to run and runs it.
"""

from ragft.batch.parameters import (
    Parameter,
    check_parameters,
    parse_assignments,
    read_parameters,
)
from ragft.batch.runs import (
    NotebookRun,
    numbered_notebooks,
    reproduce,
    run_notebook,
    table,
)

__all__ = [
    "NotebookRun",
    "Parameter",
    "check_parameters",
    "numbered_notebooks",
    "parse_assignments",
    "read_parameters",
    "reproduce",
    "run_notebook",
    "table",
]
