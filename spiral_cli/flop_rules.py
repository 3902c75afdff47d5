"""What one call of each kind of layer costs, from shapes alone. No tensors, no TensorFlow.

The conventions:

- a multiplication with the addition that follows it is two operations;
- each weight of a kernel is used a number of times (the positions of a convolution, the steps of a recurrent
  layer), so a kernel costs 2 · weights · uses, whatever its groups, strides and multipliers are;
- a bias and an activation cost one operation an element, a softmax five (as TensorFlow's profiler has it);
- batch normalisation costs two an element: at inference it is one scale and one shift;
- what only moves data, and dropout at inference, is free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spiral_cli.models.graph import stock

Shape = tuple[int, ...]
SOFTMAX = 5


@dataclass(frozen=True)
class Cost:
    """Floating-point operations of one call of a layer.

    Attributes:
        kernels: each kernel variable, and how often each of its weights is used.
        other: operations that no kernel takes part in: biases, activations, pooling, attention's products.
    """

    kernels: tuple[tuple[Any, int], ...] = ()
    other: int = 0

    @property
    def total(self) -> int:
        """All operations, with the kernels' present shapes."""
        return sum(kernel_flops(variable.shape, uses) for variable, uses in self.kernels) + self.other


def kernel_flops(shape: Sequence[int], uses: int) -> int:
    """Return the operations of a kernel of ``shape`` each of whose weights is used ``uses`` times.

    Groups and depth multipliers are in the shape already: a grouped kernel is (…, inputs / groups, outputs).
    """
    return 2 * math.prod(shape) * uses


def attention_flops(heads: int, queries: int, keys: int, key_dim: int, value_dim: int) -> int:
    """Return the operations of scaled dot-product attention between its projections (Vaswani et al. 2017).

    Args:
        heads: of queries.
        queries: query positions, over the whole batch.
        keys: key positions that each of them looks at.
        key_dim: width of a query and of a key of one head.
        value_dim: width of a value of one head.
    """
    products = 2 * heads * queries * keys * (key_dim + value_dim)
    return products + heads * queries * key_dim + SOFTMAX * heads * queries * keys


