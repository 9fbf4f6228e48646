"""PyTorch by hand, zuko, nflows, normflows and Pyro, for `worker.py`.

Each is told the same function in its own way. Where a library has no map of a kind, it gets one, as
its manual says how: a sinh-arcsinh map for all, trainable affine maps for nflows and normflows.
Fits are by L-BFGS, PyTorch's own with a strong Wolfe line search, on all data.

Of the RealNVP with a start all are the same function: a coupling `z = (x - t) exp(-s)`,
`s = 2 tanh(r/2)`, whose network gives `(t, r)`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import distributions, nn

from ..problems import INTERVAL, MINIMUM, OFFSET
from .common import Networks, NoEquivalentError, Parameters, versions

SIZES, COUPLINGS = (1, 64, 64, 2), 6
BOUND = INTERVAL[1]
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

torch.set_default_dtype(torch.float64)
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def VERSIONS(name: str) -> dict[str, str]:
    """Return what is installed."""
    return versions(*dict.fromkeys((name, "torch")), "numpy")


class Scalar:
    """A density of one variable with trainable parameters."""

    optimiser = "L-BFGS"

    def __init__(
        self, parameters: list[Any], density: Callable[[Any], Any], draw: Callable[[int], Any],
        column: bool, sign: float = 1.0,
    ) -> None:  # fmt: skip
        self.parameters, self.density, self.draw = parameters, density, draw
        self.start = [part.detach().clone() for part in parameters]
        self.column, self.sign = column, sign

    def arrange(self, x: np.ndarray) -> Any:
        """Return a tensor, a column for libraries of vectors."""
        return torch.as_tensor(x)[:, None] if self.column else torch.as_tensor(x)

    def log_prob(self, x: Any) -> np.ndarray:
        """Return log-densities."""
        with torch.no_grad():
            values: np.ndarray = self.density(x.view_as(x)).numpy()  # another object: no cache
        return values

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return draws."""
        torch.manual_seed(seed)
        with torch.no_grad():
            draws: np.ndarray = self.draw(n).numpy()
        return draws

    def begin(self) -> None:
        """Go back to the start."""
        with torch.no_grad():
            for part, value in zip(self.parameters, self.start, strict=True):
                part.copy_(value)

    def ascend(self, x: Any, rate: float, steps: int) -> float:
        """Return the last iterate; zuko's has the other sign, and so the same path."""
        self.begin()
        optimizer = torch.optim.SGD(self.parameters, lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = -self.density(x.view_as(x)).mean()
            loss.backward()
            optimizer.step()
        return self.sign * float(self.parameters[0].detach().reshape(-1)[0])

    def fit(self, x: Any, goal: float) -> tuple[float, str]:
        """Climb to the goal."""
        self.begin()
        values: list[float] = []

        class ArrivedError(Exception):
            pass

        optimizer = torch.optim.LBFGS(
            self.parameters, max_iter=2000, max_eval=3000, history_size=20,
            line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-15,
        )  # fmt: skip

        def closure() -> Any:
            optimizer.zero_grad()
            loss = -self.density(x.view_as(x)).mean()
            values.append(-float(loss.detach()))
            if values[-1] >= goal:
                raise ArrivedError
            loss.backward()
            return loss

        with suppress(ArrivedError):
            optimizer.step(closure)
        return max(values), f"{len(values)} evaluations"


def trainable(*values: Any) -> list[Any]:
    """Return parameters."""
    return [nn.Parameter(torch.tensor(np.array(value))) for value in values]


class SinhArcsinh(distributions.Transform):  # type: ignore[misc]
    """From the data to the base; no library here ships one."""

    domain = codomain = distributions.constraints.real
    bijective = True
    sign = +1

    def __init__(self, skewness: Any, tail: Any) -> None:
        super().__init__()
        self.skewness, self.tail = skewness, tail

    def _call(self, y: Any) -> Any:
        return torch.sinh(torch.asinh(y) * torch.exp(-self.tail) - self.skewness)

    def _inverse(self, z: Any) -> Any:
        return torch.sinh((torch.asinh(z) + self.skewness) * torch.exp(self.tail))

    def log_abs_det_jacobian(self, y: Any, z: Any) -> Any:
        """Return the log-derivative."""
        return -self.tail + 0.5 * (torch.log1p(z * z) - torch.log1p(y * y))

    def call_and_ladj(self, y: Any) -> Any:
        """Return both at once, for zuko."""
        z = self(y)
        return z, self.log_abs_det_jacobian(y, z)


def scalar_by_hand(kind: str, values: Parameters) -> Scalar:
    """`torch.distributions` where it has the map, else PyTorch."""
    parts = trainable(*values)
    if kind.startswith("spline"):
        parts[2].data += OFFSET

        def spline(v: Any) -> Any:
            z, log_det = _spline(v, *parts)
            return log_det - 0.5 * z * z - HALF_LOG_2PI

        def no_draw(n: int) -> Any:
            raise NoEquivalentError("has no spline")

        return Scalar(parts, spline, no_draw, column=False)

    def flow() -> Any:
        base = distributions.Normal(torch.zeros(()), torch.ones(()), validate_args=False)
        affine = distributions.AffineTransform
        maps = {
            "shift": lambda: [affine(parts[0], 1.0)],
            "affine": lambda: [affine(parts[0], parts[1].exp())],
            "sinh-arcsinh": lambda: [
                SinhArcsinh(*parts[:2]).inv, affine(parts[2], parts[3].exp()),
            ],
        }[kind]()  # fmt: skip
        return distributions.TransformedDistribution(base, maps, validate_args=False)

    return Scalar(parts, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)), column=False)


