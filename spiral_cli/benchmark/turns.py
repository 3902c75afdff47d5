"""Taking turns: each contender runs a short burst, then the next, round after round.

What slows the machine for a while slows all of them, so ratios hold where absolute figures move. A ratio is that of
two medians of the same round; the median over rounds is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spiral_cli.benchmark.contender import Contender, ContenderError
from spiral_cli.training.control import Control

BURST_SECONDS = 0.03
MOST_CALLS = 2000  # of a burst
Times = list[list[float]]  # seconds of each call, by round


@dataclass
class Taken:
    """What contenders did in their turns, by name.

    Attributes:
        times: of those that went through all rounds.
        failed: why others did not.
        order: who had a turn, one after the other.
    """

    times: dict[str, Times] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


def take_turns(contenders: Sequence[Contender], batch: int, rounds: int, control: Control) -> Taken:
    """Time ``contenders`` on batches of one size; one that fails leaves.

    Raises:
        InterruptedRun: asked to stop.
    """
    taken = Taken()
    calls: dict[str, int] = {}

    def turn(contender: Contender, number: int) -> None:
        name = contender.entry.name
        if name in taken.failed:
            return
        try:
            if number == 0:
                last = contender.ask("warm_up", batch)["seconds"]
                calls[name] = max(1, min(MOST_CALLS, round(BURST_SECONDS / max(last, 1e-9))))
                taken.times[name] = []
            else:
                taken.times[name].append(contender.ask("burst", batch, calls[name])["seconds"])
                taken.order.append(name)
        except ContenderError as error:
            taken.failed[name] = str(error)
            taken.times.pop(name, None)

    for number in range(rounds + 1):
        for contender in contenders:
            control.check()
            turn(contender, number)
    return taken


def figures(times: Times, batch: int) -> dict[str, float | int]:
    """Return milliseconds of a call at the median and where 95 % are faster, and examples a second at the median."""
    calls = np.concatenate([np.asarray(one) for one in times])
    middle, slow = np.percentile(calls, [50, 95])
    return {
        "p50_ms": 1000.0 * float(middle),
        "p95_ms": 1000.0 * float(slow),
        "throughput": batch / float(middle),
        "calls": len(calls),
    }


def speedup(times: Times, others: Times) -> float:
    """Return how many times as fast as ``others`` a contender is: the median of the ratios of each round."""
    pairs = zip(times, others, strict=True)
    return float(np.median([np.median(theirs) / np.median(ours) for ours, theirs in pairs]))


def speedups(taken: Taken, beside: Mapping[str, str]) -> dict[str, float | None]:
    """Return each contender's speedup over the one it stands beside, where both went through all rounds."""
    return {
        name: speedup(times, taken.times[beside[name]]) if beside[name] in taken.times else None
        for name, times in taken.times.items()
    }
