"""The compiled step: a student, its optimizer and its masks, traced once and used by every round.

Many steps run in one call. Data, labels and the teacher's cached targets lie on the device; a step
gathers its rows there, so the host only sends row numbers, rates and pressures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import telling_what_was_read
from spiral_cli.distillation.features import make_projections, with_features
from spiral_cli.errors import UsageError
from spiral_cli.models.precision import computing_in
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.training.arrays import Feed, TrainingData
from spiral_cli.training.expansion import Expansion
from spiral_cli.training.halves import halves, separable
from spiral_cli.training.inference import as_written
from spiral_cli.training.layer_norm import quick_layer_norms
from spiral_cli.training.normalization import fused_normalizations
from spiral_cli.training.objective import Objective
from spiral_cli.training.pooling import late_biases
from spiral_cli.training.products import matrix_products
from spiral_cli.training.recalibrate import Recalibration
from spiral_cli.training.winograd import quick_convolutions

CHUNK_STEPS = 64  # the longest run of steps between two looks at the clock and at Ctrl-C
State = dict[str, np.ndarray]
Pressure = Callable[[Sequence[tf.Tensor]], Sequence[tf.Tensor]]
Online = Callable[[tf.Tensor], dict[str, tf.Tensor]]
Way = Callable[[keras.Model], AbstractContextManager[None]]
# On a CPU, where a step is not compiled whole.
QUICKER: tuple[Way, ...] = (quick_convolutions, fused_normalizations, matrix_products, quick_layer_norms)


def lookup(targets: Mapping[str, tf.Tensor], rows: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the targets of ``rows``; scalars hold for all rows."""
    return {name: tf.gather(value, rows) if value.shape.rank else value for name, value in targets.items()}


def weighted_mean(losses: tf.Tensor, weight: tf.Tensor, total: tf.Tensor | None = None) -> tf.Tensor:
    """Return the sum of weighted losses (batch,) over the sum of weights (batch,), or over ``total``."""
    total = tf.reduce_sum(weight) if total is None else total
    return tf.reduce_sum(weight * losses) / tf.maximum(total, 1e-12)


def stored(variable: keras.Variable | tf.Variable) -> tf.Variable:
    """Return TensorFlow's variable: reading it costs half of what it costs through Keras'."""
    return variable if isinstance(variable, tf.Variable) else variable.value


