"""The recipe: what every key means, which values it may have, and its default.

Settings are frozen. Names of parts (criteria, datasets, …) are checked against their registries
without importing them. Rules that join several keys stand in the ``rules`` of their section.
"""

# No `from __future__ import annotations` here: pydantic would compile every annotation again,
# a tenth of the time `spiral validate` has.

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Tag, model_validator

from spiral_cli import registry
from spiral_cli.errors import did_you_mean
from spiral_cli.recipe.applications import Application
from spiral_cli.recipe.augment import name_and_value
from spiral_cli.recipe.data import Audio as Audio
from spiral_cli.recipe.data import Data
from spiral_cli.recipe.defaults import of_task
from spiral_cli.recipe.kinds import Builder, Fraction, Path, Positive, Text
from spiral_cli.recipe.metrics import lower_is_better
from spiral_cli.recipe.prune import Prune
from spiral_cli.recipe.section import Finding, NameIn, Section, forms, listed, repeated, sources

Rate = Literal["cosine", "one_cycle"]

# Every key that holds a path, made absolute where the recipe is read.
PATH_KEYS = frozenset(
    {("plugin_folder",)}
    | {("data", key) for key in ("path", "train", "validation", "test")}
    | {("teacher", "path"), ("teacher", "weights"), ("student", "path"), ("distill", "cache")}
)
IMAGENET = (("teacher", "weights"), "imagenet")  # stands under a path's key and is a name


class Teacher(Section):
    """The model to learn from: trained here, loaded, built by a function, or from keras.applications."""

    model: Annotated[str, NameIn(registry.models)] | None = Field(default=None, description="a built-in model")
    path: Path | None = Field(default=None, description="a .keras file, used as it is")
    builder: Builder | None = Field(
        default=None, description="package.module:function that returns a Keras model, trained if epochs > 0"
    )
    application: Annotated[Text, Application()] | None = Field(default=None, description="a keras.applications name")
    weights: Path | None = Field(
        default=None, description="start an application from imagenet, or from this weights file"
    )
    output: Literal["auto", "logits", "probabilities"] = Field(default="auto", description="what the last layer gives")
    epochs: Annotated[int, Field(ge=0)] = Field(
        default_factory=lambda known: 0 if known.get("path") else 15,
        description="epochs of training, 15 by default; 0, the default with path, uses the weights as they are",
    )
    augment: bool = Field(
        default=True, description="train it on the views of data.augment; false: on the images as they are"
    )
    batch_size: Positive = 128
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.001
    rate: Rate = "cosine"
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    def rules(self) -> Iterator[Finding]:
        """One source; weights only where they are read; a built-in model is always trained."""
        yield from sources(self, ("model", "path", "builder", "application"))
        if self.weights and not self.application:
            yield ("weights",), "received weights without application; a whole model is given by teacher.path"
        if self.model and not self.path and self.epochs == 0:
            yield (
                ("epochs",),
                "received 0; a built-in model starts untrained: give at least 1, or a trained teacher.path",
            )


class Student(Section):
    """What is made small: a copy of the teacher, or a smaller model, first distilled dense."""

    path: Path | None = Field(default=None, description="a .keras file")
    builder: Builder | None = Field(default=None, description="package.module:function that returns a Keras model")
    application: Annotated[Text, Application()] | None = Field(default=None, description="a keras.applications name")
    model: Annotated[str, NameIn(registry.models, also=("same",))] | None = Field(
        default_factory=lambda known: None if any(known.values()) else "same",
        description="same (the default: a copy of the teacher), or a built-in model",
    )
    epochs: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="epochs of dense distillation of another model; as train.epochs by default"
    )

    def rules(self) -> Iterator[Finding]:
        """One source."""
        yield from sources(self, ("path", "builder", "application", "model"))


class Feature(Section):
    """One pair of layers whose outputs the student imitates."""

    teacher: Text
    student: Text
    weight: Annotated[float, Field(gt=0.0)] = Field(
        default=0.1, description="of the squared error in units of the teacher's mean square"
    )