def _spline(v: Any, widths: Any, heights: Any, slopes: Any) -> tuple[Any, Any]:
    """Return a rational-quadratic spline and its log-derivative, written for speed."""
    bins = widths.shape[-1]
    one = torch.ones(1)

    def knots(raw: Any) -> Any:
        shares = MINIMUM + (1.0 - MINIMUM * bins) * torch.softmax(raw, 0)
        return torch.cat([-BOUND * one, 2.0 * BOUND * shares.cumsum(0) - BOUND])

    x, y = knots(widths), knots(heights)
    d = torch.cat([one, MINIMUM + nn.functional.softplus(slopes), one])
    inside = (v > -BOUND) & (v < BOUND)
    clamped = v.clamp(-BOUND, BOUND)
    k = torch.bucketize(clamped, x[1:-1].detach(), right=True)
    w, h = x.diff()[k], y.diff()[k]
    s, t = h / w, (clamped - x[k]) / w
    q = t * (1.0 - t)
    below = s + (d[k] + d[k + 1] - 2.0 * s) * q
    z = y[k] + h * (s * t * t + d[k] * q) / below
    above = d[k + 1] * t * t + 2.0 * s * q + d[k] * (1.0 - t) ** 2
    log_det = torch.log(s * s * above / (below * below))
    return torch.where(inside, z, v), torch.where(inside, log_det, torch.zeros_like(v))


