"""Where the numbers of a run mislead. Pure functions of `report.json`; each finds one kind of trap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spiral_cli.console.texts import counted, drop_text, number, percent
from spiral_cli.guard import drop, monitor_mode, within_budget
from spiral_cli.report.intervals import (
    LEVEL,
    examples_needed,
    paired_error,
    paired_interval,
    separate_error,
    separate_interval,
)

Report = Mapping[str, Any]
COUNTED = ("accuracy", "exact_match")  # metrics that count examples, whose intervals need no drawing
MANY_ZEROS = 0.5  # of all weights
FASTER = 0.9  # of the teacher's latency; less gain than this may be the clock's


@dataclass(frozen=True)
class Caution:
    """One trap: its kind, a line for a terminal, and the whole of it."""

    kind: str
    short: str
    text: str


@dataclass(frozen=True)
class Drop:
    """The drop of the monitored metric on one part, and how far chance may move it.

    Attributes:
        value: absolute, positive is worse.
        examples: of the part, or None where a report does not tell.
        interval: at `intervals.LEVEL`, or None where it is not known.
        error: the standard error, or None.
        paired: whether it is known on which examples the two models differ.
    """

    value: float
    examples: int | None
    interval: tuple[float, float] | None = None
    error: float | None = None
    paired: bool = False


def cautions(report: Report) -> list[Caution]:
    """Return every trap in a report, in the order in which they matter.

    Args:
        report: as `report.json`; what an older one does not tell is passed over.
    """
    if report["selected"] is None:
        return []
    finders = (parts_disagree, validation_too_small, inside_noise, zeros_not_faster, exports_failed)
    return [caution for find in finders for caution in find(report)]


def dropped(report: Report, part: str) -> Drop:
    """Return the chosen student's drop on ``validation`` or ``test``."""
    monitor, chosen = report["monitor"], report["selected"]
    teacher, student = (one["metrics"][part][monitor] for one in (report["teacher"], chosen))
    lost = drop(teacher, student, monitor_mode(monitor, report["recipe"]["guard"]["mode"]))
    examples = report.get("data", {}).get(part)
    drawn = (chosen.get("bootstrap") or {}).get(part)
    if drawn and monitor not in COUNTED:
        return Drop(lost, examples, (drawn["low"], drawn["high"]), drawn["error"], paired=True)
    if not examples or monitor not in COUNTED:
        return Drop(lost, examples)
    counts = (chosen.get("paired") or {}).get(part)
    if counts is None:
        interval, error = (
            separate_interval(examples, teacher, student),
            separate_error(examples, teacher, student),
        )
        return Drop(lost, examples, interval, error)
    return Drop(lost, examples, paired_interval(**counts), paired_error(**counts), paired=True)


def parts_disagree(report: Report) -> Iterator[Caution]:
    """Find a student that kept its budget on validation alone, or whose two drops chance does not explain."""
    validation, test = dropped(report, "validation"), dropped(report, "test")
    budget, monitor = report["max_drop"], report["monitor"]
    both = f"{drop_text(validation.value)} on validation, {drop_text(test.value)} on test"
    if within_budget(validation.value, budget) and not within_budget(test.value, budget):
        yield Caution(
            "test_disagrees",
            f"the drop is {both}: outside max_drop {budget:g} on test",
            f"The student keeps max_drop {budget:g} on the validation part, which chose it, but not on the test part, "
            f"which nothing was chosen by: its drop of {monitor} is {both}. Trust the test part.",
        )
    elif validation.interval is not None and test.interval is not None:
        apart = abs(validation.value - test.value)
        chance = math.hypot(*((high - low) / 2 for low, high in (validation.interval, test.interval)))
        if apart > chance:
            yield Caution(
                "test_disagrees",
                f"the drop is {both}: more apart than chance explains",
                f"The drop of {monitor} is {both}. They are {apart:.4f} apart, where chance leaves parts drawn alike "
                f"within {chance:.4f} at {percent(LEVEL)} confidence: the parts may not be of the same kind, or the "
                "rounds have fitted the validation part.",
            )


