"""The recipe's `data` section: where examples come from and what the model expects of them."""

# No `from __future__ import annotations` here, as in `schema`.

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Tag

from spiral_cli import registry
from spiral_cli.errors import did_you_mean
from spiral_cli.recipe.augment import augment_findings
from spiral_cli.recipe.kinds import Builder, Path, Positive, Text
from spiral_cli.recipe.section import Finding, NameIn, Section, forms, listed, repeated, sources

ClassName = Annotated[Text, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class Tokens(Section):
    """How text becomes the numbers that a model is given."""

    kind: Literal["unigram", "bpe", "word", "char"] = Field(
        default="unigram", description="pieces of words (sentencepiece), whole words, or characters"
    )
    vocabulary: Annotated[int, Field(ge=8, le=1_000_000)] = Field(
        default=8000,
        description="at most this many pieces, learnt from the train part; of characters all that it holds",
    )
    lower: bool = Field(default=True, description="write everything small; of translations false by default")
    max_length: Positive = Field(default=64, description="pieces of a text that are read; what is longer is cut off")


class Audio(Section):
    """How sound becomes the log-mel spectrogram that a model is given."""

    sample_rate: Annotated[int, Field(ge=1000, le=384_000)] = Field(
        default=16_000, description="samples a second; recordings of other rates are resampled"
    )
    seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=1.0, description="length of a clip to classify; shorter ones are padded with silence, longer ones cut"
    )
    longest: Annotated[float, Field(gt=0.0)] = Field(
        default=20.0, description="seconds of an utterance to recognise; longer ones are not trained on"
    )
    speeds: list[Annotated[float, Field(ge=0.5, le=2.0)]] = Field(
        default=[], description="recordings to recognise are trained on at these speeds, too: [0.9, 1.1]"
    )
    mels: Annotated[int, Field(ge=1, le=512)] = Field(default=40, description="bands of the mel scale")
    window: Annotated[float, Field(gt=0.0)] = Field(default=0.025, description="seconds of sound in one spectrum")
    hop: Annotated[float, Field(gt=0.0)] = Field(default=0.010, description="seconds from one spectrum to the next")
    low: Annotated[float, Field(ge=0.0)] = Field(default=20.0, description="Hz, where the lowest band begins")
    high: Annotated[float, Field(gt=0.0)] | None = Field(
        default=None, description="Hz, where the highest band ends; half the sample rate by default"
    )

    def rules(self) -> Iterator[Finding]:
        """Bands lie below half the sample rate; windows overlap or touch, and at least one fits into a clip."""
        yield from repeated("speeds", [1.0, *self.speeds])
        highest = self.sample_rate / 2
        if self.high is not None and self.high > highest:
            yield ("high",), f"received {self.high:g}; allowed: up to {highest:g}, half of data.audio.sample_rate"
        if self.low >= (top := min(self.high or highest, highest)):
            yield ("low",), f"received {self.low:g}; allowed: below {top:g}, where the highest band ends"
        if self.hop > self.window:
            yield ("hop",), f"received {self.hop:g}; allowed: up to {self.window:g}, the window, or sound is skipped"
        if self.hop * self.sample_rate < 1:
            yield ("hop",), f"received {self.hop:g}; allowed: from {1 / self.sample_rate:g}, one sample"
        if self.window > self.seconds:
            yield ("window",), f"received {self.window:g}; allowed: up to {self.seconds:g}, the seconds of a clip"


