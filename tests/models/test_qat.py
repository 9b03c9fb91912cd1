import copy

import pytest
import torch

from odl_kit.learners import optimizers, qas, train
from odl_kit.models import calibrate, flat, fold, layers, nets, qat, quantize

seed = torch.Generator().manual_seed
MAKERS = {"tiny_cnn": lambda: nets.tiny_cnn(1, 4, rng=seed(0)), "ds_cnn": lambda: nets.ds_cnn(1, 4, norm="batch", rng=seed(0)),
          "mlp": lambda: nets.mlp(64, (12, 8), 4, rng=seed(0))}


def example(n=40):
    return torch.rand(n, 1, 8, 8, generator=seed(1)), torch.randint(4, (n,), generator=seed(2))


@pytest.mark.parametrize("bits, scales", [(8, calibrate.largest), (3, calibrate.least_error)])
@pytest.mark.parametrize("name", MAKERS)
def test_a_prepared_net_has_the_real_weights_and_computes_like_the_quantized_net_value_for_value(name, bits, scales):
    net, (x, _) = MAKERS[name]().eval(), example()
    made = qat.prepare(net, x, bits=bits, scales=scales)
    assert torch.equal(flat.ravel(made), flat.ravel(fold.fold(net)))
    assert torch.equal(made(x), quantize.quantize_model(net, x, bits=bits, scales=scales)(x))


@pytest.mark.parametrize("name", MAKERS)
def test_what_convert_returns_computes_what_training_computed_last(name):
    net, (x, y) = MAKERS[name](), example()
    made = qat.prepare(net, x, bits=4)
    before = flat.ravel(made)
    train.fit(made, x, y, epochs=3, batch_size=8, lr=0.05, rng=seed(3), progress=False)
    after, out = flat.ravel(made), made(x)
    found = qat.convert(made)
    assert (after != before).float().mean() > 0.5
    assert torch.equal(found(x), out) and torch.equal(made(x), out)
    for layer in found.integer_layers().values():
        assert torch.equal(layer.weight, layer.weight.round()) and layer.weight.abs().max() <= 7
    assert len(found.integer_layers()) >= 2 and found.integer_layers().keys() == quantize.quantize_model(net, x).integer_layers().keys()


def test_with_scales_that_stay_its_gradient_is_that_of_the_integer_net_in_real_units():
    """dL/dv = dL/dq / s: quantization-aware training with frozen scales is what QAS does."""
    net, (x, y) = MAKERS["tiny_cnn"](), example()
    real, integer = qat.prepare(net, x), quantize.quantize_model(net, x)
    grads = [torch.autograd.grad(train.loss_of(n(x), y), list(n.parameters())) for n in (real, integer)]
    for (name, _), a, b in zip(real.named_parameters(), *grads, strict=True):
        layer, _, kind = name.rpartition(".")
        if layer in integer.integer_layers():
            own = integer.get_submodule(layer)
            s = own.s_w if kind == "weight" else own.s_w * own.s_x
            b = b / s.view(-1, *[1] * (b.dim() - 1))
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


def test_a_net_of_real_weights_is_for_a_computer_and_neither_traced_nor_trained_by_qas():
    net, (x, _) = MAKERS["tiny_cnn"](), example()
    made = qat.prepare(net, x)
    with pytest.raises(ValueError, match="'conv1' is RealConv2d"):
        layers.trace(made, x)
    with pytest.raises(ValueError, match="no integer layers"):
        qas.optimizer(made, optimizers.sgd())
    assert copy.deepcopy(made).integer_layers() == {}
