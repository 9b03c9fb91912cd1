"""The one tracer: what a net does to one example, layer by layer. The memory meter, the quantizer and the engine all read this list."""
import copy
import operator
from dataclasses import dataclass
from math import prod

import torch
from torch import fx, nn
from torch.nn import functional as F

MODULES = {nn.Conv2d: "conv", nn.Linear: "linear", nn.Embedding: "embedding", nn.BatchNorm2d: "batch_norm", nn.GroupNorm: "group_norm",
           nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.Softmax: "softmax", nn.LogSoftmax: "log_softmax",
           nn.MaxPool2d: "max_pool", nn.AvgPool2d: "avg_pool", nn.AdaptiveAvgPool2d: "global_pool", nn.Flatten: "flatten",
           nn.Upsample: "upsample", nn.Identity: "identity"}
FUNCTIONS = {F.relu: "relu", torch.relu: "relu", F.relu6: "relu6", torch.sigmoid: "sigmoid", torch.tanh: "tanh", F.softmax: "softmax",
             torch.softmax: "softmax", F.log_softmax: "log_softmax", torch.log_softmax: "log_softmax", F.max_pool2d: "max_pool",
             torch.max_pool2d: "max_pool", F.avg_pool2d: "avg_pool", F.adaptive_avg_pool2d: "global_pool", torch.mean: "global_pool",
             torch.flatten: "flatten", torch.reshape: "flatten", operator.add: "add", operator.iadd: "add", torch.add: "add"}
METHODS = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softmax": "softmax", "log_softmax": "log_softmax", "mean": "global_pool",
           "flatten": "flatten", "view": "flatten", "reshape": "flatten", "add": "add"}
ARGUMENTS = {"max_pool": ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),    # of the functional form
             "avg_pool": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")}
PLAIN = {"dilation": (1, 1), "padding_mode": "zeros", "ceil_mode": False, "count_include_pad": True, "divisor_override": None,
         "return_indices": False}     # the only value that Layer can say
HANDED_ON = ("max_pool", "flatten", "identity")     # integers that come in go out
SUPPORTED = f"{', '.join(m.__name__ for m in MODULES)}, their functional forms, the mean over all places and x + y"


@dataclass(frozen=True)
class Layer:
    """One step of a net, for one example. Where there are no places, h = w = 1; in x (N, L, D), D is c and L is h.

    name: of the torch module, or, for a functional op, of its node in the torch.fx graph ("add", "add_1", ...).
    kind: conv, linear, embedding, batch_norm, group_norm, relu, relu6, sigmoid, tanh, softmax, log_softmax, max_pool, avg_pool,
          global_pool, upsample (bilinear), flatten, add, identity. A depthwise convolution is a conv with groups == c_in.
    kernel, stride, padding: (height, width). groups: of a conv or group_norm. An embedding has its rows as c_in, its tokens as h.
    bias: has a bias (a norm: has weight and bias). inputs: places in the list of the layers it reads; -1 is x itself.
    int8: its output, and its weights if it has some, are int8 (models.quantnet); else float32.
    """
    name: str
    kind: str
    c_in: int
    h_in: int
    w_in: int
    c_out: int
    h_out: int
    w_out: int
    kernel: tuple = (1, 1)
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    groups: int = 1
    bias: bool = False
    inputs: tuple = ()
    int8: bool = False

    @property
    def weights(self):
        """Weights without biases; of a norm, its gains."""
        if self.kind in ("conv", "linear", "embedding"):
            return self.c_out * self.c_in // self.groups * prod(self.kernel)
        return self.c_in if self.kind.endswith("_norm") and self.bias else 0

    @property
    def biases(self):
        return self.c_out if self.bias else 0

    @property
    def in_elements(self):
        """Values of one input of one example (tokens for an embedding)."""
        return self.h_in * self.w_in * (1 if self.kind == "embedding" else self.c_in)

    @property
    def out_elements(self):
        return self.c_out * self.h_out * self.w_out

    @property
    def macs(self):
        """Multiply-accumulates of convolutions and linear layers for one example; 0 for all else."""
        return self.weights * self.h_out * self.w_out if self.kind in ("conv", "linear") else 0


def trace(net, x):
    """The layers of `net` in the order in which they run: a tuple of Layer.

    x: one batch (N, ...) float32, or int64 tokens; only shape and dtype count. Nothing is computed; net and random state stay as they are.
    Raises ValueError, with the name of the layer, for an op or an option that Layer cannot say, and for a net that torch.fx cannot trace.
    """
    return tuple(_walk(net, x))


def graph(net):
    """The net as torch.fx.GraphModule, sharing its weights. Raises ValueError if it cannot be traced."""
    try:
        return fx.GraphModule(net, _Tracer().trace(net))
    except (fx.proxy.TraceError, TypeError) as error:
        raise ValueError(f"{type(net).__name__} cannot be traced: {error} (torch.fx cannot branch or loop on values)") from error


@torch.no_grad()
def values(graph_module, x):
    """{fx node: its value} of one run of a GraphModule on the batch x."""
    interpreter = _Values(graph_module)
    interpreter.run(x)
    return interpreter.seen


def kind_of(node, graph_module):
    """The kind of an fx node, by its op alone; None for input, output, arithmetic on shapes, and all that is not supported."""
    if node.op == "call_module":
        module = graph_module.get_submodule(node.target)
        return getattr(module, "layer_kind", next((MODULES[cls] for cls in type(module).__mro__ if cls in MODULES), None))
    return {"call_function": FUNCTIONS, "call_method": METHODS}.get(node.op, {}).get(node.target)


