"""PyTorch by hand, zuko, nflows and normflows, for `worker.py`.

With a start all are the same function: a coupling `z = (x - t) exp(-s)`, `s = 2 tanh(r/2)`, whose
network gives `(t, r)`. Each library has its own way to be told the bounded scale.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

Networks = list[tuple[list[np.ndarray], list[np.ndarray]]]

SIZES, COUPLINGS = (1, 64, 64, 2), 6

torch.set_default_dtype(torch.float64)
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


class Model:
    """A log-density with Adam."""

    def __init__(
        self, names: tuple[str, ...], module: nn.Module, log_prob: Callable[[Any], Any],
        data: np.ndarray, rate: float,
    ) -> None:  # fmt: skip
        self.versions = {name: version(name) for name in names}
        parameters = [part for part in module.parameters() if part.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=rate)
        self.density, self.data = log_prob, torch.as_tensor(data)

    def step(self, rows: np.ndarray) -> None:
        """Take one step."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = -self.density(self.data[torch.as_tensor(rows)]).mean()
        loss.backward()
        self.optimizer.step()

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Return log-densities."""
        with torch.no_grad():
            values: np.ndarray = self.density(torch.as_tensor(x)).numpy()
        return values

    def wait(self) -> None:
        """Nothing is under way."""


def fill(module: nn.Module, network: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    """Give the linear maps in a module, in their order, these weights and biases."""
    linear = [part for part in module.modules() if hasattr(part, "weight")]  # zuko has its own
    with torch.no_grad():
        for part, weight, bias in zip(linear, *network, strict=True):
            part.weight.copy_(torch.as_tensor(weight))
            part.bias.copy_(torch.as_tensor(bias))


def perceptron() -> nn.Sequential:
    """Return a network with PyTorch's own initial values."""
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(SIZES):
        parts += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def bounded(raw: Any) -> Any:
    """Return the logarithm of a scale."""
    return 2.0 * torch.tanh(raw / 2.0)


class ByHand(nn.Module):
    """RealNVP in a few lines of PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(perceptron() for _ in range(COUPLINGS))

    def forward(self, x: Any) -> Any:
        """Return log-densities."""
        coordinates, log_det = [x[:, :1], x[:, 1:]], 0.0
        for index in reversed(range(COUPLINGS)):
            stays, other = index % 2, 1 - index % 2
            outputs = self.networks[index](coordinates[stays])
            s = bounded(outputs[:, 1:])
            coordinates[other] = (coordinates[other] - outputs[:, :1]) * torch.exp(-s)
            log_det = log_det - s
        squares = coordinates[0] ** 2 + coordinates[1] ** 2
        return (log_det - 0.5 * squares)[:, 0] - math.log(2.0 * math.pi)


def by_hand(start: Networks | None) -> tuple[nn.Module, Callable[[Any], Any]]:
    """PyTorch without another library."""
    module = ByHand()
    for network, values in zip(module.networks, start or (), strict=False):
        fill(network, values)
    return module, module


def of_zuko(start: Networks | None) -> tuple[nn.Module, Callable[[Any], Any]]:
    """`zuko.flows.RealNVP`; with a start its coupling, around an affine map of PyTorch's.

    zuko goes from the data to the base, so our last coupling comes first. Its mask is true where a
    coordinate stays.
    """
    import zuko
    from torch.distributions import AffineTransform

    if start is None:
        flow = zuko.flows.RealNVP(2, transforms=COUPLINGS, hidden_features=SIZES[1:-1])
        return flow, lambda x: flow().log_prob(x)
    couplings = [
        zuko.flows.GeneralCouplingTransform(
            2,
            mask=torch.tensor([index % 2 == 0, index % 2 == 1]),
            univariate=lambda shift, raw: AffineTransform(shift, torch.exp(bounded(raw))).inv,
            hidden_features=SIZES[1:-1],
        )
        for index in range(COUPLINGS)
    ]
    for coupling, values in zip(couplings, start, strict=True):
        fill(coupling, values)
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(2), torch.ones(2), buffer=True
    )
    flow = zuko.lazy.Flow(couplings[::-1], base)
    return flow, lambda x: flow().log_prob(x)


def of_nflows(start: Networks | None) -> tuple[nn.Module, Callable[[Any], Any]]:
    """Return the affine coupling of nflows; with a start, told the scale by a method of its own.

    nflows goes from the data to the base. Its mask is positive where a coordinate is transformed.
    """
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import AffineCouplingTransform, CompositeTransform

    class Network(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.network = perceptron()

        def forward(self, x: Any, context: Any = None) -> Any:
            return self.network(x)

    class Bounded(AffineCouplingTransform):
        def _scale_and_shift(self, outputs: Any) -> tuple[Any, Any]:
            scale = torch.exp(-bounded(outputs[:, 1:]))
            return scale, -outputs[:, :1] * scale

    kind = AffineCouplingTransform if start is None else Bounded
    couplings = [
        kind(torch.tensor([1 - 2 * (index % 2 == 0), 1 - 2 * (index % 2 == 1)]), Network)
        for index in range(COUPLINGS)
    ]
    for coupling, values in zip(couplings, start or (), strict=False):
        fill(coupling, values)
    flow = Flow(CompositeTransform(couplings[::-1]), StandardNormal([2]))
    return flow, flow.log_prob


def of_normflows(start: Networks | None) -> tuple[nn.Module, Callable[[Any], Any]]:
    """Return the affine coupling blocks of normflows, as in its manual.

    normflows goes from the base to the data. Its blocks leave the first coordinate, so after each
    comes a permutation. The network's second output is the logarithm of the scale; with a start it
    is bounded before.
    """
    import normflows

    class Bounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = perceptron()

        def forward(self, x: Any) -> Any:
            outputs = self.network(x)
            return torch.cat([outputs[:, :1], bounded(outputs[:, 1:])], dim=1)

    parts: list[nn.Module] = []
    for index in range(COUPLINGS):
        if start is None:
            network = normflows.nets.MLP(list(SIZES), init_zeros=True)
        else:
            network = Bounded()
            fill(network, start[index])
        parts.append(normflows.flows.AffineCouplingBlock(network))
        parts.append(normflows.flows.Permute(2, mode="swap"))
    base = normflows.distributions.DiagGaussian(2, trainable=False)
    flow = normflows.NormalizingFlow(base, parts).double()
    return flow, flow.log_prob


def make(name: str, start: Networks | None, data: np.ndarray, rate: float) -> Model:
    """Return the model of one of the libraries."""
    torch.manual_seed(0)
    kinds = {"torch": by_hand, "zuko": of_zuko, "nflows": of_nflows, "normflows": of_normflows}
    module, log_prob = kinds[name](start)
    return Model(("torch",) if name == "torch" else (name, "torch"), module, log_prob, data, rate)
