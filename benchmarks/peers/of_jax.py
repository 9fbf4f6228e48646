"""JAX by hand, flowjax and distrax, for `worker.py`.

Each is told the same function in its own way; steps and log-densities are compiled. Fits are by
SciPy's L-BFGS on the compiled value and gradient of all data.

Of the RealNVP with a start all are the same function: a coupling `z = (x - t) exp(-s)`,
`s = 2 tanh(r/2)`, whose network gives `(t, r)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from ..problems import INTERVAL, MINIMUM, OFFSET
from .common import Networks, NoEquivalentError, Parameters, versions

COUPLINGS, WIDTH, DEPTH = 6, 64, 2
LOW, HIGH = INTERVAL
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

jax.config.update("jax_enable_x64", True)


def VERSIONS(name: str) -> dict[str, str]:
    """Return what is installed."""
    return versions(*dict.fromkeys((name, "jax")), "numpy")


class Scalar:
    """A density of one variable: a function of parameters and data, and one that draws."""

    optimiser = "L-BFGS"

    def __init__(
        self, start: Any, log_prob: Callable[[Any, Any], Any], draw: Callable[[Any, Any, int], Any],
        shift: Callable[[Any], Any] = lambda params: jax.tree.leaves(params)[0],
    ) -> None:  # fmt: skip
        self.start, self.shift = start, shift
        self.density = jax.jit(log_prob)
        self.draw = jax.jit(draw, static_argnums=2)
        self.first, unravel = ravel_pytree(start)

        def mean(flat: Any, x: Any) -> Any:
            return log_prob(unravel(flat), x).mean()

        def climb(flat: Any, x: Any, rate: float) -> Any:
            value, gradient = jax.value_and_grad(mean)(flat, x)
            return flat + rate * gradient, (flat, value)

        def whole(flat: Any, x: Any, rate: float, steps: int) -> Any:
            return jax.lax.scan(lambda flat, _: climb(flat, x, rate), flat, length=steps)

        self.climb, self.whole = jax.jit(climb), jax.jit(whole, static_argnums=3)
        self.loss = jax.jit(jax.value_and_grad(lambda flat, x: -mean(flat, x)))
        self.unravel = unravel

    def arrange(self, x: np.ndarray) -> Any:
        """Return an array of JAX."""
        return jnp.asarray(x)

    def log_prob(self, x: Any) -> np.ndarray:
        """Return log-densities."""
        return np.asarray(self.density(self.start, x))

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return draws."""
        return np.asarray(self.draw(self.start, jax.random.key(seed), n))

    def ascend(self, x: Any, rate: float, steps: int) -> float:
        """Return the last iterate of a loop of compiled steps, which keeps all of them."""
        flat, trace = self.first, []
        for _ in range(steps):
            flat, now = self.climb(flat, x, rate)
            trace.append(now)
        return float(jnp.ravel(self.shift(self.unravel(flat)))[0])

    def ascend_compiled(self, x: Any, rate: float, steps: int) -> float:
        """Return the same from one compiled loop."""
        flat, _ = jax.block_until_ready(self.whole(self.first, x, rate, steps))
        return float(jnp.ravel(self.shift(self.unravel(flat)))[0])

    def fit(self, x: Any, goal: float) -> tuple[float, str]:
        """Climb to the goal."""
        from scipy.optimize import minimize

        values: list[float] = []

        class ArrivedError(Exception):
            pass

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self.loss(flat, x)
            values.append(-float(value))
            if values[-1] >= goal:
                raise ArrivedError
            return float(value), np.asarray(gradient)

        options = {"maxiter": 2000, "maxfun": 3000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 20}
        with suppress(ArrivedError):
            minimize(loss, np.asarray(self.first), jac=True, method="L-BFGS-B", options=options)
        return max(values), f"{len(values)} evaluations"