class Data(Section):
    """Where examples come from and what the model expects of them."""

    format: Annotated[str, NameIn(registry.datasets)] | None = Field(
        default=None, description="a registered dataset format"
    )
    builder: Builder | None = Field(
        default=None, description="package.module:function that returns arrays; instead of format"
    )
    path: Path | None = Field(
        default=None, description="folder or file (of tfrecord also a pattern), relative to the recipe"
    )
    train: Path | None = Field(default=None, description="the train part where it has a path of its own")
    validation: Annotated[
        Annotated[Path, Tag("<text>")] | Annotated[float, Field(gt=0.0, lt=1.0), Tag("<number>")],
        forms("a fraction of the train part above 0 and below 1, or a path"),
    ] = Field(
        default=0.1,
        description="fraction of train (seeded, stratified) where the set ships no validation part, or its path",
    )
    test: Path | None = Field(default=None, description="the test part where it has a path of its own")
    subset: Positive | None = Field(default=None, description="train on this many examples only (seeded, stratified)")
    columns: dict[Text, Text] = Field(
        default={}, description="what the columns of a table are called where not label and text: {text: sentence}"
    )
    tokens: Tokens = Field(default_factory=dict, validate_default=True, description="of text: how it becomes numbers")
    audio: Audio = Field(
        default_factory=dict, validate_default=True, description="of sound: how it becomes spectrograms"
    )
    stream: Literal["auto", True, False] = Field(
        default="auto", description="read images from disk in every epoch; auto: where they take more than memory_gb"
    )
    memory_gb: Annotated[float, Field(gt=0.0)] = Field(
        default=4.0, description="what images, and views of them, may take in memory, in 10^9 bytes"
    )
    image_size: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="[height, width]; images of other sizes are resized"
    )
    channels: Literal[1, 3] | None = Field(default=None, description="1 grey, 3 colour; as the data are by default")
    scale: Literal["0-255", "0-1", "-1-1"] = Field(default="0-1", description="the range of values the model expects")
    classes: Annotated[list[ClassName], Field(min_length=1)] | None = Field(
        default=None, description="class names in the order of the model's outputs"
    )
    labels: Literal["auto", "sparse", "one_hot", "binary", "multi_label"] = Field(
        default="auto", description="how labels are written"
    )
    class_weights: (
        Annotated[
            Annotated[Literal["balanced"], Tag("<text>")]
            | Annotated[dict[str, Annotated[float, Field(gt=0.0)]], Tag("<mapping>")],
            forms("balanced, or a mapping of class name to weight", "balanced"),
        ]
        | None
    ) = Field(default=None, description="weight of each class in the loss: balanced, or class name to weight")
    augment: list[
        Annotated[
            Annotated[str, NameIn(registry.augmentations), Tag("<text>")]
            | Annotated[dict[str, Any], Field(min_length=1, max_length=1), Tag("<mapping>")],
            forms("a name, or one name with its setting such as {crop: 4}"),
        ]
    ] = Field(default=[], description="augmentations of the train images, in order: a name, or {name: setting}")
    views: Positive = Field(default=8, description="augmented views of each image; epochs take them in turn")

    def rules(self) -> Iterator[Finding]:
        """One source with the keys it needs; names that fit each other."""
        yield from sources(self, ("format", "builder"))
        facts = registry.datasets.part(self.format).facts if self.format else {}
        for key in facts.get("needs", ()):
            if getattr(self, key, None) is None and not (key == "path" and self.train):
                yield ("format",), f"received format '{self.format}' without '{key}', which it needs; add data.{key}"
        if self.stream is True and not (self.augment or (self.format and facts.get("streams"))):
            streaming = [
                name for name in registry.datasets.names() if registry.datasets.part(name).facts.get("streams")
            ]
            yield (
                ("stream",),
                f"received true; of {self.format or self.builder} there are arrays in memory: leave the key out, or "
                f"use {listed(streaming)}",
            )
        if self.format or self.builder:  # else the format is what is wrong
            yield from self.column_findings(facts.get("columns", ()))
        yield from augment_findings(self.augment)
        yield from repeated("classes", self.classes or [])
        if self.classes and len(self.classes) < 2 and facts.get("gives") != "boxes":
            yield ("classes",), "received one class; allowed: 2 or more, except of boxes (coco, voc, yolo)"
        if self.classes and isinstance(self.class_weights, dict):
            for name in self.class_weights:
                if name not in self.classes:
                    near = did_you_mean(name, self.classes)
                    message = f"received the class {name!r}; allowed: a class of {listed(self.classes)}{near}"
                    yield ("class_weights", name), message

    def column_findings(self, known: Sequence[str]) -> Iterator[Finding]:
        """Yield the columns that the format's tables have not."""
        for name in self.columns:
            if name not in known:
                allowed = listed(known) if known else f"none, for {self.format or self.builder} has no table"
                yield ("columns", name), f"received {name!r}; allowed: {allowed}{did_you_mean(name, known)}"
