"""The flows of `agreement.py` in TensorFlow Probability, on JAX.

Its bijectors go from the base to the data, but a chain is applied last to first, as one writes
`f(g(z))`. A bijector of numbers acts on each entry; how many axes are one data point, the base
says.
"""

import jax
import jax.numpy as jnp
from tensorflow_probability.substrates import jax as tfp

jax.config.update("jax_enable_x64", True)
tfb, tfd = tfp.bijectors, tfp.distributions
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def log_normal(shift, log_scale):
    """Return the flow `x = exp(shift + exp(log_scale) z)`."""
    chain = tfb.Chain([tfb.Exp(), tfb.Shift(jnp.float64(shift)), tfb.Scale(jnp.exp(log_scale))])
    return tfd.TransformedDistribution(tfd.Normal(jnp.float64(0.0), jnp.float64(1.0)), chain)


def says(layer):
    """Return the function that gives the shift and the log-scale."""
    network, bound = layer.conditioner, layer.transformer.bound
    activation = ACTIVATIONS[network.activation]

    def shift_and_log_scale(h, _):
        *hidden, (weight, bias) = zip(network.weights, network.biases, strict=True)
        for inner_weight, inner_bias in hidden:
            h = activation(h @ inner_weight.T + inner_bias)
        outputs = h @ weight.T + bias
        return outputs[..., 0::2], bound * jnp.tanh(outputs[..., 1::2] / bound)

    return shift_and_log_scale


def realnvp(ours):
    """Return a flow of our couplings, with their weights.

    It leaves the first `num_masked` coordinates, or the last, if that number is negative.
    """
    couplings = []
    for layer in reversed(ours.bijection.parts):
        staying = sum(layer.stays) if layer.stays[0] else -sum(layer.stays)
        couplings.append(tfb.RealNVP(num_masked=staying, shift_and_log_scale_fn=says(layer)))
    base = tfd.MultivariateNormalDiag(jnp.zeros(ours.dim), jnp.ones(ours.dim))
    return tfd.TransformedDistribution(base, tfb.Chain(couplings))


def log_prob(flow, x):
    """Return log-densities."""
    return flow.log_prob(jnp.array(x))


def sample(flow, n, seed):
    """Return draws."""
    return flow.sample(n, seed=jax.random.key(seed))


def forward(flow, z):
    """Return what the library's forward direction makes of `z`."""
    return flow.bijector.forward(jnp.array(z))
