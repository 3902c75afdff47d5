"""The recipe's ``prune``: what is pruned, by which importance, how much, in which shape, and when."""

# No `from __future__ import annotations` here, as in `schema`.

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator

from spiral_cli import registry
from spiral_cli.recipe.kinds import Positive, Sparsity, Text
from spiral_cli.recipe.section import Finding, NameIn, Section, forms, listed, repeated, sources

Left = Annotated[float, Field(gt=0.0, lt=1.0)]
CHANNEL_ALLOCATIONS = ("global", "uniform")
GROUP_PRESSURE = "group_lasso"
CHANNEL_CUT = 0.25


class NM(Section):
    """Keep ``n`` of every ``m`` neighbours along the input axis."""

    n: Positive
    m: Positive

    def rules(self) -> Iterator[Finding]:
        """Fewer are kept than there are."""
        if self.n >= self.m:
            yield ("n",), f"received n: {self.n} with m: {self.m}; allowed: n below m"


class Block(Section):
    """Prune whole blocks of ``[inputs, outputs]`` weights."""

    block: Annotated[list[Positive], Field(min_length=2, max_length=2)]


class Schedule(Section):
    """Sparsity after each round."""

    kind: Annotated[str, NameIn(registry.schedules)] = "geometric"
    final_sparsity: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.9, description="sparsity after the last round"
    )
    rounds: Positive = Field(
        default_factory=lambda known: 1 if known.get("kind") == "one_shot" else 5,
        description="how many turns of the screw; 5 by default, 1 with one_shot",
    )

    def rules(self) -> Iterator[Finding]:
        """One shot is one round."""
        if self.kind == "one_shot" and self.rounds != 1:
            yield (
                ("rounds",),
                f"received {self.rounds}; one_shot is one round: leave rounds out, or choose another kind",
            )


class Pressure(Section):
    """A penalty that pushes what is about to be pruned towards zero, before the cut."""

    kind: Annotated[str, NameIn(registry.pressures)] = Field(
        default="l1", description="l1 by default, of channels group_lasso"
    )
    strength: Annotated[float, Field(ge=0.0)] = Field(
        default=2.0e-4,
        description="of a round to 1 % density, in other rounds in inverse proportion; of channels where they leave",
    )


class Budget(Section):
    """What may be left of the student in the end: exactly one measure."""

    flops: Left | None = Field(default=None, description="part of the floating-point operations")
    parameters: Left | None = Field(default=None, description="part of the weights")
    latency: Left | None = Field(default=None, description="part of the measured time of one example")

    def rules(self) -> Iterator[Finding]:
        """One measure."""
        yield from sources(self, ("flops", "parameters", "latency"))

    @property
    def measure(self) -> str:
        """Its name."""
        return next(key for key in type(self).model_fields if getattr(self, key) is not None)

    @property
    def left(self) -> float:
        """The part that may be left."""
        return float(getattr(self, self.measure))