def scalar_by_hand(kind: str, values: Parameters) -> Scalar:
    """JAX without another library."""
    start = [jnp.asarray(value) for value in values]

    def normal(z: Any, log_det: Any) -> Any:
        return log_det - 0.5 * z * z - HALF_LOG_2PI

    if kind == "shift":
        return Scalar(
            start, lambda p, x: normal(x - p[0], 0.0),
            lambda p, key, n: p[0] + jax.random.normal(key, (n,)),
        )  # fmt: skip
    if kind == "affine":
        return Scalar(
            start, lambda p, x: normal((x - p[0]) * jnp.exp(-p[1]), -p[1]),
            lambda p, key, n: p[0] + jnp.exp(p[1]) * jax.random.normal(key, (n,)),
        )  # fmt: skip
    if kind == "sinh-arcsinh":

        def bent(p: Any, x: Any) -> Any:
            skewness, tail, shift, scale = p
            y = (x - shift) * jnp.exp(-scale)
            z = jnp.sinh(jnp.arcsinh(y) * jnp.exp(-tail) - skewness)
            return normal(z, 0.5 * jnp.log((1.0 + z * z) / (1.0 + y * y)) - tail - scale)

        def draw(p: Any, key: Any, n: int) -> Any:
            skewness, tail, shift, scale = p
            bend = (jnp.arcsinh(jax.random.normal(key, (n,))) + skewness) * jnp.exp(tail)
            return shift + jnp.exp(scale) * jnp.sinh(bend)

        return Scalar(start, bent, draw)

    def spline(p: Any, v: Any) -> Any:
        bins, one = p[0].size, jnp.ones(1)

        def knots(raw: Any) -> Any:
            shares = MINIMUM + (1.0 - MINIMUM * bins) * jax.nn.softmax(raw)
            return jnp.concatenate([LOW * one, LOW + (HIGH - LOW) * jnp.cumsum(shares)])

        x, y = knots(p[0]), knots(p[1])
        d = jnp.concatenate([one, MINIMUM + jax.nn.softplus(p[2] + OFFSET), one])
        inside, clipped = (v > LOW) & (v < HIGH), jnp.clip(v, LOW, HIGH)
        k = jnp.searchsorted(x, clipped, side="right", method="compare_all") - 1
        k = jnp.clip(k, 0, bins - 1)
        w, h = jnp.diff(x)[k], jnp.diff(y)[k]
        s, t = h / w, (clipped - x[k]) / w
        q = t * (1.0 - t)
        below = s + (d[k] + d[k + 1] - 2.0 * s) * q
        z = y[k] + h * (s * t * t + d[k] * q) / below
        above = d[k + 1] * t * t + 2.0 * s * q + d[k] * (1.0 - t) ** 2
        log_det = jnp.log(s * s * above / (below * below))
        return normal(jnp.where(inside, z, v), jnp.where(inside, log_det, 0.0))

    def no_draw(p: Any, key: Any, n: int) -> Any:
        raise NoEquivalentError("has no spline")

    return Scalar(start, spline, no_draw)


def scalar_of_flowjax(kind: str, values: Parameters) -> Scalar:
    """Return a transformed distribution of flowjax; its spline inverted, as its flows have it."""
    import equinox as eqx
    import paramax
    from flowjax.bijections import (
        AbstractBijection,
        Affine,
        Chain,
        Invert,
        Loc,
        RationalQuadraticSpline,
    )
    from flowjax.distributions import StandardNormal, Transformed

    class Bent(AbstractBijection):  # type: ignore[misc]
        skewness: jax.Array
        tail: jax.Array
        shape: tuple[int, ...] = ()
        cond_shape: None = None

        def transform_and_log_det(self, z: Any, condition: Any = None) -> Any:
            y = jnp.sinh((jnp.arcsinh(z) + self.skewness) * jnp.exp(self.tail))
            return y, self.tail + 0.5 * (jnp.log1p(y * y) - jnp.log1p(z * z))

        def inverse_and_log_det(self, y: Any, condition: Any = None) -> Any:
            z = jnp.sinh(jnp.arcsinh(y) * jnp.exp(-self.tail) - self.skewness)
            return z, -self.tail + 0.5 * (jnp.log1p(z * z) - jnp.log1p(y * y))

    arrays = [jnp.asarray(value) for value in values]
    if kind == "shift":
        map_: Any = Loc(arrays[0])
    elif kind == "affine":
        map_ = Affine(arrays[0], jnp.exp(arrays[1]))
    elif kind == "sinh-arcsinh":
        map_ = Chain([Bent(*arrays[:2]), Affine(arrays[2], jnp.exp(arrays[3]))])
    else:
        bins = len(values[0])
        width = MINIMUM * (HIGH - LOW)  # flowjax has it in units of the data
        spline = RationalQuadraticSpline(knots=bins - 1, interval=INTERVAL, min_width=width)
        end = jnp.full(1, OFFSET)  # and trains the slopes of its ends, unless it is told
        slopes = paramax.Parameterize(
            lambda raw: jnp.concatenate(
                [jnp.ones(1), MINIMUM + jax.nn.softplus(raw), jnp.ones(1)]
            ),
            arrays[2] + end,
        )  # fmt: skip
        map_ = Invert(eqx.tree_at(
            lambda s: (s.x_pos.arr, s.y_pos.arr, s.derivatives), spline,
            (arrays[0], arrays[1], slopes),
        ))  # fmt: skip
    flow = Transformed(StandardNormal(()), map_)
    params, static = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )

    def whole(params: Any) -> Any:
        return paramax.unwrap(eqx.combine(params, static))

    return Scalar(
        params, lambda params, x: whole(params).log_prob(x),
        lambda params, key, n: whole(params).sample(key, (n,)),
    )  # fmt: skip


