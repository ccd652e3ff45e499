"""Commands that run notebooks: all of them, one, or a grid of parameters."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ragft.cli.options import add_command, json_option, print_result, profile_option


def add_commands(commands: Any) -> None:
    """Add `reproduce`, `run` and `batch`."""
    _add_reproduce(commands)
    _add_run(commands)
    _add_batch(commands)


def _add_reproduce(commands: Any) -> None:
    command = add_command(commands, "reproduce", _reproduce, "run the numbered notebooks in order")
    profile_option(command)
    command.add_argument(
        "--only", nargs="+", default=[], metavar="NN", help="numbers, such as 00 01"
    )
    command.add_argument(
        "--full", action="store_true", help="the full grid of every notebook (hours)"
    )
    command.add_argument("--notebooks", default="notebooks", metavar="FOLDER")
    command.add_argument("--results", default="results", metavar="FOLDER")
    command.add_argument("--figures", default="figures", metavar="FOLDER")
    command.add_argument("--force", action="store_true", help="run finished ones again")
    command.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="notebooks at once, those that time things alone; default: 2, on one core 1",
    )


def _reproduce(options: argparse.Namespace) -> int:
    from ragft import batch

    smoke = options.profile == "smoke"
    figures = Path(options.results) / "smoke" / "figures" if smoke else Path(options.figures)
    runs = batch.reproduce(
        options.notebooks,
        options.profile,
        options.only,
        results=Path(options.results).absolute(),
        figures=figures.absolute(),
        parameters={"full": True} if options.full else None,
        force=options.force,
        jobs=options.jobs,
    )
    print(batch.table(runs))
    return int(any(run.status == "failed" for run in runs))


def _add_run(commands: Any) -> None:
    command = add_command(commands, "run", _run, "run one notebook with parameters")
    command.add_argument("notebook")
    command.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
    command.add_argument("--out", metavar="FILE", help="where the executed notebook goes")
    command.add_argument("--force", action="store_true", help="run it again if it is finished")


def _run(options: argparse.Namespace) -> int:
    from ragft import batch

    path = Path(options.notebook)
    if not path.suffix:
        path = batch.numbered_notebooks("notebooks", [options.notebook])[0]
    out = Path(options.out) if options.out else Path("results") / "notebooks" / path.name
    run = batch.run_notebook(
        path, out, batch.parse_assignments(options.parameters), force=options.force, progress=True
    )
    print(batch.table([run]))
    return 0


def _add_batch(commands: Any) -> None:
    command = add_command(commands, "batch", _batch, "run notebooks with a grid of parameters")
    command.add_argument(
        "grid",
        metavar="GRID.yaml",
        help='notebooks: ["00_start_here"], parameters: {profile: [smoke], seed: [0, 1, 2]}',
    )
    command.add_argument("--out", required=True, metavar="FOLDER", help="goes on in it, too")
    command.add_argument("--notebooks", default="notebooks", metavar="FOLDER")
    command.add_argument(
        "--jobs", type=int, metavar="N", help="runs at once; default: a core and 3 GB each"
    )
    command.add_argument(
        "--retries", type=int, default=1, metavar="N", help="of a run that fails; default: 1"
    )
    command.add_argument("--force", action="store_true", help="run finished ones again")
    command.add_argument("--dry-run", action="store_true", help="list the runs, start none")
    command.add_argument("--engine", default="local", help="local (default) or ray")
    command.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster")
    json_option(command)


def _batch(options: argparse.Namespace) -> int:
    from ragft import batch
    from ragft.report.grid import grid_text, read_runs
    from ragft.report.grid_page import PageWriter

    if options.dry_run:
        planned = batch.read_grid(options.grid, options.notebooks)
        lines = [f"{run.name}  {run.parameters}" for run in planned]
        values = [{"name": run.name, "parameters": run.parameters} for run in planned]
        print_result(options, values, "\n".join([*lines, f"{len(planned)} runs"]))
        return 0
    writer = PageWriter(options.out)
    records = batch.run_grid(
        options.grid,
        options.out,
        notebooks=options.notebooks,
        jobs=options.jobs,
        retries=options.retries,
        force=options.force,
        engine=options.engine,
        address=options.address,
        progress=not options.json,
        after=writer.changed,
    )
    runs = read_runs(options.out)
    print_result(options, runs, f"{grid_text(runs)}\nPage: {writer.write()}")
    return int(any(record["status"] != "finished" for record in records))