def validation_too_small(report: Report) -> Iterator[Caution]:
    """Find a validation part on which chance moves the drop by more than the whole budget."""
    judged, budget, monitor = dropped(report, "validation"), report["max_drop"], report["monitor"]
    if judged.interval is None or judged.examples is None:
        return
    low, high = judged.interval
    if high - low <= budget:
        return
    needed = examples_needed(judged.examples, high - low, budget)
    enough = f"about {needed:,} examples would do" if needed else "no number of examples can judge a budget of 0"
    known = "" if judged.paired else ", without knowing on which examples the two differ"
    yield Caution(
        "validation_too_small",
        f"{judged.examples:,} validation examples are few for max_drop {budget:g}: {enough}",
        f"The drop of {monitor} was judged on {judged.examples:,} validation examples. It measured "
        f"{drop_text(judged.value)}, but its {percent(LEVEL)} interval reaches from {drop_text(low)} to "
        f"{drop_text(high)}{known}: {high - low:.4f} wide, and max_drop is {budget:g}. Whether a round was kept or "
        f"rolled back may have been luck; {enough}.",
    )


def inside_noise(report: Report) -> Iterator[Caution]:
    """Find a drop on test that is smaller than its own standard error."""
    test, monitor = dropped(report, "test"), report["monitor"]
    if test.error is None or test.examples is None or abs(test.value) >= test.error:
        return
    yield Caution(
        "inside_noise",
        f"the drop on test, {drop_text(test.value)}, is less than its standard error {number(test.error)}",
        f"On the test part the student's drop of {monitor} is {drop_text(test.value)}, less than its standard error "
        f"of {number(test.error)} ({test.examples:,} examples): this part cannot tell teacher and student apart, and "
        "another seed may turn the sign round. Runs with other seeds beside this one (spiral compare) say more.",
    )


def zeros_not_faster(report: Report) -> Iterator[Caution]:
    """Find exports of a student full of zeros that take the teacher's time all the same."""
    chosen = report["selected"]
    zeros = 1.0 - chosen["nonzero"] / chosen["parameters"]
    slow = [one for one in report["artifacts"] if one["status"] == "ok" and not faster(one)]
    if zeros < MANY_ZEROS or not slow:
        return
    kinds = ", ".join(one["kind"] for one in slow)
    parts = [one["latency_ms"] / one["teacher_latency_ms"] for one in slow]
    least, most = f"{min(parts):.2f}", f"{max(parts):.2f}"
    times = "; ".join(
        f"{one['kind']} takes {one['latency_ms']:.3g} ms where the teacher takes {one['teacher_latency_ms']:.3g} ms "
        f"({one.get('runtime') or one['kind']}, {counted(one.get('threads') or 1, 'thread')})"
        for one in slow
    )
    yield Caution(
        "zeros_not_faster",
        f"{percent(zeros)} zeros, but {kinds} at {least if least == most else f'{least} to {most}'} of the teacher's "
        "latency",
        f"{percent(zeros)} of the student's weights are zero, but {times}. These runtimes multiply by zeros, too. "
        "Zeros make a file smaller after coding; for speed remove channels (granularity: channel) or use int8.",
    )


def faster(artifact: Mapping[str, Any]) -> bool:
    """Say whether a file is clearly faster than the teacher's counterpart, or nothing is known of that."""
    ours, theirs = artifact.get("latency_ms"), artifact.get("teacher_latency_ms")
    return not ours or not theirs or ours <= FASTER * theirs


def exports_failed(report: Report) -> Iterator[Caution]:
    """Find exports that did not work."""
    for one in report["artifacts"]:
        if one["status"] != "ok":
            yield Caution(
                "export_failed",
                f"export to {one['kind']} failed",
                f"The export to {one['kind']} failed and is not shipped: {one['reason']}",
            )
