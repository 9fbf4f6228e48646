"""JAX by hand, flowjax and distrax, for `worker.py`.

With a start all are the same function: a coupling `z = (x - t) exp(-s)`, `s = 2 tanh(r/2)`, whose
network gives `(t, r)`. Steps and log-densities are compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

Networks = list[tuple[list[np.ndarray], list[np.ndarray]]]

COUPLINGS, WIDTH, DEPTH = 6, 64, 2

jax.config.update("jax_enable_x64", True)


class Model:
    """A log-density with Adam."""

    def __init__(
        self, names: tuple[str, ...], params: Any, log_prob: Callable[[Any, Any], Any],
        data: np.ndarray, rate: float,
    ) -> None:  # fmt: skip
        self.versions = {name: version(name) for name in names}
        adam = optax.adam(rate)
        self.params, self.state = params, adam.init(params)
        self.data, self.density = jnp.asarray(data), jax.jit(log_prob)

        def step(params: Any, state: Any, data: Any, rows: Any) -> Any:
            gradient = jax.grad(lambda params: -log_prob(params, data[rows]).mean())(params)
            updates, state = adam.update(gradient, state)
            return optax.apply_updates(params, updates), state

        self.stepped = jax.jit(step)

    def step(self, rows: np.ndarray) -> None:
        """Take one step."""
        self.params, self.state = self.stepped(self.params, self.state, self.data, rows)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
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
        raise ValueError("JAX alone has no initial values of its own")

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
        raise ValueError("distrax has no networks, so no initial values of its own")

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


def make(name: str, start: Networks | None, data: np.ndarray, rate: float) -> Model:
    """Return the model of one of the libraries."""
    kinds = {"jax": by_hand, "flowjax": of_flowjax, "distrax": of_distrax}
    params, log_prob = kinds[name](start)
    return Model(("jax",) if name == "jax" else (name, "jax"), params, log_prob, data, rate)