def scalar_of_zuko(kind: str, values: Parameters) -> Scalar:
    """Return a lazy flow of zuko; its maps go to the base and bound their parameters softly."""
    import zuko
    from zuko.lazy import UnconditionalDistribution, UnconditionalTransform
    from zuko.transforms import AdditiveTransform, MonotonicAffineTransform, MonotonicRQSTransform

    def before(wanted: Any, factor: float = 1.0, slope: float = 1e-3) -> Any:
        """Return what zuko bounds to what is wanted."""
        wanted = torch.as_tensor(np.array(wanted))
        return wanted / (1.0 - abs(factor * wanted / math.log(slope)))

    def affine(shift: Any, log_scale: Any) -> Any:
        scaled = torch.as_tensor(-shift * np.exp(-log_scale)).reshape(1)
        return UnconditionalTransform(
            MonotonicAffineTransform, scaled, before(-log_scale).reshape(1)
        )

    if kind == "shift":
        maps = [UnconditionalTransform(AdditiveTransform, torch.as_tensor(-values[0]).reshape(1))]
    elif kind == "affine":
        maps = [affine(*values)]
    elif kind == "sinh-arcsinh":
        bent = [torch.as_tensor(value).reshape(1) for value in values[:2]]
        maps = [affine(*values[2:]), UnconditionalTransform(SinhArcsinh, *bent)]
    else:
        raw = [torch.as_tensor(value) for value in values]
        shares = [
            torch.log(MINIMUM + (1.0 - MINIMUM * len(part)) * torch.softmax(part, 0))
            for part in raw[:2]
        ]
        bent = [before(part - part.mean(), 2.0)[None] for part in shares]
        slopes = before(torch.log(MINIMUM + nn.functional.softplus(raw[2] + OFFSET)))[None]
        maps = [UnconditionalTransform(MonotonicRQSTransform, *bent, slopes, bound=BOUND)]
    base = UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(1), torch.ones(1), buffer=True
    )
    flow = zuko.lazy.Flow(maps, base)
    return Scalar(
        list(flow.parameters()), lambda x: flow().log_prob(x), lambda n: flow().sample((n,)),
        column=True, sign=-1.0,
    )  # fmt: skip


def _in_nflows(kind: str, values: Parameters, parent: Any) -> list[Any]:
    """Return maps from the data to the base with nflows' interface, the nearest to it first."""

    class Map(parent):  # type: ignore[misc]
        def __init__(self, *values: Any) -> None:
            super().__init__()
            self.parts = nn.ParameterList(trainable(*values))

    class Shift(Map):
        def forward(self, x: Any, context: Any = None) -> Any:
            return x - self.parts[0], x.new_zeros(len(x))

        def inverse(self, z: Any, context: Any = None) -> Any:
            return z + self.parts[0], z.new_zeros(len(z))

    class Affine(Map):
        def forward(self, x: Any, context: Any = None) -> Any:
            shift, log_scale = self.parts
            return (x - shift) * torch.exp(-log_scale), -log_scale.expand(len(x))

        def inverse(self, z: Any, context: Any = None) -> Any:
            shift, log_scale = self.parts
            return shift + z * torch.exp(log_scale), log_scale.expand(len(z))

    class Bent(Map):
        def forward(self, x: Any, context: Any = None) -> Any:
            z, log_det = SinhArcsinh(*self.parts).call_and_ladj(x)
            return z, log_det.sum(-1)

        def inverse(self, z: Any, context: Any = None) -> Any:
            bent = SinhArcsinh(*self.parts)
            x = bent.inv(z)
            return x, -bent.log_abs_det_jacobian(x, z).sum(-1)

    if kind == "shift":
        return [Shift(values[0])]
    if kind == "affine":
        return [Affine(*values)]
    return [Affine(*values[2:]), Bent(*values[:2])]


def _set_spline(spline: Any, values: Parameters) -> Any:
    """Give a spline of nflows, normflows or Pyro these parameters."""
    with torch.no_grad():
        spline.unnormalized_widths.copy_(torch.as_tensor(values[0])[None])
        spline.unnormalized_heights.copy_(torch.as_tensor(values[1])[None])
        spline.unnormalized_derivatives.copy_(torch.as_tensor(values[2] + OFFSET)[None])
    return spline


