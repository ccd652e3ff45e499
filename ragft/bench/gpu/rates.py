"""What the card reads and multiplies at most: every share in the other sections is of this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragft.bench.gpu.device import Device
from ragft.bench.gpu.settings import Settings
from ragft.generation.shapes import Shape

if TYPE_CHECKING:
    from ragft.experiments.rates import Rates

NAME = "rates"
USES = ("device", "dtype")


def cells(settings: Settings, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Return what is measured: the device, once."""
    return [{"device": settings.device, "dtype": settings.dtype}]


def measure(device: Device, shape: None, cell: dict[str, Any]) -> dict[str, Any]:
    """Measure the rates of a large matrix product and of reading buffers of many sizes."""
    from ragft.experiments.rates import CHECK_SIZES, measure_rates

    options = {} if device.cuda else {"sizes": CHECK_SIZES, "side": 256, "repeats": 2}
    found = measure_rates(cell["device"], cell["dtype"], **options)
    return {
        "rates": found.to_dict(),
        "operations_per_second": found.operations,
        "bytes_per_second": found.reads[-1][1],
    }


def summary(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return nothing: the rates are the row."""
    return []


def known(rows: Sequence[dict[str, Any]]) -> Rates | None:
    """Return the measured rates; None where there is no row."""
    from ragft.experiments.rates import Rates

    return Rates.from_dict(rows[0]["rates"]) if rows else None
