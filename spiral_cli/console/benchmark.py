"""What `spiral benchmark` says. Text out, nothing printed."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from spiral_cli.console.grid import grid
from spiral_cli.console.texts import count, counted, size

Row = Mapping[str, Any]


def benchmark_text(result: Mapping[str, Any], width: int) -> str:
    """Return the tables of speed and of size, then what failed and how it was measured.

    Args:
        result: of `spiral_cli.benchmark.run`.
        width: of the terminal.
    """
    good = [row for row in result["contenders"] if row["latency"]]
    parts = []
    if good:
        for batch in result["batches"]:
            timed = [row for row in good if str(batch) in row["latency"]]
            parts.append(grid([speed_texts(row, batch) for row in timed], f"batch {batch}", width))
        parts.append(grid([size_texts(row) for row in good], "file and memory", width))
    failed = [f"{row['name']}: not measured ({row['reason']})" for row in result["contenders"] if row["reason"]]
    lines = [fill(line, width, subsequent_indent="  ") for line in [*failed, *how(result, good)]]
    return "\n\n".join([*parts, "\n".join(lines)])


def speed_texts(row: Row, batch: int) -> dict[str, str]:
    """Return one contender's speed at a batch by column."""
    found = row["latency"][str(batch)]
    ratio = "" if found["speedup"] is None or row["beside"] == row["name"] else f"{found['speedup']:.2f}x"
    return {
        "": row["name"],
        "p50 ms": milliseconds(found["p50_ms"]),
        "p95 ms": milliseconds(found["p95_ms"]),
        "examples /s": count(found["throughput"]),
        "speed": ratio,
        "beside": row["beside"] if ratio else "",
    }


def size_texts(row: Row) -> dict[str, str]:
    """Return what one contender takes by column."""
    known = {key: row[key] for key in ("parameters", "nonzero", "flops")}
    parameters, nonzero, flops = ("-" if value is None else count(value) for value in known.values())
    return {
        "": row["name"],
        "bytes": size(row["bytes"]),
        "gzip bytes": size(row["gzip_bytes"]),
        "weights": parameters,
        "not zero": nonzero,
        "FLOPs": flops,
        "memory": "-" if row["memory_bytes"] is None else size(row["memory_bytes"]),
    }


def milliseconds(value: float) -> str:
    """Return a time in milliseconds in three digits, small ones with as many decimals as they need."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def how(result: Mapping[str, Any], good: list[Row]) -> list[str]:
    """Return how it was measured: threads, turns, runtimes."""
    threads, lines = result["threads"], []
    others = {row["name"]: row["threads"] for row in good if row["threads"] != threads}
    lines.append(
        f"{counted(threads, 'thread')}; {result['rounds']} rounds in turns, speed is the median of their ratios; "
        "memory is the peak of the process above Python's own"
    )
    lines += [f"{name} computes with {counted(real, 'thread')}" for name, real in others.items()]
    runtimes = sorted({row["runtime"] for row in good if row["runtime"]})
    return [*lines, *([f"runtimes: {'; '.join(runtimes)}"] if runtimes else [])]
