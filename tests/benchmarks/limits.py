"""How far spiral's step is from what its matrix products and convolutions alone take on this machine.

    python tests/benchmarks/limits.py                          # all four models of speed.py
    python tests/benchmarks/limits.py --models resnet20 --products

Every product of a plain Keras step (forward and both gradients) is taken from its trace and timed
alone on inputs of its shapes, in a compiled loop, in turns with spiral's whole step. Their sum is
the machine's limit for a step of these products by TensorFlow's kernels. Winograd's form computes
other ones (`training/winograd.py`), and may stay below. Random inputs; medians; batch of 128.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from contenders import spiral_epoch
from workloads import BATCH, EXAMPLES, build, examples, scaled

STEPS = 8  # of spiral in one turn
TIMES = 4  # that every product is computed in one turn
PRODUCTS = ("MatMul", "BatchMatMulV2", "Einsum", "Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
SIZES = {"Conv2DBackpropInput": "input_sizes", "Conv2DBackpropFilter": "filter_sizes"}


class Product(NamedTuple):
    """A product of a graph: its kind, input names and shapes, attributes, and the shape of what it gives."""

    kind: str
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    settings: tuple[tuple[str, Any], ...]
    output: tuple[int, ...]

    def __str__(self) -> str:
        shapes = [shape for name, shape in self.inputs if name != SIZES.get(self.kind)]
        return f"{self.kind} {' '.join(str(list(shape)) for shape in shapes)} -> {list(self.output)}"


def products(name: str) -> Counter[Product]:
    """Return how often one Keras step of a model computes each product."""
    import keras
    import tensorflow as tf

    model = build(name)
    x, y = examples(name, BATCH)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        return tape.gradient(value, [v.value for v in model.trainable_variables])

    graph = step.get_concrete_function(tf.constant(scaled(x)), tf.constant(y)).graph
    needed, waiting = set(), [tensor.op for tensor in graph.outputs]
    while waiting:  # the gradient of the images, for one, is traced but not computed
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
    return Counter(describe(operation) for operation in needed if operation.type in PRODUCTS)


def describe(operation: Any) -> Product:
    """Return what to compute anew of an operation of a graph."""
    definition = operation.op_def
    names = [one.name for one in definition.input_arg]
    names = names if len(names) == len(operation.inputs) else names * len(operation.inputs)  # Einsum takes a list
    wanted = [one.name for one in definition.attr if one.type != "type" and one.name != "N"]
    values = [(one, operation.get_attr(one)) for one in wanted]
    return Product(
        operation.type,
        tuple((name, tuple(tensor.shape)) for name, tensor in zip(names, operation.inputs, strict=True)),
        tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in values),
        tuple(operation.outputs[0].shape),
    )


def alone(product: Product) -> Callable[[], Any]:
    """Return what computes a product `TIMES` times in one compiled call, on random inputs."""
    import tensorflow as tf

    sizes = SIZES.get(product.kind)
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in product.settings}
    if sizes:
        settings[sizes] = product.output
    names = [name for name, _ in product.inputs if name != sizes]
    tensors = [tf.random.normal(shape) for name, shape in product.inputs if name != sizes]

    @tf.function
    def loop(*tensors):
        def once(i, total):
            inputs = {"inputs": tensors} if product.kind == "Einsum" else dict(zip(names, tensors, strict=True))
            result = getattr(tf.raw_ops, product.kind)(**inputs, **settings)
            return i + 1, total + tf.reshape(result, [-1])[0]  # so that it is needed

        return tf.while_loop(lambda i, _: i < TIMES, once, (0, 0.0), parallel_iterations=1)[1]

    return lambda: loop(*tensors)


def measure(name: str, turns: int) -> tuple[float, dict[Product, float]]:
    """Return the milliseconds of one step of spiral, and of all of a step's products of each kind and shape."""
    import tensorflow as tf

    epoch = spiral_epoch(name, *examples(name, min(STEPS * BATCH, EXAMPLES[name])))
    epoch()
    count = products(name)
    # What does not change within a loop must not be computed before it.
    tf.config.optimizer.set_experimental_options({"loop_optimization": False, "constant_folding": False})
    runs: dict[Product | None, Callable[[], Any]] = {None: epoch, **{product: alone(product) for product in count}}
    seconds: dict[Product | None, list[float]] = {one: [] for one in runs}
    for _ in range(turns + 1):
        for one, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[one].append(time.perf_counter() - started)
    medians = {one: 1000 * statistics.median(times[1:]) for one, times in seconds.items()}
    return medians.pop(None) / STEPS, {one: count[one] * medians[one] / TIMES for one in count}


def main() -> None:
    """Print a line for each model, and for each of its products where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(EXAMPLES), choices=list(EXAMPLES))
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--products", action="store_true", help="list every product")
    options = parser.parse_args()
    for model in options.models:
        step, times = measure(model, options.turns)
        limit = sum(times.values())
        distance = f"{step - limit:+.1f} ms, {step / limit:.2f} times"
        print(f"{model}: {step:.1f} ms a step, its products alone {limit:.1f} ms, distance {distance}", flush=True)
        if options.products:
            for product, value in sorted(times.items(), key=lambda pair: -pair[1]):
                print(f"  {value:7.2f} ms  {product}")


if __name__ == "__main__":
    main()