class Distill(Section):
    """How the student learns from the teacher."""

    loss: Annotated[str, NameIn(registry.losses)] = "kl"
    temperature: Annotated[float, Field(gt=0.0)] = 2.0
    alpha: Fraction = Field(default=0.5, description="weight of the distillation loss; the rest is the task loss")
    teacher: Literal["original", "previous", "best", "ensemble"] = "original"
    features: list[Feature] = Field(default=[], description="pairs of layers whose outputs the student imitates")
    sequence: bool = Field(
        default=False, description="learn the teacher's own translations or transcripts instead of the labels"
    )
    beams: Positive = Field(default=1, description="beginnings of a translation that its search goes on with")
    targets: Literal["cached", "online"] = Field(
        default="cached", description="ask the teacher once for every view, or in every step (for very many data.views)"
    )
    memory_gb: Annotated[float, Field(gt=0.0)] = Field(
        default=1.0, description="what the teachers' outputs may take in memory, in 10^9 bytes; more goes to disk"
    )
    top_k: Annotated[
        Annotated[Literal["auto", "all"], Tag("<text>")] | Annotated[Positive, Tag("<number>")],
        forms("auto, all, or a number of classes", "auto", "all"),
    ] = Field(
        default="auto", description="outputs kept of each example on disk: a number, all, or auto (64 of 256 or more)"
    )
    cache: Path | None = Field(
        default=None, description="folder of outputs on disk, to share them between runs; the run's own by default"
    )

    def rules(self) -> Iterator[Finding]:
        """No pair of layers twice; the teacher in a step is the original one."""
        if self.targets == "online" and self.teacher != "original":
            yield (
                ("targets",),
                f"received 'online' with teacher {self.teacher!r}, whose outputs are cached: leave one out",
            )
        pairs = [f"{feature.teacher} -> {feature.student}" for feature in self.features]
        yield from repeated("features", pairs)


class Train(Section):
    """How each round trains. The learning rate restarts high and decays fully in every round."""

    epochs: Positive = Field(default=12, description="epochs of one round")
    batch_size: Positive = 128
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(default=0.004, description="the peak of a round")
    rate: Rate = "cosine"
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.2, description="the student is the mean of its weights over this last part of a round; 0: the last"
    )
    expand: Positive = Field(
        default=1,
        description="train every kernel as a product of two, this many times wider inside than its outputs, which is "
        "multiplied out again; 1: as it is",
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.0, description="part of the labels' probability that is spread over all classes"
    )
    loss: Literal["auto", "crossentropy"] = Field(
        default="auto", description="the task loss; auto refuses a teacher that was compiled with another one"
    )
    jit: Literal["auto", True, False] = Field(
        default="auto", description="compile by XLA; auto decides by the model's layers"
    )


class Guard(Section):
    """When a round is kept and when it is rolled back."""

    monitor: Text = Field(
        default="accuracy", description="the validation metric that decides; by default the first of the task's"
    )
    mode: Literal["auto", "max", "min"] = "auto"
    max_drop: Annotated[float, Field(ge=0.0)] = Field(
        default=0.01, description="largest loss against the teacher, absolute; of BLEU and chrF 1 by default"
    )
    patience: Positive = Field(default=2, description="failed tries in a row that end the spiral")

    def rules(self) -> Iterator[Finding]:
        """A loss or an error rate is not maximised, and of what is known nothing else minimised."""
        lower = lower_is_better(self.monitor)
        if lower and self.mode == "max":
            yield ("mode",), f"received 'max'; {self.monitor} is better when lower: write min, or leave mode out"
        known = any(self.monitor in part.facts.get("metrics", ()) for part in registry.tasks.built_in().values())
        if known and not lower and self.mode == "min":
            yield ("mode",), f"received 'min'; {self.monitor} is better when higher: write max, or leave mode out"


Exporter = Annotated[str, NameIn(registry.exporters)]


class Packed(Section):
    """The weights of the packed file."""

    values: Literal["exact", "shared"] = Field(
        default="exact", description="the student's own weights, or few values that the weights of a layer share"
    )
    bits: Annotated[int, Field(ge=1, le=8)] = Field(
        default=5, description="at most 2^bits values a layer beside zero, with values: shared"
    )
    epochs: Annotated[int, Field(ge=0)] = Field(default=3, description="of distillation in which the values move")


class Export(Section):
    """Which files are written of the chosen student, and what they must keep to be shipped."""

    to: list[Exporter] = Field(default=["keras"], description="files to write")
    max_drop: Annotated[float, Field(ge=0.0)] = Field(
        default=0.01,
        description="largest loss of guard.monitor against the student on test; more is not shipped; of BLEU and chrF "
        "1 by default",
    )
    samples: Positive = Field(default=256, description="training examples that give litert_int8 its ranges")
    full_integer: bool = Field(default=False, description="litert_int8 with int8 inputs and outputs")
    packed: Packed = Field(default_factory=dict, validate_default=True, description="how packed writes the weights")

    def rules(self) -> Iterator[Finding]:
        """No file twice."""
        yield from repeated("to", self.to)


