"""Commands about the workbench itself: what is there, how fast it is, what its records say."""

from __future__ import annotations

import argparse
from typing import Any

from ragft.cli.options import add_command, json_option, keep_record, print_result


def add_commands(commands: Any) -> None:
    """Add `doctor`, `claims`, `bench` and `readme`."""
    _add_doctor(commands)
    _add_claims(commands)
    _add_bench(commands)
    _add_readme(commands)


def _add_doctor(commands: Any) -> None:
    command = add_command(commands, "doctor", _doctor, "show hardware, versions and models")
    json_option(command)


def _doctor(options: argparse.Namespace) -> int:
    from ragft.doctor import examine
    from ragft.report import doctor_text

    found = examine()
    print_result(options, found, doctor_text(found))
    return 0


def _add_claims(commands: Any) -> None:
    command = add_command(commands, "claims", _claims, "hold the claims against the records")
    command.add_argument("--records", default="figures/data", metavar="FOLDER")
    json_option(command)
    command.add_argument("--figure", metavar="FOLDER", help="draw the ledger there: claims.png")


def _claims(options: argparse.Namespace) -> int:
    from ragft.claims import counts, ledger, table
    from ragft.report import columns

    rows = ledger(options.records)
    parts = [f"{group}\n{columns(cells)}" for group, cells in table(rows).items()]
    parts.append(", ".join(f"{count} {name}" for name, count in counts(rows).items()))
    found = [row.to_dict() for row in rows]
    if options.figure:
        from ragft import plotting, report

        report.publish(plotting.ledger(found), options.figure, "claims", {"rows": found})
    print_result(options, found, "\n\n".join(parts))
    return 0


def _add_bench(commands: Any) -> None:
    from ragft.bench.commands import add_benchmarks

    command = add_command(commands, "bench", None, "measure speed, as ratios within one run")
    add_benchmarks(command.add_subparsers(required=True, metavar="BENCHMARK"), _bench)


def _bench(options: argparse.Namespace) -> int:
    from ragft.report import bench_text

    rows = options.measure(options)
    found = {"bench": rows}
    if options.record:
        from ragft.records import provenance, to_json

        keep_record(options, to_json(found | provenance()))
    print_result(options, found, bench_text(rows))
    return 0


def _add_readme(commands: Any) -> None:
    command = add_command(commands, "readme", _readme, "write the tables of Markdown files anew")
    command.add_argument("files", nargs="+", metavar="FILE")


def _readme(options: argparse.Namespace) -> int:
    from ragft.readme import fill

    for name in options.files:
        print(f"{name}: {'changed' if fill(name) else 'as it was'}")
    return 0
