"""Open-loop load: questions arrive when they arrive, whether or not the last one is answered.

A closed loop asks again only after an answer, so a slow server is asked less and its delays are
never seen (coordinated omission). Here all arrival times are drawn beforehand, and latency counts
from them. One server takes what waits, in order, one at a time or in batches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ragft.evaluation.quantiles import Quantile, quantile
from ragft.types import Question, RagftError

if TYPE_CHECKING:
    from ragft.arms.base import Arm

Serve = Callable[[Sequence[int]], object]
"""Answers the requests of these numbers, and returns when all are answered."""


class Clock(Protocol):
    """What tells the time, in seconds; only differences mean anything."""

    def now(self) -> float:
        """Return the time."""
        ...

    def wait_until(self, moment: float) -> None:
        """Return at this time, or at once where it has passed."""
        ...


class WallClock:
    """The real, monotonic clock."""

    def now(self) -> float:
        """Return the time."""
        return time.perf_counter()

    def wait_until(self, moment: float) -> None:
        """Sleep; the system may wake us late, which `Load.dispatch` shows."""
        time.sleep(max(0.0, moment - time.perf_counter()))


class SimulatedClock:
    """A clock that stands still until it is told to go on, for tests and for what-if questions."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the time."""
        return self._now

    def wait_until(self, moment: float) -> None:
        """Jump to this time."""
        self._now = max(self._now, moment)

    def advance(self, seconds: float) -> None:
        """Let time pass, as a server does that works."""
        self._now += seconds


def poisson_arrivals(rate: float, seconds: float, seed: int = 0) -> np.ndarray:
    """Return the arrival times of a Poisson process, sorted, in [0, seconds).

    Parameters
    ----------
    rate : float
        Arrivals a second, above 0.
    seconds : float
        Above 0.
    seed : int

    Raises
    ------
    RagftError
        A number is out of range.
    """
    if not (0 < rate < math.inf and 0 < seconds < math.inf):
        raise RagftError(f"load: rate={rate}, seconds={seconds}; both must be above 0")
    rng = np.random.default_rng(seed)
    # Given their number, the arrivals of a Poisson process are uniform and independent.
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))


@dataclass(frozen=True)
class Load:
    """What became of the requests of one run; times in seconds since its start."""

    intended: np.ndarray
    """When each request arrived, sorted, shape (n,)."""
    started: np.ndarray
    """When its service began; NaN where the run ended before."""
    finished: np.ndarray
    """When it was answered; NaN where the run ended before."""
    free: np.ndarray
    """When the server was done with what came before; NaN where the run ended before."""
    seconds: float
    """Length of the window in which requests arrived."""

    @property
    def latency(self) -> np.ndarray:
        """Time from arrival to answer; inf for what was never answered."""
        return np.where(np.isnan(self.finished), np.inf, self.finished - self.intended)

    @property
    def service(self) -> np.ndarray:
        """Time that answering took; NaN for what was never answered."""
        return self.finished - self.started

    @property
    def dispatch(self) -> np.ndarray:
        """Delay between request and free server both being there, and the start: our own fault."""
        return self.started - np.maximum(self.intended, self.free)

    @property
    def offered(self) -> float:
        """Requests a second that arrived."""
        return len(self.intended) / self.seconds

    @property
    def backlog(self) -> int:
        """Requests that were not answered when the last could arrive."""
        return int((~(self.finished <= self.seconds)).sum())

    @property
    def grew(self) -> bool:
        """Whether the queue grew: the load is above what the server can take.

        The backlog of a server that is exactly busy all the time is about |N(0, 1)| times the
        root of the number of arrivals (a random walk that is kept at 0 or above), so more than
        twice the root is a sign of overload with 95 % confidence.
        """
        return bool(np.isnan(self.finished).any()) or self.backlog > 2 * math.sqrt(
            len(self.intended)
        )

    def goodput(self, limit: float) -> float:
        """Return the answers a second that came within `limit` seconds of the arrival."""
        return float((self.latency <= limit).sum()) / self.seconds

    @cached_property
    def cycles(self) -> np.ndarray:
        """The number of each request's busy period, from 0; it begins with an idle server."""
        idle = ~(self.intended < self.free)
        idle[np.isnan(self.free)] = False
        return np.maximum(np.cumsum(idle) - 1, 0)

    def quantile(self, q: float, level: float = 0.95, n_boot: int = 1000) -> Quantile:
        """Return a quantile of the latencies; its interval resamples whole busy periods.

        Requests in one queue wait for each other, so single latencies are no sample; busy
        periods are independent of each other.

        Source: the regenerative method, Crane and Iglehart (1975), Operations Research 23(1).
        """
        return quantile(self.latency, q, self.cycles, level=level, n_boot=n_boot)


