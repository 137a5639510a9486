"""LoRA's layers by the shorter way do what peft's own do, and only where they may."""

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from peft import LoraConfig, get_peft_model  # noqa: E402
from peft.tuners.lora import Linear  # noqa: E402

from simia_async.training.low_rank import quicken  # noqa: E402


class Net(torch.nn.Module):
    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.first = torch.nn.Linear(6, 8, bias=True, dtype=dtype)
        self.second = torch.nn.Linear(8, 5, bias=False, dtype=dtype)

    def forward(self, x: Any) -> Any:
        return self.second(torch.tanh(self.first(x)))


def with_lora(dtype: Any = torch.float32, **options: Any) -> Any:
    torch.manual_seed(0)
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["first", "second"], **options)
    model = get_peft_model(Net(dtype), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first, and then A has no gradient
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def is_quick(model: Any) -> list[bool]:
    return ["forward" in vars(m) for m in model.modules() if isinstance(m, Linear)]


def test_output_and_gradients_are_those_of_peft() -> None:
    plain = with_lora(torch.float64).double()
    quick = copy.deepcopy(plain)
    quicken(quick)
    assert is_quick(quick) == [True, True]
    assert is_quick(plain) == [False, False]
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    outs = [model(each) for model, each in zip((plain, quick), inputs, strict=True)]
    assert torch.allclose(*outs, atol=1e-12)
    for out in outs:
        out.square().sum().backward()
    assert torch.allclose(inputs[0].grad, inputs[1].grad, atol=1e-12)
    ours = dict(quick.named_parameters())
    for name, parameter in plain.named_parameters():
        assert (parameter.grad is None) == (ours[name].grad is None)
        if parameter.grad is not None:
            assert torch.allclose(parameter.grad, ours[name].grad, atol=1e-12), name


def test_without_its_adapter_it_is_the_base() -> None:
    model = with_lora()
    quicken(model)
    x = torch.randn(3, 6)
    with torch.no_grad(), model.disable_adapter():
        off = model(x)
    assert torch.equal(off, Net.forward(base_of(model), x))
    with torch.no_grad():
        assert not torch.allclose(model(x), off)


def base_of(model: Any) -> Any:
    net = model.get_base_model()
    bare = Net(torch.float32)
    for name in ("first", "second"):
        bare.get_submodule(name).load_state_dict(net.get_submodule(name).base_layer.state_dict())
    return bare


@pytest.mark.parametrize("options", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_what_is_not_plain_stays_as_it_is(options: dict[str, Any]) -> None:
    model = with_lora(**options)
    quicken(model)
    assert is_quick(model) == [False, False]


def test_another_type_than_the_base_stays_as_it_is() -> None:
    model = with_lora(torch.bfloat16)
    quicken(model)
    assert is_quick(model) == [False, False]
    model = with_lora()
    model.add_adapter("other", LoraConfig(r=2, target_modules=["first"]))
    quicken(model)
    assert is_quick(model) == [False, True]