class Prune(Section):
    """What is pruned, by which importance, how much, in which shape, and when."""

    criterion: Annotated[str, NameIn(registry.criteria, more=registry.group_criteria)] = "magnitude"
    allocation: Annotated[
        Annotated[str, NameIn(registry.allocations), Tag("<text>")] | Annotated[dict[str, Sparsity], Tag("<mapping>")],
        forms("a name, or a mapping of layer pattern to its final sparsity"),
    ] = Field(
        default="global", description="how sparsity is spread over layers, or layer pattern to its final sparsity"
    )
    granularity: Annotated[
        Annotated[Literal["unstructured", "channel"], Tag("<text>")]
        | Annotated[NM, Tag("<mapping>")]
        | Annotated[Block, Tag("<block>")],
        forms("unstructured, channel, {n: 2, m: 4} or {block: [4, 4]}", "unstructured", "channel"),
    ] = Field(
        default="unstructured", description="single weights, n kept of every m, whole blocks, or channels that leave"
    )
    budget: Budget | None = Field(
        default=None, description="of channels: what may be left in the end, instead of schedule.final_sparsity"
    )
    round_to: Positive = Field(default=1, description="channels left in a layer are a multiple of it")
    min_channels: Positive = Field(default=1, description="channels that every layer keeps")
    schedule: Annotated[
        Annotated[Schedule, Tag("<mapping>")] | Annotated[list[Sparsity], Field(min_length=1), Tag("<list>")],
        forms("a mapping of kind, final_sparsity and rounds, or a list of sparsities"),
    ] = Field(
        default_factory=dict,
        validate_default=True,
        description="a kind with final_sparsity and rounds, or a list of sparsities",
    )
    pressure: Pressure | None = Field(
        default_factory=lambda known: None if known.get("granularity") == "channel" else {}, validate_default=True
    )
    cut: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default_factory=lambda known: 0.75 if known.get("granularity") != "channel" else CHANNEL_CUT,
        description="part of a round over which its density falls (masks may regrow until then), or after which "
        "channels leave",
    )
    regrow: bool = Field(default=False, description="until the cut is done, cut weights train on and may come back")
    weights: Literal["continue", "rewind", "fresh"] = Field(
        default="continue",
        description="each round goes on from the last, rewinds to the dense student, or, of channels, trains what is "
        "left from fresh weights",
    )
    targets: Annotated[list[Text], Field(min_length=1)] = Field(
        default=["*"], description="layers to prune: globs or re:…"
    )
    ignore: list[Text] = Field(default=[], description="layers to leave dense: globs or re:…")

    @model_validator(mode="before")
    @classmethod
    def group_pressure(cls, raw: Any) -> Any:
        """Give a pressure without a kind the only one there is for channels."""
        match raw:
            case {"granularity": "channel", "pressure": {**pressure}} if "kind" not in pressure:
                return {**raw, "pressure": {**pressure, "kind": GROUP_PRESSURE}}
        return raw

    @model_validator(mode="before")
    @classmethod
    def implied_sparsity(cls, raw: Any) -> Any:
        """Give a recipe without a final sparsity the one that its n:m pattern, or its budget, has."""
        match raw:
            case {"granularity": {"n": int(n), "m": int(m)}} if 0 < n < m:
                implied = 1 - n / m
            case {"budget": {**budget}} if len(budget) == 1 and isinstance(left := next(iter(budget.values())), float):
                implied = 1 - left
            case _:
                return raw
        schedule = raw.get("schedule", {})
        if isinstance(schedule, dict) and "final_sparsity" not in schedule and 0 < implied < 1:
            return {**raw, "schedule": {**schedule, "final_sparsity": implied}}
        return raw

    @property
    def measure(self) -> str:
        """What the schedule's numbers are a part of: weights, channels, or what the budget names."""
        if self.granularity != "channel":
            return "weights"
        return self.budget.measure if self.budget is not None else "channels"

    def rules(self) -> Iterator[Finding]:
        """Sparsity grows from round to round and reaches what the pattern asks; patterns work."""
        if isinstance(self.schedule, list):
            final, last = self.schedule[-1], len(self.schedule) - 1
            place: tuple[str | int, ...] = ("schedule", last)
            for index, (before, after) in enumerate(pairwise([0.0, *self.schedule])):
                if after <= before:
                    yield ("schedule", index), f"received {after}; allowed: more than the {before} before it"
        else:
            final, place = self.schedule.final_sparsity, ("schedule", "final_sparsity")
        if isinstance(self.granularity, NM):
            least = 1 - self.granularity.n / self.granularity.m
            if final < least - 1e-3:  # a person writes 0.666 for 2/3
                pattern = f"{self.granularity.n} of {self.granularity.m}"
                yield place, f"received {final}; keeping {pattern} is a sparsity of {least:.4g}: give at least that"
        yield from self.rules_of_channels() if self.granularity == "channel" else self.rules_of_weights()
        if self.budget is not None and self.granularity == "channel" and abs(1 - self.budget.left - final) > 1e-9:
            yield (
                place,
                f"received {final} with a budget of {self.budget.left:g} {self.budget.measure}, which ends at "
                f"{1 - self.budget.left:.4g}: leave one of them out",
            )
        for key in ("targets", "ignore"):
            patterns = getattr(self, key)
            yield from repeated(key, patterns)
            for index, pattern in enumerate(patterns):
                if pattern.startswith("re:") and (error := regex_error(pattern[3:])):
                    yield (key, index), f"received {pattern!r}, which is no regular expression: {error}"

    def rules_of_weights(self) -> Iterator[Finding]:
        """Keys of channels stand with channels alone."""
        for key, default in (("budget", None), ("round_to", 1), ("min_channels", 1)):
            if getattr(self, key) != default:
                yield (key,), f"received {key}, which is about channels; allowed: with granularity: channel alone"
        if self.weights == "fresh":
            yield (
                ("weights",),
                "received 'fresh', by whose weights masks cannot be chosen; allowed: continue, rewind, or "
                "granularity: channel",
            )
        if self.criterion not in registry.criteria.names():
            yield (
                ("criterion",),
                f"received {self.criterion!r}, which ranks whole channels; allowed: granularity: channel, or a "
                f"criterion of {listed(registry.criteria.names())}",
            )

    def rules_of_channels(self) -> Iterator[Finding]:
        """What there is of weights alone is refused."""
        if isinstance(self.allocation, str) and self.allocation not in CHANNEL_ALLOCATIONS:
            yield (
                ("allocation",),
                f"received {self.allocation!r} with granularity channel; allowed: {listed(CHANNEL_ALLOCATIONS)}, or "
                "numbers by layer",
            )
        if self.budget is not None and not isinstance(self.allocation, str):
            yield ("allocation",), "received numbers by layer and a budget for the whole; give one of them"
        if self.pressure is not None and self.pressure.kind != GROUP_PRESSURE:
            yield (
                ("pressure", "kind"),
                f"received {self.pressure.kind!r} with granularity channel; allowed: {GROUP_PRESSURE}, which pushes "
                "whole groups, or pressure: null",
            )
        if self.regrow:
            yield ("regrow",), "received regrow with granularity channel; what has left cannot return: leave it out"
        if self.weights == "rewind":
            yield (
                ("weights",),
                "received 'rewind' with granularity channel; what has left cannot return; allowed: continue, fresh",
            )


def regex_error(pattern: str) -> str:
    """Return what is wrong with a regular expression, or an empty string."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""
