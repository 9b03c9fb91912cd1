"""What learning by a plan costs beyond using the net, counted as the papers do: extra bits, and multiply-accumulates of the way back.

Both read the list of layers alone. What a training step of this kit holds in all, float32 and byte by byte, is learners.memory.
"""


def extra_bits(layers, plan):
    """Bits of memory that learning by `plan` adds for one example, as MCUNetV3 counts them: an int.

      8 * inputs of the head, if its weights learn
      + for each convolution that learns:
          1 * output elements (was the value cut, or 0?)  +  32 * c_out, if the bias learns
          + 8 * h_in * w_in * ch (int8 inputs to keep)  +  8 * c_out / groups * ch * k * k (int8 weights to move into SRAM)
    where ch is the number of input channels that learn. Not in it: working activations, float gradients, momentum, the head's own weights,
    norms. So it ranks plans and is no peak: memory.memory_report(rule="device") counts everything.
    layers: as layers.trace gives them; the head is the last linear layer. plan: UpdatePlan.
    Source: Lin et al. 2022 (MCUNetV3), the rule of the published code, which gives the labels of the published schemes.
    """
    bits = 8 * next((layer.c_in for layer in reversed(layers) if layer.kind == "linear" and plan.channels.get(layer.name)), 0)
    for layer in layers:
        count = plan.channels.get(layer.name, 0)
        if layer.kind == "conv" and (count or layer.name in plan.biases):
            bits += layer.out_elements + 32 * layer.biases * (layer.name in plan.biases)
            bits += 8 * count * (layer.h_in * layer.w_in + layer.weights // layer.c_in)
    return bits


def backward_macs(layers, plan):
    """Multiply-accumulates of the backward pass for one example: an int.

    A layer costs its forward MACs once more for the gradient of its input, if something before it learns; and the share of them that
    belongs to the channels that learn, for the gradient of its weights. layers, plan: as for `extra_bits`.
    """
    total, carries = 0, {-1: False}     # carries[i]: a gradient flows into the output of layer i and on
    for i, layer in enumerate(layers):
        through, count = any(carries[j] for j in layer.inputs), plan.channels.get(layer.name, 0)
        total += layer.macs * through + layer.macs * count // layer.c_in
        carries[i] = through or count > 0 or layer.name in plan.biases
    return total
