"""The words and numbers of a run, the same in a live table, in plain lines and in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spiral_cli.events import EpochDone, StageDone

Row = Mapping[str, Any]


def number(value: float | None) -> str:
    """Return a metric or loss with four decimals; tiny and huge ones as they are best read."""
    if value is None:
        return "-"
    rounded = round(value, 4) + 0.0  # no negative zero
    return f"{rounded:.4f}" if 1e-3 <= abs(value) < 1e4 or rounded == value else f"{value:.3g}"


def percent(fraction: float) -> str:
    """Return a fraction as a percentage of three digits."""
    return f"{100 * fraction:.3g} %"


def drop_text(value: float) -> str:
    """Return a drop with its sign: positive is worse."""
    return f"{round(value, 4) + 0.0:+.4f}"


def duration(seconds: float) -> str:
    """Return a time span: ``8 s``, ``2 min 05 s``, ``3 h 20 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return ``1 epoch``, ``2 epochs`` or, with a ``plural`` of its own, ``2 tries``."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def size(count: int) -> str:
    """Return a number of bytes in decimal units, as ``ls -h --si`` would."""
    for unit, factor in (("B", 1), ("kB", 10**3), ("MB", 10**6)):
        if count < 999.5 * factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 10**9:.3g} GB"


def count(value: float) -> str:
    """Return a large number in three digits: ``532 k``, ``7.72 G``."""
    for unit, factor in (("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9)):
        if value < 999.5 * factor:
            return f"{value / factor:.3g} {unit}".strip()
    return f"{value / 10**12:.3g} T"


def named(values: Mapping[str, float]) -> str:
    """Return ``accuracy 0.9712, f1 0.9705`` of losses or metrics."""
    return ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in values.items())


def verdict(row: Row) -> str:
    """Return what the guard decided of a try."""
    return "accepted" if row["accepted"] else "rolled back"


def cells(row: Row, monitor: str) -> dict[str, str]:
    """Return the texts of one try by column, in the order in which they are shown."""
    losses, left = row["losses"], row.get("left")
    return {
        "round": f"{row['round']}" if row["attempt"] == 1 else f"{row['round']} try {row['attempt']}",
        "sparsity": number(row["sparsity"]),
        "density": number(row["density"]),
        "parameters left": f"{row['nonzero']:,}",
        **({"flops left": number(left["flops"])} if left else {}),
        "train loss": number(losses.get("loss")),
        "distillation loss": number(losses.get("distillation_loss")),
        f"validation {monitor}": number(row["metrics"]["validation"][monitor]),
        "drop": drop_text(row["drop"]),
        "seconds": f"{row['seconds']:.1f}",
        "verdict": verdict(row),
    }


def round_line(row: Row, monitor: str) -> str:
    """Return one try as one line."""
    texts = cells(row, monitor)
    label, judged = texts.pop("round"), texts.pop("verdict")
    return f"round {label}: {judged}; " + ", ".join(f"{name} {text}" for name, text in texts.items())


def epoch_line(event: EpochDone) -> str:
    """Return one epoch as one line."""
    measured = f"; validation: {named(event.metrics)}" if event.metrics else ""
    one_term = "distillation_loss" not in event.losses  # then the loss is the task loss
    losses = {"loss": event.losses["loss"]} if one_term else event.losses
    return f"{event.title}, epoch {event.epoch} of {event.epochs}: {named(losses)}{measured}"


def teacher_line(event: StageDone, monitor: str, max_drop: float) -> str:
    """Return the teacher's metric and the budget a student has."""
    metric = f"{monitor} {number(event.metrics[monitor])} on validation"
    made = "stored before" if event.reused else f"{duration(event.seconds)} of training"
    return f"teacher: {metric} ({made}); max_drop {max_drop:g}"
