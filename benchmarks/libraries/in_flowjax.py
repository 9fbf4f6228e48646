"""The flows of `agreement.py` in flowjax, and our trained couplings carried over to it.

Its bijections go from the base to the data, and a chain is applied first to last. A bijection has a
shape, () or (D,), and log-densities are taken over the axes in front of it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import paramax
from flowjax.bijections import Affine, Chain, Coupling, Exp, Permute
from flowjax.distributions import StandardNormal, Transformed

jax.config.update("jax_enable_x64", True)
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def log_normal(shift, log_scale):
    """Return the flow `x = exp(shift + exp(log_scale) z)`."""
    return Transformed(StandardNormal(()), Chain([Affine(shift, jnp.exp(log_scale)), Exp(())]))


def bounded(bound):
    """Return our `BoundedAffine`: its affine map, told how a scale comes from a number."""
    scale = paramax.Parameterize(lambda r: jnp.exp(bound * jnp.tanh(r / bound)), jnp.array(0.0))
    return eqx.tree_at(lambda affine: affine.scale, Affine(), scale)


def linear_maps(network):
    """Return the linear maps of one of our networks."""
    found = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = eqx.nn.Linear(*weight.shape[::-1], key=jax.random.key(0))
        values = (jnp.array(weight), jnp.array(bias))
        found.append(eqx.tree_at(lambda part: (part.weight, part.bias), linear, values))
    return tuple(found)


def realnvp(ours):
    """Return a flow of our couplings, with their weights.

    Its couplings leave the first coordinates, so ours are brought to the front, and back. Outputs
    of the networks have our order: shift and raw scale of the first coordinate that changes, then
    of the second.
    """
    parts = []
    for layer in ours.bijection.parts:
        network, order = layer.conditioner, jnp.argsort(~jnp.array(layer.stays))
        coupling = Coupling(
            jax.random.key(0), transformer=bounded(layer.transformer.bound),
            untransformed_dim=sum(layer.stays), dim=ours.dim,
            nn_width=1, nn_depth=len(network.weights) - 1,
            nn_activation=ACTIVATIONS[network.activation],
        )  # fmt: skip
        coupling = eqx.tree_at(lambda part: part.conditioner.layers, coupling, linear_maps(network))
        parts += [Permute(order), coupling, Permute(jnp.argsort(order))]
    return Transformed(StandardNormal((ours.dim,)), Chain(parts))


def log_prob(flow, x):
    """Return log-densities."""
    return flow.log_prob(jnp.array(x))


def sample(flow, n, seed):
    """Return draws."""
    return flow.sample(jax.random.key(seed), (n,))


def forward(flow, z):
    """Return what the library's forward direction makes of `z`."""
    return jax.vmap(paramax.unwrap(flow).bijection.transform)(jnp.array(z))