def cost(layer: Any, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Cost | None:
    """Return what a call of ``layer`` costs, or None for a kind not known here.

    A subclass with a ``call`` of its own is another kind than the layer it derives from.

    Args:
        layer: a built Keras layer, or an operation of `keras.ops`.
        inputs: shapes of its tensors, without unknown dimensions.
        outputs: the same of what it returns.
    """
    if not stock(layer):
        return None
    known = next((RULES[kind.__name__] for kind in type(layer).__mro__ if kind.__name__ in RULES), None)
    return None if known is None else known(layer, list(inputs), list(outputs))


Rule = Callable[[Any, list[Shape], list[Shape]], Cost]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Return a decorator that files a rule under class names."""

    def keep(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return keep


def size(shapes: Sequence[Shape]) -> int:
    """Return the number of elements of all ``shapes``."""
    return sum(math.prod(shape) for shape in shapes)


def an_element(layer: Any) -> int:
    """Return the operations that bias and activation add to each element of a layer's output."""
    biased = getattr(layer, "bias", None) is not None
    return int(biased) + activation_flops(getattr(layer, "activation", None))


def activation_flops(activation: Any) -> int:
    """Return the operations an element of an activation function."""
    name = getattr(activation, "__name__", None)
    if activation is None or name == "linear":
        return 0
    return SOFTMAX if name in ("softmax", "log_softmax") else 1


@rule("Dense")
def dense(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Kernel (inputs, outputs), used at every position before the last axis."""
    return Cost(((layer.kernel, math.prod(inputs[0][:-1])),), an_element(layer) * size(outputs))


@rule("EinsumDense")
def einsum_dense(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Kernel used once for all input axes that the equation does not share with it."""
    return Cost(((layer.kernel, einsum_uses(layer, size(inputs))),), an_element(layer) * size(outputs))


def einsum_uses(layer: Any, elements: int) -> int:
    """Return how often an `EinsumDense` uses its kernel for an input of so many ``elements``."""
    taken, kernel = layer.equation.partition("->")[0].split(",")
    shared = (length for label, length in zip(kernel, layer.kernel.shape, strict=True) if label in taken)
    return elements // math.prod(shared)


@rule("BaseConv")
def convolution(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Kernel (…, inputs / groups, outputs), used at every output position; padding is multiplied, too."""
    uses = size(outputs) // layer.kernel.shape[-1]
    return Cost(((layer.kernel, uses),), an_element(layer) * size(outputs))


@rule("BaseConvTranspose")
def transposed(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Kernel (…, outputs, inputs), used at every input position; what is cropped is multiplied, too."""
    uses = size(inputs) // layer.kernel.shape[-1]
    return Cost(((layer.kernel, uses),), an_element(layer) * size(outputs))


@rule("BaseDepthwiseConv")
def depthwise(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Kernel (…, inputs, multiplier), used at every output position."""
    uses = size(outputs) // math.prod(layer.kernel.shape[-2:])
    return Cost(((layer.kernel, uses),), an_element(layer) * size(outputs))


@rule("BaseSeparableConv")
def separable(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Two kernels at every output position, the second over one pixel."""
    uses = size(outputs) // layer.pointwise_kernel.shape[-1]
    kernels = ((layer.depthwise_kernel, uses), (layer.pointwise_kernel, uses))
    return Cost(kernels, an_element(layer) * size(outputs))


@rule("SimpleRNN", "LSTM", "GRU")
def recurrent(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Input and recurrent kernel once a step; then gates, candidate and state of each unit."""
    steps = math.prod(inputs[0][:2])
    a_unit = {"SimpleRNN": 3, "LSTM": 17, "GRU": 17}[known_name(layer, ("SimpleRNN", "LSTM", "GRU"))]
    cell = layer.cell
    return Cost(((cell.kernel, steps), (cell.recurrent_kernel, steps)), a_unit * steps * cell.units)


@rule("ConvLSTM")
def convolutional_lstm(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Two convolutions a step, to four gates of each element of the state."""
    steps, cell = math.prod(inputs[0][:2]), layer.cell
    state = outputs[0][2 - len(inputs[0]) :]  # without batch and steps
    positions = steps * math.prod(state) // cell.filters
    return Cost(((cell.kernel, positions), (cell.recurrent_kernel, positions)), 17 * positions * cell.filters)


@rule("MultiHeadAttention", "GroupedQueryAttention")
def heads_attention(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Projections of queries, keys, values and output, and attention between them."""
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 and len(inputs[2]) == len(value) else value
    grouped = hasattr(layer, "num_query_heads")
    heads = layer.num_query_heads if grouped else layer.num_heads
    key_dim, value_dim = (layer.head_dim,) * 2 if grouped else (layer.key_dim, layer.value_dim)
    queries, axes = math.prod(query[:-1]), getattr(layer, "_attention_axes", None) or (1,)
    looked_at = math.prod(value[axis] for axis in axes)
    projections = [
        (layer._query_dense, queries),
        (layer._key_dense, math.prod(key[:-1])),
        (layer._value_dense, math.prod(value[:-1])),
        (layer._output_dense, queries),
    ]
    if (gate := getattr(layer, "_gate_dense", None)) is not None:
        projections.append((gate, queries))
    biases = sum(math.prod(one.bias.shape) * uses for one, uses in projections if one.bias is not None)
    kernels = tuple((one.kernel, uses) for one, uses in projections)
    return Cost(kernels, attention_flops(heads, queries, looked_at, key_dim, value_dim) + biases)


@rule("Attention")
def attention(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Products of queries with keys, and of their softmax with values (Luong et al. 2015)."""
    query, value = inputs[0], inputs[1]
    return Cost(other=attention_flops(1, math.prod(query[:-1]), value[-2], query[-1], value[-1]))


@rule("AdditiveAttention")
def additive_attention(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """A sum, a tanh, a scale and a sum for each pair of query and key (Bahdanau et al. 2015)."""
    query, value = inputs[0], inputs[1]
    pairs = math.prod(query[:-1]) * value[-2]
    return Cost(other=pairs * (4 * query[-1] + SOFTMAX + 2 * value[-1]))


@rule("BatchNormalization", "Rescaling", "Normalization")
def scaled(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """One scale and one shift an element."""
    return Cost(other=2 * size(inputs[:1]))


@rule("LayerNormalization", "GroupNormalization")
def normalised(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Mean, centre, square and sum, normalise; then scale and shift where there are some."""
    affine = sum(getattr(layer, name, None) is not None for name in ("gamma", "beta"))
    return Cost(other=(5 + affine) * size(inputs[:1]))


@rule("RMSNormalization", "UnitNormalization")
def divided_by_norm(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Square, sum and divide; then scale where there is one."""
    return Cost(other=(3 + (getattr(layer, "scale", None) is not None)) * size(inputs[:1]))


@rule("BasePooling")
def pooling(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """One operation for each element of each window."""
    return Cost(other=math.prod(layer.pool_size) * size(outputs))


@rule("BaseGlobalPooling", "BaseAdaptivePooling", "Mean", "Sum", "Max", "Min", "Amax", "Amin", "Prod")
def reduced(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """One operation for each element that comes in."""
    return Cost(other=size(inputs[:1]))


@rule("Dot")
def dotted(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Products of two tensors along an axis of each."""
    axes = getattr(layer, "axes", None)  # without: of `keras.ops`, over the last axis
    axis = axes if isinstance(axes, int) else axes[0] if axes else -1
    return Cost(other=2 * size(outputs) * inputs[0][axis])


@rule("Matmul")
def product(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Products along the last axis of the first tensor."""
    return Cost(other=2 * size(outputs) * inputs[0][-1])


@rule("Einsum")
def einsum(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """A multiplication and an addition for each combination of all labels."""
    lengths = einsum_lengths(layer.subscripts, inputs)
    return Cost(other=2 * math.prod(lengths.values()))


def einsum_lengths(equation: str, inputs: Sequence[Shape]) -> dict[str, int]:
    """Return the length of each label of an equation; axes under an ellipsis are labels of their own."""
    lengths: dict[str, int] = {}
    for term, shape in zip(equation.replace(" ", "").partition("->")[0].split(","), inputs, strict=True):
        before, dots, after = term.partition("...")
        hidden = [f"…{i}" for i in range(len(shape) - len(before) - len(after))] if dots else []
        lengths.update(zip([*before, *hidden, *after], shape, strict=True))
    return lengths


@rule("Average")
def averaged(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """The sum of the tensors and one division."""
    return Cost(other=size(inputs))


@rule("Merge", "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Power")
def combined(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """One operation less than there are tensors, an element; with a constant, one."""
    return Cost(other=max(len(inputs) - 1, 1) * size(outputs))


@rule("Activation")
def activated(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """The function's operations an element."""
    return Cost(other=activation_flops(layer.activation) * size(outputs))


@rule("Softmax", "LogSoftmax")
def softmax(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Maximum, difference, exponential, sum and division."""
    return Cost(other=SOFTMAX * size(outputs))


@rule(
    *("ReLU", "ELU", "LeakyReLU", "PReLU", "Relu", "Relu6", "Sigmoid", "Silu", "Gelu", "Elu", "Selu", "LeakyRelu"),
    *("Celu", "Softplus", "Softsign", "HardSigmoid", "HardSilu", "HardTanh", "LogSigmoid", "Tanh", "Exp", "Log"),
    *("Sqrt", "Square", "Negative", "Absolute", "Reciprocal", "Clip"),
)
def elementwise(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """One operation an element."""
    return Cost(other=size(outputs))


@rule(
    *("InputLayer", "Identity", "Flatten", "Reshape", "Permute", "RepeatVector", "Embedding", "Masking", "Concatenate"),
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout"),
    *("GaussianNoise", "ActivityRegularization", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D"),
    *("Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D", "Transpose", "ExpandDims"),
    *("Squeeze", "GetItem", "Cast", "Stack", "Split", "Pad", "BroadcastTo", "Repeat", "Tile", "Take", "Swapaxes"),
    *("Moveaxis", "Ravel", "StopGradient", "Slice", "Unstack", "Copy", "OnesLike", "ZerosLike", "Flip", "Roll"),
    *("DepthToSpace", "SpaceToDepth"),
)
def free(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    """Nothing is computed at inference: data are moved."""
    return Cost()


def known_name(layer: Any, names: Sequence[str]) -> str:
    """Return which of ``names`` the layer's class is, or derives from."""
    return next(kind.__name__ for kind in type(layer).__mro__ if kind.__name__ in names)