class Recipe(Section):
    """One spiral: from a teacher to the chosen student."""

    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] = Field(
        default="spiral", description="letters, digits, ., _ and -; the run folder is runs/<name>"
    )
    task: Annotated[str, NameIn(registry.tasks)] = "image_classification"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|gpu|gpu:\d+|tpu)$")] = Field(
        default="auto", description="auto (the first GPU where there is one), cpu, gpu, gpu:N, tpu"
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        default="float32", description="what training steps compute in; weights, files and measurements are float32"
    )
    distribution: Literal["none", "mirrored", "multi_worker", "tpu"] = Field(
        default="none",
        description="none: one device; mirrored: all GPUs of this machine; multi_worker: the hosts of TF_CONFIG or "
        "Slurm; tpu: all cores of a TPU",
    )
    data: Data
    teacher: Teacher
    student: Student = Field(default_factory=dict, validate_default=True)
    prune: Prune = Field(default_factory=dict, validate_default=True)
    distill: Distill = Field(default_factory=dict, validate_default=True)
    train: Train = Field(default_factory=dict, validate_default=True)
    guard: Guard = Field(default_factory=dict, validate_default=True)
    select: Literal["smallest", "best", "score"] = "smallest"
    export: Annotated[
        Annotated[Export, Tag("<mapping>")]
        | Annotated[
            Export, BeforeValidator(lambda names: {"to": names}, json_schema_input_type=list[Exporter]), Tag("<list>")
        ],
        forms("a list of files to write, or a mapping with to: such a list"),
    ] = Field(default_factory=dict, validate_default=True, description="files to write: a list, or a mapping")
    tensorboard: bool = Field(default=False, description="write TensorBoard scalars into the run folder")
    plugins: list[Text] = Field(default=[], description="modules to import first: your own criteria, losses, …")
    plugin_folder: Path | None = Field(
        default=None, description="where plugins and builders are searched, beside the Python path; the recipe's own"
    )

    @model_validator(mode="before")
    @classmethod
    def defaults(cls, raw: Any) -> Any:
        """Let a key without a value mean its default, which for some keys is the task's.

        Without a value is also a section whose lines are all commented out.
        """
        if not isinstance(raw, dict):
            return raw
        values = {key: value for key, value in raw.items() if value is not None}
        task = registry.tasks.parts().get(str(values.get("task")))
        return values if task is None else of_task(values, task.facts)

    def rules(self) -> Iterator[Finding]:
        """The guard watches a metric that the task measures; device and distribution fit each other."""
        facts = registry.tasks.part(self.task).facts
        metrics = facts.get("metrics", ())
        yield from self.other_kinds(facts)
        if self.distill.sequence and not facts.get("sequences"):
            saying = [name for name, part in registry.tasks.parts().items() if part.facts.get("sequences")]
            yield ("distill", "sequence"), f"received true; allowed for tasks that say sequences: {listed(saying)}"
        if metrics and self.guard.monitor not in metrics:
            near = did_you_mean(self.guard.monitor, metrics)
            yield ("guard", "monitor"), f"received {self.guard.monitor!r}; {self.task} measures {listed(metrics)}{near}"
        if self.distribution == "tpu" and self.device not in ("auto", "tpu"):
            yield ("device",), f"received {self.device!r} with distribution tpu; allowed: tpu, or leave device out"
        if self.distribution in ("mirrored", "multi_worker") and (self.device == "tpu" or ":" in self.device):
            yield (
                ("device",),
                f"received {self.device!r} with distribution {self.distribution}; allowed: auto, gpu (all of them) or "
                "cpu: for a single device leave distribution out",
            )
        yield from repeated("plugins", self.plugins)

    def other_kinds(self, facts: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield the format, the models, the augmentations and the keys that are for other data than the task's."""
        kind = facts.get("data")
        for key in facts.get("unused", ()):
            if getattr(self.data, key) != Data.model_fields[key].default:
                use = "reads files: use data.format" if key == "builder" else "has no use for it: leave it out"
                yield ("data", key), f"received {getattr(self.data, key)!r}; {self.task} {use}"
        for keys, parts, fact in (
            (("data", "format"), registry.datasets, "gives"),
            (("teacher", "model"), registry.models, "takes"),
            (("student", "model"), registry.models, "takes"),
        ):
            name = getattr(getattr(self, keys[0]), keys[1])
            if kind is None or name is None or name == "same":
                continue
            fitting = [one for one, part in parts.parts().items() if part.facts.get(fact, "images") == kind]
            if name not in fitting:
                yield keys, f"received {name!r}, and {self.task} is of {kind}; allowed: {listed(fitting)}"
        for section in ("teacher", "student"):
            if kind not in (None, "images") and getattr(self, section).application is not None:
                yield (section, "application"), f"received an application, which takes images; {self.task} is of {kind}"
        fitting = facts.get("augments", kind is None)  # True: all there are
        if not fitting and self.data.augment:
            yield ("data", "augment"), f"received augmentations, which are of images; {self.task} is of {kind}"
        elif fitting is not True:
            for index, one in enumerate(self.data.augment):
                if (name := name_and_value(one)[0]) not in fitting:
                    yield ("data", "augment", index), f"received {name!r}; allowed of {kind}: {listed(fitting)}"


Recipe.model_rebuild()
