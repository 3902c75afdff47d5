"""The compiled step on several devices or hosts: each takes its share of every batch.

TensorFlow's strategy keeps a copy of all variables on every replica and sums the gradients, so that
all copies take the same step. Batch normalisation sees the whole batch, as on one device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.hooks import hooked
from spiral_cli.training.arrays import Feed
from spiral_cli.training.inference import in_inference
from spiral_cli.training.normalization import fused_normalizations
from spiral_cli.training.program import Program

SUM, MEAN = tf.distribute.ReduceOp.SUM, tf.distribute.ReduceOp.MEAN


class ReplicatedProgram(Program):
    """A program whose batches are split over the replicas of the strategy in whose scope it is made.

    A batch that the replicas do not divide is filled up with rows that do not count.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._strategy = tf.distribute.get_strategy()
        self.replicas = self._strategy.num_replicas_in_sync
        self._placed_targets: dict[str, Any] = {}
        super().__init__(*args, **settings)
        self._sums = tf.Variable(
            tf.zeros(len(self.objective.terms) + 1, tf.float64),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )

    def _compile(self, jit: bool) -> None:
        # Collective operations and the update stay outside of what XLA compiles.
        jit = jit and not normalizations(self.model)
        tpu = isinstance(self._strategy, tf.distribute.TPUStrategy)
        self._in_halves = self._in_halves and not tpu
        quick = tuple(way for way in self._ways if way is not fused_normalizations and not tpu)
        self._ways = (*quick, synchronized, own_randomness)
        self._chunk = self._fed_chunk = tf.function(self._steps)
        self._update = self._apply
        alone = jit and not tpu  # which compiles everything anyway
        self._gradients = tf.function(self._differentiate, jit_compile=True) if alone else self._differentiate

    def set_targets(self, targets: Mapping[str, np.ndarray]) -> None:
        """Give the teacher's targets, as `Program.set_targets`, to every replica."""
        super().set_targets(targets)
        self._placed_targets = {name: self._copies(value) for name, value in self.targets.items()}

    def feed(self, rows: np.ndarray) -> Any:
        """Return what each of this process' replicas must be fed in this order, or None for nothing."""
        parts = shares(rows, self.replicas, "wrap")
        fed = tuple(self.data.feed(parts[:, replica], self._on_disk) for replica in self._mine)
        return None if None in fed else fed

    def run(
        self,
        rows: np.ndarray,
        valid: np.ndarray,
        rates: np.ndarray,
        strengths: np.ndarray,
        gains: np.ndarray,
        fed: Feed | None = None,
    ) -> np.ndarray:
        """Take steps as `Program.run`; the sums are those of all replicas."""
        plan = shares(rows, self.replicas, "wrap"), shares(valid, self.replicas, "constant")
        return super().run(*plan, rates, strengths, gains, fed)

    @cached_property
    def _mine(self) -> list[int]:
        """The numbers of this process' replicas among all."""
        numbers = self._strategy.experimental_local_results(self._on_each(lambda replica: replica))
        return [int(number) for number in numbers]

    def _on_each(self, make: Callable[[int], Any]) -> Any:
        """Return what ``make`` gives for the number of each of this process' replicas, as that replica's value."""
        place = self._strategy.experimental_distribute_values_from_function
        return place(lambda context: make(int(context.replica_id_in_sync_group)))

    def _copies(self, value: tf.Tensor) -> Any:
        """Return ``value`` on each of this process' devices."""
        devices = iter(self._strategy.extended.worker_devices)

        def copy(_: int) -> tf.Tensor:
            with tf.device(next(devices)):
                return tf.identity(value)

        return self._on_each(copy)

    @cached_property
    def _placed(self) -> tuple[Any, ...]:
        x = self._copies(self.data.x) if self.data.on_device else None
        return x, self._copies(self.data.y), self._copies(self.data.weight)

    def _arrays(self) -> tuple[Any, ...]:
        return (*self._placed, self._placed_targets)

    def _steps(self, x, y, weight, targets, fed, rows, valid, rates, strengths, gains, cuts, steps):
        self._sums.assign(tf.zeros_like(self._sums))

        def one(i: tf.Tensor) -> tuple[tf.Tensor]:
            # The loop stays outside of `run`: inside, an update cannot wait for the other replicas.
            self.optimizer.learning_rate.assign(rates[i])
            drawn = {} if fed is None else self._drawn([next(feed) for feed in fed])
            plan = rows[i], valid[i], strengths[i], *(None if one is None else one[i] for one in (gains, cuts))
            with self.tracing(self.precision):
                self._strategy.run(self._share, (x, y, weight, targets, drawn, *plan))
            return (i + 1,)

        tf.while_loop(lambda i: i < steps, one, (tf.constant(0),), parallel_iterations=1)
        return tf.identity(self._sums)

    def _drawn(self, batches: list[dict[str, tf.Tensor]]) -> dict[str, Any]:
        """Return what was drawn for each of this process' replicas as values of theirs."""
        return {
            name: self._on_each(dict(zip(self._mine, [batch[name] for batch in batches], strict=True)).__getitem__)
            for name in batches[0]
        }

    def _share(self, x, y, weight, targets, drawn, rows, valid, strength, gain, cut) -> None:
        """Take one replica's part in a step of ``rows`` (replicas, share)."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        stored, labels, example_weight, here = self._gather(rows[replica], x, y, weight, targets, drawn)
        total = tf.reduce_sum(tf.gather(weight, self.data.example(rows)) * valid)
        weights = example_weight * valid[replica]
        found = self._step(self.data.inputs(stored, cut), labels, weights, here, strength, gain, total)
        self._sums.assign_add(tf.cast(found, tf.float64))

    def _tracing_a_step(self) -> AbstractContextManager[None]:
        # Replicas are traced in turns, each up to where it waits for the others: `_steps` does it for all.
        return nullcontext()

    def _apply(self, parts, strength, gain) -> None:
        if self.precision == "mixed_float16":
            parts = [finite_together(gradients) for gradients in parts]
        super()._apply(parts, strength, gain)


def shares(plan: np.ndarray, replicas: int, fill: Literal["wrap", "constant"]) -> np.ndarray:
    """Return a plan (steps, batch) as (steps, replicas, share), filled up with its own rows again, or with zeros."""
    filled = np.pad(plan, ((0, 0), (0, -plan.shape[1] % replicas)), mode=fill)
    return filled.reshape(len(plan), replicas, filled.shape[1] // replicas)


def finite_together(gradients: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Return the gradients, or NaN where those of any replica are not finite: all skip a step, or none."""
    own = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients if g is not None])
    broken = tf.distribute.get_replica_context().all_reduce(SUM, tf.cast(~own, tf.float32))
    spoil = tf.where(broken > 0, float("nan"), 0.0)
    return [None if g is None else g + tf.cast(spoil, g.dtype) for g in gradients]


def normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return the batch normalisations that a step trains."""
    layers = [one for one in model._flatten_layers() if isinstance(one, keras.layers.BatchNormalization)]
    return [layer for layer in layers if layer.trainable and not in_inference(layer)]


def synchronized(model: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which batch normalisations take the moments of all replicas' examples."""
    return hooked({layer: _moments_of_all(layer) for layer in normalizations(model)}, "_moments")


def _moments_of_all(layer: keras.layers.BatchNormalization) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    original = layer._moments

    def moments(inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        mean, variance = original(inputs, mask)
        if context is None:
            return mean, variance
        # Every share has as many examples. Squares are taken about the moving mean, which all have
        # alike: about zero they would lose what a large mean leaves of 24 bits.
        centre = tf.stop_gradient(tf.cast(layer.moving_mean, mean.dtype))
        shift = mean - centre
        both = tf.stack([shift, variance + tf.square(shift)])
        shift, square = tf.unstack(context.all_reduce(MEAN, both))
        return centre + shift, tf.maximum(square - tf.square(shift), 0.0)

    return moments


def own_randomness(model: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which each replica draws numbers of its own; the first, those of a single device."""
    generators = [generator for layer in model._flatten_layers() for generator in layer._seed_generators]
    return hooked({generator: _numbers_of_replica(generator) for generator in generators}, "next")


def _numbers_of_replica(generator: keras.random.SeedGenerator) -> Callable[..., tf.Tensor]:
    original = generator.next

    def following(ordered: bool = True) -> tf.Tensor:
        seed, count = tf.unstack(tf.convert_to_tensor(original(ordered=ordered)))
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context is not None else 0
        return tf.stack([seed + tf.cast(replica, seed.dtype) * tf.constant(0x9E3779B1, seed.dtype), count])

    return following
