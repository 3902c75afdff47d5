"""The devices and processes that train one model together, by TensorFlow's own distribution."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from spiral_cli.errors import LostWorkerError, SpiralError, UsageError
from spiral_cli.training.device import choose, make_deterministic, show, use_device

MANY = 1 << 10  # more tasks than a node has
PIECE = 1 << 20  # numbers that travel at once where a file is shared
# What TensorFlow says where another process of the team has gone.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


@dataclass(frozen=True)
class Team:
    """Who trains together.

    Every method that exchanges something is called by all processes at the same point.

    Attributes:
        strategy: TensorFlow's; None where a single device trains.
        index: of this process among ``size``; the first one leads: it alone writes to the run folder.
    """

    strategy: tf.distribute.Strategy | None = None
    index: int = 0
    size: int = 1

    @property
    def replicas(self) -> int:
        """How many devices share a batch."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager:
        """Return a context in which variables are made on every device, by all processes alike."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    @property
    def leads(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.index == 0

    @contextmanager
    def missing_none(self) -> Iterator[None]:
        """Say in one sentence what TensorFlow says where another process of the team has gone.

        Raises:
            LostWorkerError: one has.
        """
        try:
            yield
        except LOST as error:
            if self.size == 1:
                raise
            raise LostWorkerError(
                f"another of the {self.size} workers ended, or cannot be reached; its own message says why. What was "
                "finished is in the run folder: start all workers again with the same command to resume "
                f"({first_line(error)})"
            ) from error

    def most(self, value: float) -> float:
        """Return the largest ``value`` of all processes."""
        return value if self.size == 1 else float(self._everyone(np.array([value])).max())

    def agree(self, what: str, facts: str) -> None:
        """Return if ``facts`` are the same in all processes.

        Raises:
            SpiralError: they are not.
        """
        if self.size == 1:
            return
        digest = hashlib.blake2b(facts.encode(), digest_size=32).digest()
        said = self._everyone(np.frombuffer(digest, np.uint16))
        others = [index for index, one in enumerate(said) if (one != said[0]).any()]
        if others:
            named = ", ".join(map(str, others))
            raise SpiralError(
                f"the workers do not agree on {what} (worker {named} differs from worker 0). They must see the same "
                "data and run the same versions on the same kind of machine; the last accepted state is kept"
            )

    def shared(self, content: bytes) -> bytes:
        """Return the ``content`` of the process that leads; that of others does not count."""
        if self.size == 1:
            return content
        length = int(self._leaders(np.array([len(content) >> 20, len(content) & 0xFFFFF]))[:2] @ (1 << 20, 1))
        numbers = np.zeros(-(-length // 2), np.uint16)
        if self.leads:
            numbers.view(np.uint8)[:length] = np.frombuffer(content, np.uint8)
        pieces = np.resize(numbers, (-(-len(numbers) // PIECE), PIECE))  # of one length: one trace
        return np.concatenate([self._leaders(piece) for piece in pieces] or [numbers]).tobytes()[:length]

    def _everyone(self, values: np.ndarray) -> np.ndarray:
        """Return the values (n,) of every process as (size, n); whole numbers to 2^24 are exact."""
        assert self.strategy is not None
        gathered = _gather(self.strategy, tf.constant(values[None], tf.float32))
        everything = self.strategy.experimental_local_results(gathered)[0].numpy()
        return everything[:: len(everything) // self.size]

    def _leaders(self, values: np.ndarray) -> np.ndarray:
        """Return the values (n,) of the process that leads, as `_everyone` passes them on."""
        assert self.strategy is not None
        mine = values if self.leads else np.zeros_like(values)
        summed = _sum(self.strategy, tf.constant(mine, tf.float32))
        local = self.strategy.experimental_local_results(summed)
        return (local[0].numpy() / len(local)).astype(values.dtype)


@tf.function
def _gather(strategy: tf.distribute.Strategy, values: tf.Tensor) -> tf.Tensor:
    def exchange(mine: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_gather(tf.identity(mine), axis=0)

    return strategy.run(exchange, (values,))


@tf.function
def _sum(strategy: tf.distribute.Strategy, values: tf.Tensor) -> tf.Tensor:
    def exchange(mine: tf.Tensor) -> tf.Tensor:
        # The identity lies on the replica's device, which the argument of a call does not.
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(mine))

    return strategy.run(exchange, (values,))


def first_line(error: tf.errors.OpError) -> str:
    """Return the beginning of what TensorFlow says."""
    return error.message.strip().partition("\n")[0][:200]


def form_team(distribution: str, device: str, seed: int) -> Team:
    """Settle devices and distribution before anything else touches TensorFlow.

    With several processes this returns once all of them are there.

    Args:
        distribution: ``none``, ``mirrored`` (all GPUs of this machine), ``multi_worker`` or ``tpu``.
        device: the recipe's; of ``multi_worker`` and ``mirrored``, ``cpu`` leaves GPUs alone.
        seed: of Keras and TensorFlow.

    Raises:
        UsageError: the device, the TPU or the description of the workers is not there.
    """
    if device == "tpu" or distribution == "tpu":
        team = Team(tpu_strategy())
    elif distribution == "mirrored":
        team = Team(tf.distribute.MirroredStrategy(shown(device)))
    elif distribution == "multi_worker":
        shown(device)
        team = with_workers()
    else:
        use_device(device, seed)
        return Team()
    make_deterministic(seed)
    return team


def shown(device: str) -> list[str]:
    """Let TensorFlow see every GPU, or none, as ``device`` says; return the names of the devices to train on."""
    gpus = tf.config.list_physical_devices("GPU")
    chosen = gpus if choose(device, gpus) else []
    show(chosen)
    return [f"GPU:{i}" for i in range(len(chosen))] or logical_cpus()


def logical_cpus() -> list[str]:
    """Return the names of the CPUs that were configured, one by default, without making TensorFlow begin."""
    configured = [tf.config.get_logical_device_configuration(cpu) for cpu in tf.config.list_physical_devices("CPU")]
    return [f"CPU:{i}" for i in range(sum(len(one or [None]) for one in configured))]


def tpu_strategy() -> tf.distribute.Strategy:
    """Connect to the TPU that the environment names (on a TPU machine: its own).

    Raises:
        UsageError: there is none.
    """
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="" if "TPU_NAME" in os.environ else "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise UsageError(
            f"device: tpu was asked for, but TensorFlow reaches no TPU here ({str(error).strip().splitlines()[0]}); "
            "run on a TPU machine with TensorFlow's TPU build, or set TPU_NAME; device: auto takes a GPU or the CPU"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def with_workers() -> Team:
    """Join the workers that TF_CONFIG, or Slurm, describes; return once all are there.

    Raises:
        UsageError: neither does.
    """
    resolver = find_workers(os.environ)
    spec, kind, number = resolver.cluster_spec().as_dict(), resolver.task_type, resolver.task_id
    jobs = [job for job in ("chief", "worker") if job in spec]
    if kind not in jobs:
        raise UsageError(
            f"distribution: multi_worker: this process is '{kind}' of {', '.join(spec) or 'nothing'} in TF_CONFIG; "
            "spiral runs as chief or worker, which all train alike"
        )
    index = number + (len(spec["chief"]) if kind == "worker" and "chief" in jobs else 0)
    return Team(awaited(resolver), index, sum(len(spec[job]) for job in jobs))


def awaited(
    resolver: tf.distribute.cluster_resolver.ClusterResolver,
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Return the strategy once every worker is there."""
    try:
        with killable():
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise UsageError(
            f"distribution: multi_worker: this worker could not join the others ({str(error).strip()[:300]}); "
            "see that TF_CONFIG names free ports, the same list on every host, and each worker once"
        ) from error