def scalar_of_distrax(kind: str, values: Parameters) -> Scalar:
    """distrax, with the sinh-arcsinh map of TFP; the last map of its chain comes first.

    TFP's map is divided by what it makes of 2, less the skewness; the affine map takes that back.
    """
    import distrax
    import tensorflow_probability.substrates.jax as tfp

    arrays: Any = [jnp.asarray(value) for value in values]

    def map_of(p: Any) -> Any:
        if kind == "shift":
            return distrax.ScalarAffine(p[0], 1.0)
        if kind == "affine":
            return distrax.ScalarAffine(p[0], log_scale=p[1])
        if kind == "sinh-arcsinh":
            tail = jnp.exp(p[1])
            bent = tfp.bijectors.SinhArcsinh(skewness=p[0], tailweight=tail)
            undo = jnp.log(0.5 * jnp.sinh(tail * math.asinh(2.0)))
            return distrax.Chain([distrax.ScalarAffine(p[2], log_scale=p[3] + undo), bent])
        slopes = jnp.concatenate([jnp.zeros(1), p[2], jnp.zeros(1)])
        return distrax.Inverse(
            distrax.RationalQuadraticSpline(
                jnp.concatenate([p[0], p[1], slopes]), LOW, HIGH, boundary_slopes="identity",
                min_bin_size=MINIMUM * (HIGH - LOW), min_knot_slope=MINIMUM,
            )
        )  # fmt: skip

    def flow(p: Any) -> Any:
        return distrax.Transformed(distrax.Normal(0.0, 1.0), map_of(p))

    return Scalar(
        arrays, lambda p, x: flow(p).log_prob(x),
        lambda p, key, n: flow(p).sample(seed=key, sample_shape=(n,)),
    )  # fmt: skip


class Coupled:
    """A RealNVP with Adam."""

    def __init__(self, params: Any, log_prob: Callable[[Any, Any], Any]) -> None:
        self.params, self.log_density = params, log_prob
        self.density = jax.jit(log_prob)

    def train_on(self, data: np.ndarray, rate: float) -> None:
        """Begin to train."""
        adam, log_prob = optax.adam(rate), self.log_density
        self.state, self.data = adam.init(self.params), jnp.asarray(data)

        def step(params: Any, state: Any, data: Any, rows: Any) -> Any:
            gradient = jax.grad(lambda params: -log_prob(params, data[rows]).mean())(params)
            updates, state = adam.update(gradient, state)
            return optax.apply_updates(params, updates), state

        self.stepped = jax.jit(step)

    def step(self, rows: np.ndarray) -> None:
        """Take one step."""
        self.params, self.state = self.stepped(self.params, self.state, self.data, rows)

    def arrange(self, x: np.ndarray) -> Any:
        """Return an array of JAX."""
        return jnp.asarray(x)

    def log_prob(self, x: Any) -> np.ndarray:
        """Return log-densities."""
        return np.asarray(self.density(self.params, x))

    def wait(self) -> None:
        """Return when the steps are done."""
        jax.block_until_ready(self.params)


def bounded(raw: Any) -> Any:
    """Return the logarithm of a scale."""
    return 2.0 * jnp.tanh(raw / 2.0)


def perceptron(network: Any, h: Any) -> Any:
    """Return the outputs of a network with these weights and biases."""
    *hidden, (weight, bias) = zip(*network, strict=True)
    for hidden_weight, hidden_bias in hidden:
        h = jax.nn.relu(h @ hidden_weight.T + hidden_bias)
    return h @ weight.T + bias