def window(node, graph_module, kind):
    """(kernel, stride, padding) of a convolution or pooling node, each (height, width).

    Raises ValueError for an option that Layer cannot say (dilation, ...).
    """
    if node.op == "call_module":
        opts = vars(graph_module.get_submodule(node.target))
    else:
        opts = dict(zip(ARGUMENTS[kind], node.args[1:], strict=False)) | node.kwargs
    for key, plain in PLAIN.items():
        if opts.get(key, plain) not in (plain, 1 if key == "dilation" else plain):
            raise ValueError(f"layer {_name(node)!r} has {key}={opts[key]!r}, which is not supported: leave it at {plain!r}")
    kernel = _pair(opts["kernel_size"])
    padding = opts.get("padding", 0)
    if padding == "same" and any(k % 2 == 0 for k in kernel):
        raise ValueError(f'layer {_name(node)!r} pads a kernel of {kernel} with "same", more on one side: use an odd kernel or numbers')
    padding = {"valid": 0, "same": tuple(k // 2 for k in kernel)}.get(padding, padding)
    return kernel, _pair(opts.get("stride") or kernel), _pair(padding)


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _name(node):
    return node.target if node.op == "call_module" else node.name


class _Tracer(fx.Tracer):
    """Does not look into a module of a known kind, nor into a subclass of one, nor into one that names its `layer_kind` itself."""

    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, tuple(MODULES)) or hasattr(m, "layer_kind") or super().is_leaf_module(m, module_qualified_name)


class _Values(fx.Interpreter):
    """Runs a graph and keeps the value of every node in `seen`."""

    def run(self, *args):
        self.seen = {}
        return super().run(*args)

    def run_node(self, node):
        self.seen[node] = super().run_node(node)
        return self.seen[node]


def _walk(net, x):
    """Yields the layers. The shapes are found on the meta device."""
    meta = graph(copy.deepcopy(net).to("meta").eval())
    seen, int8 = values(meta, x.to("meta")), {}
    place = {}      # node -> place of its layer
    for node, value in seen.items():
        if node.op == "placeholder":
            place[node] = -1
        elif node.op != "output" and isinstance(value, torch.Tensor):
            kind, module = kind_of(node, meta), meta.get_submodule(node.target) if node.op == "call_module" else None
            if kind is None:
                what = type(module).__name__ if module else getattr(node.target, "__name__", node.target)
                raise ValueError(f"layer {_name(node)!r} is {what}, which is not supported: use {SUPPORTED}")
            if kind == "upsample" and (module.mode != "bilinear" or module.align_corners):
                raise ValueError(f"layer {_name(node)!r} has mode={module.mode!r}, align_corners={module.align_corners}, which is not "
                                 'supported: leave it at "bilinear" and False')
            sources = [a for a in (*node.args, *node.kwargs.values()) if isinstance(a, fx.Node) and a in place]
            _check(node, kind, [seen[a].shape for a in sources], value.shape)
            fields = _shape(kind, module, seen[sources[0]].shape, value.shape) | _of_module(kind, module)
            if kind in ("conv", "max_pool", "avg_pool"):
                fields |= dict(zip(("kernel", "stride", "padding"), window(node, meta, kind), strict=True))
            int8[node] = getattr(module, "int8", kind in HANDED_ON and int8.get(sources[0], False))
            yield Layer(_name(node), kind, **fields, inputs=tuple(place[a] for a in sources), int8=int8[node])
            place[node] = max(place.values()) + 1


def _check(node, kind, shapes, out):
    """Raises ValueError where a node of a known kind does what the kind does not say."""
    places = (1, 1) if len(out) == 4 else ()
    wants = {"add": (len(shapes) == 2 and shapes[0] == shapes[-1] and not node.kwargs, "two tensors of one shape"),
             "flatten": (out == (shapes[0][0], prod(shapes[0][1:])), "everything but the batch in one row"),
             "global_pool": (out == (*shapes[0][:2], *places) and len(shapes[0]) == 4, "the mean over height and width")}
    fine, want = wants.get(kind, (True, ""))
    if not fine:
        shape = ", ".join(str(tuple(s)) for s in shapes)
        raise ValueError(f"layer {_name(node)!r} makes {tuple(out)} of {shape}: of this kind only {want} is supported")


def _shape(kind, module, shape, out):
    (c_in, h_in, w_in), (c_out, h_out, w_out) = _chw(shape), _chw(out)
    if kind == "embedding":
        c_in, h_in, w_in = module.num_embeddings, prod(shape[1:]), 1
    return {"c_in": c_in, "h_in": h_in, "w_in": w_in, "c_out": c_out, "h_out": h_out, "w_out": w_out}


def _chw(shape):
    """(c, h, w) of one example of a batch shaped (N, C, H, W), (N, L, D), (N, F) or (N,)."""
    if not 1 <= len(shape) <= 4:
        raise ValueError(f"a tensor shaped {tuple(shape)} has no (c, h, w): give x as (N, C, H, W), (N, L, D) or (N, F)")
    return {4: lambda c, h, w: (c, h, w), 3: lambda h, c: (c, h, 1), 2: lambda c: (c, 1, 1), 1: lambda: (1, 1, 1)}[len(shape)](*shape[1:])


def _of_module(kind, module):
    if kind in ("batch_norm", "group_norm"):
        return {"bias": module.weight is not None, "groups": getattr(module, "num_groups", 1)}
    if kind in ("conv", "linear"):
        return {"bias": module.bias is not None, "groups": getattr(module, "groups", 1)}
    return {}