def offer(
    serve: Serve,
    arrivals: np.ndarray,
    seconds: float,
    *,
    batch: int = 1,
    time_limit: float = math.inf,
    clock: Clock | None = None,
) -> Load:
    """Let requests arrive at given times, and note when each was begun and answered.

    Parameters
    ----------
    serve : callable
        `serve(numbers)` answers these requests; numbers count the arrivals from 0.
    arrivals : ndarray of float
        Seconds after the start, sorted.
    seconds : float
        Length of the window they were drawn for.
    batch : int
        Requests that are answered together, at most; a free server takes what waits, and never
        waits for more.
    time_limit : float
        No service begins later; what is left is never answered.
    clock : Clock, optional
        None: the real one.

    Raises
    ------
    RagftError
        The arrivals are not sorted, batch is below 1, or the clock ran backwards.
    """
    clock = clock or WallClock()
    arrivals = np.asarray(arrivals, float)
    if batch < 1 or (np.diff(arrivals) < 0).any():
        raise RagftError(f"load: batch={batch} must be 1 or more, and arrivals must be sorted")
    started, finished, free = (np.full(len(arrivals), np.nan) for _ in range(3))
    origin, done, before = clock.now(), 0, 0.0
    while done < len(arrivals):
        clock.wait_until(origin + arrivals[done])
        begun = clock.now() - origin
        if begun >= time_limit:
            break
        waiting = int(np.searchsorted(arrivals, begun, side="right")) - done
        taken = slice(done, done + max(1, min(batch, waiting)))
        serve(range(taken.start, taken.stop))
        ended = clock.now() - origin
        if not before <= begun <= ended:
            raise RagftError("load: the clock ran backwards, so no time of this run can be told")
        started[taken], finished[taken], free[taken] = begun, ended, before
        done, before = taken.stop, ended
    return Load(arrivals, started, finished, free, seconds)


def answering(arm: Arm, questions: Sequence[Question]) -> Serve:
    """Return what answers request n with question n of a list, over and over."""
    if not questions:
        raise RagftError("load: there is nothing to ask")
    return lambda numbers: arm.answer([questions[n % len(questions)] for n in numbers])


@dataclass(frozen=True)
class Capacity:
    """The highest load that still meets a limit."""

    rate: float
    """Requests a second; NaN where no load met the limit."""
    low: float
    """Highest load whose quantile lies below the limit with its whole interval; 0 without one."""
    high: float
    """Lowest load whose quantile lies above it with its whole interval; inf without one."""
    tried: tuple[tuple[float, Quantile, bool], ...]
    """Every load tried, in order: rate, quantile, whether the queue grew."""


def highest_load(
    measure: Callable[[float], Load],
    limit: float,
    lowest: float,
    highest: float,
    *,
    q: float = 0.95,
    steps: int = 7,
) -> Capacity:
    """Find the highest load at which a quantile of the latencies stays within a limit.

    Bisects between the two loads given, on a logarithmic scale.

    Parameters
    ----------
    measure : callable
        `measure(rate)` offers a load and returns what became of it.
    limit : float
        Seconds.
    lowest, highest : float
        Loads to search between, requests a second.
    q : float
        The quantile that has to stay within the limit.
    steps : int
        Loads tried after the first two.

    Raises
    ------
    RagftError
        The loads are not in order and above 0.
    """
    if not 0 < lowest < highest:
        raise RagftError(f"load: lowest={lowest}, highest={highest}; give 0 < lowest < highest")
    tried: list[tuple[float, Quantile, bool]] = []

    def meets(rate: float) -> bool:
        load = measure(rate)
        tried.append((rate, load.quantile(q), load.grew))
        return tried[-1][1].value <= limit and not load.grew

    if not meets(lowest):
        return _capacity(math.nan, limit, tried)
    if meets(highest):
        return _capacity(highest, limit, tried)
    good, bad = lowest, highest
    for _ in range(steps):
        middle = math.sqrt(good * bad)
        good, bad = (middle, bad) if meets(middle) else (good, middle)
    return _capacity(good, limit, tried)


def _capacity(rate: float, limit: float, tried: Sequence[tuple[float, Quantile, bool]]) -> Capacity:
    surely = [r for r, found, grew in tried if found.high <= limit and not grew]
    never = [r for r, found, grew in tried if grew or found.low > limit]
    return Capacity(rate, max(surely, default=0.0), min(never, default=math.inf), tuple(tried))