def by_hand(start: Networks | None) -> tuple[Any, Callable[[Any, Any], Any]]:
    """JAX without another library."""
    if start is None:
        raise NoEquivalentError("JAX alone has no initial values of its own")

    def log_prob(params: Any, x: Any) -> Any:
        coordinates, log_det = [x[:, :1], x[:, 1:]], 0.0
        for index in reversed(range(COUPLINGS)):
            stays, other = index % 2, 1 - index % 2
            outputs = perceptron(params[index], coordinates[stays])
            s = bounded(outputs[:, 1:])
            coordinates[other] = (coordinates[other] - outputs[:, :1]) * jnp.exp(-s)
            log_det = log_det - s
        squares = coordinates[0] ** 2 + coordinates[1] ** 2
        return (log_det - 0.5 * squares)[:, 0] - math.log(2.0 * math.pi)

    return jax.tree.map(jnp.asarray, start), log_prob


def of_flowjax(start: Networks | None) -> tuple[Any, Callable[[Any, Any], Any]]:
    """`flowjax.flows.coupling_flow`; with a start around its affine map, told the bounded scale.

    Its couplings leave the first coordinate and turn the order after each; `invert=False` goes from
    the base to the data as we do. The networks' values are stacked along a first axis.
    """
    import equinox as eqx
    import paramax
    from flowjax.bijections import Affine
    from flowjax.distributions import StandardNormal
    from flowjax.flows import coupling_flow

    sizes = {"flow_layers": COUPLINGS, "nn_width": WIDTH, "nn_depth": DEPTH}
    key, base = jax.random.key(0), StandardNormal((2,))
    if start is None:
        flow = coupling_flow(key, base_dist=base, **sizes)
    else:
        scale = paramax.Parameterize(lambda raw: jnp.exp(bounded(raw)), jnp.array(0.0))
        affine = eqx.tree_at(lambda map_: map_.scale, Affine(), scale)
        flow = coupling_flow(key, base_dist=base, transformer=affine, invert=False, **sizes)
        places = _layers(flow)
        stacked = [
            jnp.stack([network[part][k] for network in start])
            for k in range(DEPTH + 1)
            for part in (0, 1)
        ]
        assert [place.shape for place in places] == [values.shape for values in stacked]
        flow = eqx.tree_at(_layers, flow, stacked)
    params, static = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )
    return params, lambda params, x: paramax.unwrap(eqx.combine(params, static)).log_prob(x)


def _layers(flow: Any) -> list[Any]:
    """Return the places of the weights and biases in a flow of flowjax, layer by layer."""
    linear = flow.bijection.bijection.bijections[0].conditioner.layers
    return [part for layer in linear for part in (layer.weight, layer.bias)]


def of_distrax(start: Networks | None) -> tuple[Any, Callable[[Any, Any], Any]]:
    """`distrax.SplitCoupling`, whose networks are functions; its chain applies the last first."""
    import distrax

    if start is None:
        raise NoEquivalentError("distrax has no networks, so no initial values of its own")

    def coupling(network: Any, index: int) -> Any:
        return distrax.SplitCoupling(
            split_index=1,
            event_ndims=1,
            swap=index % 2 == 1,
            conditioner=lambda h: perceptron(network, h),
            bijector=lambda outputs: distrax.Block(
                distrax.ScalarAffine(outputs[..., :1], log_scale=bounded(outputs[..., 1:])), 1
            ),
        )

    def log_prob(params: Any, x: Any) -> Any:
        parts = [coupling(network, index) for index, network in enumerate(params)]
        base = distrax.Independent(distrax.Normal(jnp.zeros(2), jnp.ones(2)), 1)
        return distrax.Transformed(base, distrax.Chain(parts[::-1])).log_prob(x)

    return jax.tree.map(jnp.asarray, start), log_prob


def make(name: str, kind: str, parameters: Any) -> Any:
    """Return the model of one of the libraries."""
    if kind == "realnvp":
        networks = {"jax": by_hand, "flowjax": of_flowjax, "distrax": of_distrax}
        return Coupled(*networks[name](parameters))
    scalars = {"jax": scalar_by_hand, "flowjax": scalar_of_flowjax, "distrax": scalar_of_distrax}
    return scalars[name](kind, parameters)