def scalar_of_nflows(kind: str, values: Parameters) -> Scalar:
    """nflows: from the data to the base, as are its names."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform, Transform
    from nflows.transforms.nonlinearities import PiecewiseRationalQuadraticCDF

    if kind.startswith("spline"):
        spline = PiecewiseRationalQuadraticCDF(
            [1], num_bins=len(values[0]), tails="linear", tail_bound=BOUND
        )
        maps = [_set_spline(spline, values)]
    else:
        maps = _in_nflows(kind, values, Transform)
    flow = Flow(CompositeTransform(maps), StandardNormal([1]))
    return Scalar(list(flow.parameters()), flow.log_prob, flow.sample, column=True)


def scalar_of_normflows(kind: str, values: Parameters) -> Scalar:
    """normflows: from the base to the data."""
    import normflows
    from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCDF

    class Turned(normflows.flows.Flow):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, z: Any) -> Any:
            return self.inner.inverse(z)

        def inverse(self, x: Any) -> Any:
            return self.inner(x)

    if kind.startswith("spline"):
        spline = PiecewiseRationalQuadraticCDF(
            [1], num_bins=len(values[0]), tails="linear", tail_bound=BOUND
        )
        maps = [_set_spline(spline, values)]
    else:
        maps = _in_nflows(kind, values, nn.Module)
    base = normflows.distributions.DiagGaussian(1, trainable=False)
    flow = normflows.NormalizingFlow(base, [Turned(part) for part in maps[::-1]]).double()
    parts = [part for part in flow.parameters() if part.requires_grad]
    return Scalar(parts, flow.log_prob, lambda n: flow.sample(n)[0], column=True)


def scalar_of_pyro(kind: str, values: Parameters) -> Scalar:
    """Pyro: from the base to the data; its spline turned round, so that densities need no root."""
    import pyro.distributions as pyro
    from pyro.distributions import transforms

    if kind.startswith("spline"):
        spline = transforms.Spline(1, len(values[0]), bound=BOUND, order="quadratic")
        parts = list(_set_spline(spline, values).parameters())
        maps: Callable[[], list[Any]] = lambda: [spline.inv]  # noqa: E731
    else:
        parts = trainable(*(np.reshape(value, 1) for value in values))
        affine = transforms.AffineTransform

        def maps() -> list[Any]:
            if kind == "shift":
                return [affine(parts[0], 1.0, event_dim=1)]
            outer = affine(parts[-2], parts[-1].exp(), event_dim=1)
            if kind == "affine":
                return [outer]
            bent = SinhArcsinh(*parts[:2]).inv
            return [distributions.IndependentTransform(bent, 1), outer]

    base = pyro.Normal(torch.zeros(1), torch.ones(1)).to_event(1)

    def flow() -> Any:
        return pyro.TransformedDistribution(base, maps(), validate_args=False)

    return Scalar(parts, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)), column=True)


class Coupled:
    """A RealNVP with Adam."""

    def __init__(self, module: nn.Module, log_prob: Callable[[Any], Any]) -> None:
        self.module, self.density = module, log_prob

    def train_on(self, data: np.ndarray, rate: float) -> None:
        """Begin to train."""
        parameters = [part for part in self.module.parameters() if part.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=rate)
        self.data = torch.as_tensor(data)

    def step(self, rows: np.ndarray) -> None:
        """Take one step."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = -self.density(self.data[torch.as_tensor(rows)]).mean()
        loss.backward()
        self.optimizer.step()

    def arrange(self, x: np.ndarray) -> Any:
        """Return a tensor."""
        return torch.as_tensor(x)

    def log_prob(self, x: Any) -> np.ndarray:
        """Return log-densities."""
        with torch.no_grad():
            values: np.ndarray = self.density(x).numpy()
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


def make(name: str, kind: str, parameters: Any) -> Any:
    """Return the model of one of the libraries."""
    torch.manual_seed(0)
    if kind == "realnvp":
        networks = {
            "torch": by_hand,
            "zuko": of_zuko,
            "nflows": of_nflows,
            "normflows": of_normflows,
        }
        if name not in networks:
            raise NoEquivalentError("is measured with flows of one variable only")
        return Coupled(*networks[name](parameters))
    scalars = {
        "torch": scalar_by_hand, "zuko": scalar_of_zuko, "nflows": scalar_of_nflows,
        "normflows": scalar_of_normflows, "pyro-ppl": scalar_of_pyro,
    }  # fmt: skip
    return scalars[name](kind, parameters)