@contextmanager
def killable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process inside the block, where nothing is at stake.

    TensorFlow waits for workers with Python's lock held, so a handler would not be called. It also
    takes SIGTERM for itself, as a notice of preemption that nobody here listens to: undone at the end.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def find_workers(environment: dict[str, str] | os._Environ[str]) -> tf.distribute.cluster_resolver.ClusterResolver:
    """Return what tells this process of the others.

    Raises:
        UsageError: nothing does.
    """
    resolvers = tf.distribute.cluster_resolver
    try:
        if "TF_CONFIG" in environment:
            resolver = resolvers.TFConfigClusterResolver()
            resolver.cluster_spec()
            return resolver
        if "SLURM_PROCID" in environment:
            # Which GPUs a task may use is a matter of srun (--gpus-per-task). The resolver would set them
            # itself, too late here, and finds no tasks where it finds no GPUs: it is told of enough.
            return resolvers.SlurmClusterResolver(gpus_per_node=MANY, gpus_per_task=1, auto_set_gpu=False)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UsageError(
            f"distribution: multi_worker: the workers cannot be read from the environment ({error}); TF_CONFIG is "
            '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
        ) from error
    raise UsageError(
        "distribution: multi_worker needs to know its workers: TF_CONFIG is not set and this is no Slurm step. "
        "Kubeflow's TFJob sets TF_CONFIG; srun starts Slurm steps; to try it on this machine give --workers 2"
    )