class Program:
    """One model being trained.

    Attributes:
        replicas: into how many shares a batch is split; gradients and losses are summed over them.

    Args:
        model: the model; its variables are updated in place.
        data: what it trains on.
        objective: the loss.
        optimizer: a fresh Keras optimizer; `reset` clears it between rounds.
        prunable: the variables that masks may cover.
        pressure: gradients of the sparsity penalty for all prunable weights, or None.
        online: gives further targets from the scaled inputs in every step (a teacher's features
            whose cache would not fit), or None.
        average: keep a running average of the model's variables (see `take_average`).
        expand: train prunable kernels as products of this inner width in outputs (see `Expansion`), 1: as they are.
        jit: compile by XLA.
        precision: the Keras dtype policy under which a step runs the model; losses, updates and all
            variables are float32.
        seed: of the feature projections.
    """

    replicas = 1

    def __init__(
        self,
        model: keras.Model,
        data: TrainingData,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        *,
        prunable: Sequence[Prunable] = (),
        pressure: Pressure | None = None,
        online: Online | None = None,
        average: bool = False,
        expand: int = 1,
        jit: bool = False,
        precision: str = "float32",
        seed: int = 0,
    ) -> None:
        self.model, self.data, self.objective, self.optimizer = model, data, objective, optimizer
        self.pressure, self.online, self.prunable = pressure, online, tuple(prunable)
        self.precision = precision
        self.projections = make_projections(objective.hints, seed)
        self.trainable = [*model.trainable_variables, *self.projections]
        kernels = [one.variable for one in self.prunable] if expand > 1 else []
        self.expansion = Expansion(self.trainable, kernels, expand)
        self.expansion.begin(np.random.default_rng(seed))
        self.optimizer.build(self.expansion.variables)
        self._averaged = [v for v in model.variables if average and "float" in v.dtype]
        self._averages = [tf.Variable(v.numpy(), trainable=False) for v in self._averaged]
        self.masks = [tf.Variable(tf.ones(one.variable.shape, tf.bool), trainable=False) for one in self.prunable]
        self._forward = with_features(model, [hint.student for hint in objective.hints]) if objective.hints else model
        self._variables = {
            **{f"model/{i}": v for i, v in enumerate(model.variables)},
            **{f"optimizer/{i}": v for i, v in enumerate(optimizer.variables)},
            **{f"projection/{i}": v for i, v in enumerate(self.projections)},
            **{f"average/{i}": v for i, v in enumerate(self._averages)},
            **{f"factor/{i}": v for i, v in enumerate(self.expansion.factors)},
        }
        self._fresh = {name: v.numpy() for name, v in self._variables.items() if not name.startswith("model/")}
        self._jit = jit
        self.recalibrate = Recalibration(model, data)
        self.targets: dict[str, tf.Tensor] = {}
        self._on_disk: dict[str, np.ndarray] = {}
        # Where the step is not compiled whole, a CPU is faster with the update, some ten passes over
        # every weight, in one by XLA; with other operations for some layers; and in halves.
        self._in_parts = not jit and not tf.config.get_visible_devices("GPU")
        self._in_halves = self._in_parts and separable(model)
        self._ways: tuple[Way, ...] = QUICKER if self._in_parts else ()
        if self._in_parts and not objective.hints:  # which may want what lies between
            self._ways += (late_biases,)
        self._compile(jit)

    def _compile(self, jit: bool) -> None:
        # XLA cannot draw from a feed: there it compiles the step alone.
        self._chunk = tf.function(self._steps, jit_compile=jit)
        self._fed_chunk = tf.function(self._steps)
        self._step_when_fed = tf.function(self._step, jit_compile=True) if jit else self._step
        self._update = tf.function(self._apply, jit_compile=True) if self._in_parts else self._apply
        self._gradients: Callable[..., Any] = self._differentiate

    def set_targets(self, targets: Mapping[str, np.ndarray]) -> None:
        """Give the teacher's targets: rows like the data's, or scalars; those mapped from disk are fed to each step."""
        self._on_disk = {name: value for name, value in targets.items() if isinstance(value, np.memmap)}
        self.targets = {name: tf.constant(value) for name, value in targets.items() if name not in self._on_disk}

    def feed(self, rows: np.ndarray) -> Feed | None:
        """Return what the steps of ``rows`` (steps, batch) must be fed in this order, or None for nothing."""
        return self.data.feed(rows, self._on_disk)

    def examples(self, rows: np.ndarray) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]]:
        """Yield stored inputs, labels, weights and targets of each of ``rows`` (batches, batch)."""
        fed = self.data.feed(rows, self._on_disk)
        for batch in rows:
            drawn = {} if fed is None else next(fed)
            yield self._gather(tf.constant(batch), self.data.x, self.data.y, self.data.weight, self.targets, drawn)

    def cut(self, masks: Mapping[str, np.ndarray]) -> None:
        """Set to zero the weights that ``masks`` (bool arrays by prunable name, True = kept) cut."""
        for one in self.prunable:
            one.variable.assign(one.variable * masks[one.name].astype(np.float32))
        self.expansion.follow()

    def hold(self, masks: Mapping[str, np.ndarray]) -> None:
        """From now on keep at zero, after every update, what ``masks`` cut."""
        for one, held in zip(self.prunable, self.masks, strict=True):
            held.assign(masks[one.name])

    def held(self) -> dict[str, np.ndarray]:
        """Return the masks that `hold` set."""
        return {one.name: stored(held).numpy() for one, held in zip(self.prunable, self.masks, strict=True)}

    def finite(self) -> bool:
        """Say whether no trained variable holds NaN or infinity."""
        return all(np.isfinite(variable.numpy()).all() for variable in self.trainable)

    def weights(self) -> dict[str, np.ndarray]:
        """Return the prunable weights by name."""
        return {one.name: one.variable.numpy() for one in self.prunable}

    def room(self) -> State:
        """Return memory for a `state`, its pages touched: the system gives them slowly."""
        variables = {name: stored(variable) for name, variable in self._variables.items()}
        return {name: np.ones(v.shape, v.dtype.as_numpy_dtype) for name, v in variables.items()}

    def state(self, room: State | None = None) -> State:
        """Return a copy of everything that training changes; later steps do not change it.

        Args:
            room: memory from `room` or an earlier call, filled anew and returned.
        """
        room = self.room() if room is None else room
        for name, variable in self._variables.items():
            np.copyto(room[name], stored(variable).value())  # the one copy: the tensor lends its own memory
        return room

    def restore(self, state: State) -> None:
        """Bring back what `state` returned."""
        for name, variable in self._variables.items():
            variable.assign(state[name])

    def reset(self, model_variables: Sequence[np.ndarray], seed: int) -> None:
        """Start a stage: the model at ``model_variables``, the optimizer and projections as new.

        The states of random generators (dropout) are derived from ``seed``, so that a stage does
        not depend on what ran before it.
        """
        for name, value in self._fresh.items():
            self._variables[name].assign(value)
        rng = np.random.default_rng(seed)
        for variable, value in zip(self.model.variables, model_variables, strict=True):
            generator = variable.name == "seed_generator_state"  # its type differs between backends
            variable.assign(rng.integers(2**31, size=variable.shape, dtype=np.uint32) if generator else value)
        self.expansion.begin(rng)

    def take_average(self) -> None:
        """Put the model at the average of its variables that the steps' ``gains`` made, if there is one.

        Zeros stay zeros where the masks did not change meanwhile.
        """
        for variable, average in zip(self._averaged, self._averages, strict=True):
            variable.assign(average)

    def run(
        self,
        rows: np.ndarray,
        valid: np.ndarray,
        rates: np.ndarray,
        strengths: np.ndarray,
        gains: np.ndarray,
        fed: Feed | None = None,
    ) -> np.ndarray:
        """Take up to `CHUNK_STEPS` steps.

        Args:
            rows: (steps, batch) int32.
            valid: (steps, batch) float32, 0 for filling.
            rates: (steps,) learning rates.
            strengths: (steps,) factors of the pressure's gradient.
            gains: (steps,) how far the running average moves towards the variables after each step;
                all zero, or none: steps that take no average are a program of their own.
            fed: what `feed` returned for these rows, or for more of which these come next.

        Returns:
            (terms + 1,) float64: sums of the objective's terms over examples, then the sum of
            their weights. Those of steps are float32, which float64 adds up exactly: that time decides
            how many steps a call takes does not show in an epoch's losses.
        """
        steps = len(rows)
        missing = CHUNK_STEPS - steps  # one shape, so one compilation
        taken = gains if gains.any() else None
        # XLA compiles for one shape: there all rows keep their full length.
        cuts = None if self._jit else self.data.cuts(rows)
        plan = [
            np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            if missing and part is not None
            else part
            for part in (rows, valid, rates, strengths, taken, cuts)
        ]
        chunk = self._chunk if fed is None else self._fed_chunk
        try:
            with telling_what_was_read():
                return chunk(*self._arrays(), fed, *plan, tf.constant(steps)).numpy()
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
            if not self._jit:
                raise
            reason = error.message.strip().partition("\n")[0]
            raise UsageError(
                f"train.jit: XLA cannot compile a training step of '{self.model.name}' ({reason}); set it to false"
            ) from error

    def _arrays(self) -> tuple[Any, ...]:
        """Return inputs (None where they are fed), labels, weights and targets as a chunk takes them."""
        x = self.data.x if self.data.on_device else None
        return x, self.data.y, self.data.weight, self.targets

    def _steps(self, x, y, weight, targets, fed, rows, valid, rates, strengths, gains, cuts, steps):
        step = self._step if fed is None else self._step_when_fed

        def one(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            self.optimizer.learning_rate.assign(rates[i])
            drawn = {} if fed is None else next(fed)
            stored, labels, example_weight, here = self._gather(rows[i], x, y, weight, targets, drawn)
            inputs = self.data.inputs(stored, None if cuts is None else cuts[i])
            gain = None if gains is None else gains[i]
            found = step(inputs, labels, example_weight * valid[i], here, strengths[i], gain)
            return i + 1, sums + tf.cast(found, tf.float64)

        # Not tf.range: XLA would compile the program anew for every number of steps.
        start = (tf.constant(0), tf.zeros(len(self.objective.terms) + 1, tf.float64))
        return tf.while_loop(lambda i, _: i < steps, one, start, parallel_iterations=1)[1]

    def _gather(self, taken, x, y, weight, targets, drawn):
        """Return stored inputs, labels, weights and targets of the rows ``taken`` (batch,), some of them ``drawn``."""
        stored = drawn["x"] if "x" in drawn else tf.gather(x, taken)
        beside = {name: value for name, value in drawn.items() if name != "x"}
        wide = {name: tf.cast(v, tf.float32) if v.dtype.is_floating else v for name, v in beside.items()}
        example = self.data.example(taken)
        return stored, tf.gather(y, example), tf.gather(weight, example), {**lookup(targets, taken), **wide}

    @contextmanager
    def tracing(self, precision: str) -> Iterator[None]:
        """Trace the model inside the block in ``precision``, and by quicker operations where there are some."""
        with computing_in(self.model, precision), as_written(self.model), ExitStack() as ways:
            for way in self._ways:
                ways.enter_context(way(self.model))
            yield

    def _tracing_a_step(self) -> AbstractContextManager[None]:
        return self.tracing(self.precision)

    def terms(
        self, inputs: tf.Tensor, y: tf.Tensor, targets: Mapping[str, tf.Tensor], training: bool
    ) -> list[tf.Tensor]:
        """Return the objective's terms, each (batch,), for scaled inputs; called inside `tracing`."""
        outputs = self._forward(inputs, training=training)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        if self.online is not None:
            targets = {**targets, **self.online(inputs)}
        return self.objective.per_example(outputs, y, targets, self.projections)

    def _step(self, inputs, y, weight, targets, strength, gain, total=None) -> tf.Tensor:
        """Take a step on this replica's examples; ``total`` is the weight of those of all replicas."""
        total = tf.reduce_sum(weight) if total is None else total
        parts = [(inputs, y, weight, targets)]
        if self._in_halves and weight.shape[0] % 2 == 0:
            parts = halves((inputs, y, weight, targets))
        found = [self._gradients(*part, total, tf.constant(1.0 / (self.replicas * len(parts)))) for part in parts]
        self._update([gradients for gradients, _ in found], strength, gain)
        return tf.add_n([sums for _, sums in found])

    def _differentiate(self, inputs, y, weight, targets, total, share):
        """Return the gradients of a part of the loss, and sums of its terms over examples, then of their weights.

        Args:
            inputs, y, weight, targets: of the examples of this part.
            total: of the weights of all parts' examples.
            share: of the model's own regularisation.
        """
        with tf.GradientTape() as tape:
            with self._tracing_a_step():
                terms = self.terms(inputs, y, targets, True)
            loss = weighted_mean(terms[0], weight, total)
            if self._forward.losses:  # the model's own regularisation
                loss += share * tf.add_n([tf.cast(one, tf.float32) for one in self._forward.losses])
            scaled = self.optimizer.scale_loss(loss)  # itself, but for float16
        gradients = tape.gradient(scaled, [v.value for v in self.trainable])
        sums = tf.stack([*(tf.reduce_sum(weight * term) for term in terms), tf.reduce_sum(weight)])
        return [None if g is None else tf.convert_to_tensor(g) for g in gradients], sums

    def _apply(self, parts, strength, gain) -> None:
        """Update all variables by the sum of the parts' gradients: pressure, optimizer, masks, running average."""
        gradients = [None if g[0] is None else tf.add_n(g) for g in zip(*parts, strict=True)]
        strength = self.optimizer.scale_loss(strength) / self.replicas  # as the gradients are
        gradients = self._pressed(gradients, strength)
        if self.expansion.factors:
            gradients = self.expansion.gradients(self._kept(gradients))
        self.optimizer.apply(gradients, self.expansion.variables)
        self.expansion.multiply()
        for one, mask in zip(self.prunable, self.masks, strict=True):
            one.variable.assign(tf.where(mask, one.variable.value, 0.0))
        if gain is not None:
            for variable, average in zip(self._averaged, self._averages, strict=True):
                average.assign_add(gain * (variable.value - average))

    def _kept(self, gradients):
        """Return the gradients of what the masks keep: a cut weight does not move the factors of its kernel."""
        of = {id(one.variable): mask for one, mask in zip(self.prunable, self.masks, strict=True)}
        return [
            tf.where(of[id(v)], g, 0.0) if g is not None and id(v) in of else g
            for g, v in zip(gradients, self.trainable, strict=True)
        ]

    def _pressed(self, gradients, strength):
        if self.pressure is None:
            return gradients
        pushes = self.pressure([one.variable.value for one in self.prunable])
        of = {id(one.variable): push for one, push in zip(self.prunable, pushes, strict=True)}
        return [
            g + strength * of[id(v)] if g is not None and id(v) in of else g
            for g, v in zip(gradients, self.trainable, strict=True)
        ]
