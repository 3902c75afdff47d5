"""Several runs side by side: what differs in their recipes and results, and what seeds alone may explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from spiral_cli.console.texts import drop_text, number, percent
from spiral_cli.report.cautions import Caution, dropped
from spiral_cli.report.intervals import LEVEL
from spiral_cli.report.read import Told
from spiral_cli.report.verdict import verdict

NO_DIFFERENCE = ("name", "seed", "plugin_folder", "version")  # the seed has a line of its own
OF_SEEDS = ("teacher", "student", "drop", "density", "parameters", "seconds")  # what groups give mean and spread of
Row = Mapping[str, Any]


def beside(told: Mapping[str, Told]) -> dict[str, Any]:
    """Compare runs.

    Args:
        told: what their files say, by the name each is to have.

    Returns:
        ``runs``, one row each (see `row_of`); ``differences``, the settings that differ with a value a run;
        ``groups`` of runs that differ by their seed alone (see `group_of`); ``warnings``.
    """
    rows = [row_of(name, one) for name, one in told.items()]
    recipes = [one.report["recipe"] for one in told.values()]
    groups = [group_of(found) for found in alike(rows, recipes)]
    return {
        "runs": rows,
        "differences": differing(recipes),
        "groups": groups,
        "warnings": [asdict(caution) for caution in cautions(rows, groups)],
    }


def row_of(name: str, told: Told) -> dict[str, Any]:
    """Return one run: its test metrics, sizes, files, seconds and status; None where its files say nothing."""
    report, monitor = told.report, told.report["monitor"]
    chosen, cost = report["selected"], report["cost"]
    teacher, student = (one["metrics"]["test"][monitor] if chosen else None for one in (report["teacher"], chosen))
    facts = ("kind", "status", "bytes", "gzip_bytes", "latency_ms", "teacher_latency_ms", "runtime", "threads")
    return {
        "name": name,
        "status": report["status"],
        "verdict": verdict(report),
        "seed": report["seed"],
        "monitor": monitor,
        "test_examples": (report.get("data") or {}).get("test"),
        "teacher": teacher,
        "student": student,
        "drop": dropped(report, "test").value if chosen else None,
        **{key: chosen[key] if chosen else None for key in ("density", "parameters", "nonzero")},
        "artifacts": [{fact: one[fact] for fact in facts} for one in report["artifacts"]],
        "seconds": cost["teacher_seconds"] + cost["student_seconds"],
    }


def differing(recipes: Sequence[Any], prefix: str = "") -> dict[str, list[Any]]:
    """Return the settings that differ, by dotted key with a value a recipe; keys unknown to one are left out."""
    found: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for recipe in recipes for key in recipe):
        if (not prefix and key in NO_DIFFERENCE) or any(key not in recipe for recipe in recipes):
            continue
        values = [recipe[key] for recipe in recipes]
        if all(isinstance(value, Mapping) for value in values):
            found.update(differing(values, f"{prefix}{key}."))
        elif any(value != values[0] for value in values):
            found[prefix + key] = values
    return found


def alike(rows: Sequence[Row], recipes: Sequence[Mapping[str, Any]]) -> list[list[Row]]:
    """Return the runs in groups whose recipes differ by no more than their seed, in the order given."""
    groups: list[tuple[Mapping[str, Any], list[Row]]] = []
    for row, recipe in zip(rows, recipes, strict=True):
        same = next((members for first, members in groups if not differing([first, recipe])), None)
        if same is None:
            groups.append((recipe, [row]))
        else:
            same.append(row)
    return [members for _, members in groups]


def group_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Return mean and standard deviation over the seeds of a group; of a single run the deviation is None."""
    found: dict[str, Any] = {"runs": [row["name"] for row in rows], "seeds": [row["seed"] for row in rows]}
    for key in OF_SEEDS:
        values = [row[key] for row in rows if row[key] is not None]
        spread = stdev(values) if len(set(found["seeds"])) > 1 and len(values) > 1 else None
        found[key] = {"mean": mean(values), "std": spread, "runs": len(values)} if values else None
    return found


def cautions(rows: Sequence[Row], groups: Sequence[Mapping[str, Any]]) -> Iterator[Caution]:
    """Yield what misleads in a comparison."""
    for key, what in (("monitor", "watch different metrics"), ("test_examples", "have test parts of different size")):
        if len({row[key] for row in rows if row[key] is not None}) > 1:
            text = f"The runs {what}: their figures cannot be compared directly."
            yield Caution("not_comparable", text, text)
    for group in groups:
        lost = group["drop"]
        if lost and lost["std"] is not None and abs(lost["mean"]) < lost["std"]:
            yield Caution(
                "inside_noise",
                f"{named(group)}: the drop {drop_text(lost['mean'])} is inside the noise of its seeds",
                f"{named(group)}: the mean drop {drop_text(lost['mean'])} is smaller than its standard deviation over "
                f"{lost['runs']} seeds, {number(lost['std'])}. These seeds cannot tell teacher and student apart.",
            )
    if len(groups) > 1:
        yield from untold(groups)


def untold(groups: Sequence[Mapping[str, Any]]) -> Iterator[Caution]:
    """Yield the groups that seeds do not tell from the one with the smallest drop (Welch 1947)."""
    from scipy.stats import ttest_ind_from_stats

    known = sorted((group for group in groups if group["drop"]), key=lambda group: group["drop"]["mean"])
    single = [group for group in known if group["drop"]["std"] is None]
    several = [group for group in known if group["drop"]["std"] is not None]
    if single:
        names = ", ".join(named(group) for group in single)
        yield Caution(
            "one_seed",
            f"one seed only: {names}",
            f"How far another seed would move these is not known, for each was run with one: {names}. A difference "
            "between them may be luck; three seeds or more say how much.",
        )
    for other in several[1:]:
        best, one = (tuple(group["drop"][key] for key in ("mean", "std", "runs")) for group in (several[0], other))
        if best[1] == one[1] == 0 or ttest_ind_from_stats(*best, *one, equal_var=False).pvalue < 1 - LEVEL:
            continue
        yield Caution(
            "inside_noise",
            f"{named(several[0])} and {named(other)} differ by less than their seeds do",
            f"{named(several[0])} loses {drop_text(best[0])}, {named(other)} {drop_text(one[0])}: over {best[2]} and "
            f"{one[2]} seeds this difference is not significant at the {percent(1 - LEVEL)} level.",
        )


def named(group: Mapping[str, Any]) -> str:
    """Return what a group is called: by its first run, and how many there are."""
    first, *others = group["runs"]
    return f"{first} (+{len(others)})" if others else first


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return what runs are called: their folders' names, or whole paths where two are alike."""
    last = [folder.resolve().name for folder in folders]
    return last if len(set(last)) == len(last) else [str(folder) for folder in folders]
