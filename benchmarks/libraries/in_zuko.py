"""The flows of `agreement.py` in zuko, and our trained couplings carried over to it.

Its transforms go from the data to the base, so every map is the inverse of ours, and the last of
ours comes first. Data have the shape (n, D), numbers (n, 1).
"""

import torch
import zuko
from torch import nn
from torch.distributions import AffineTransform, ExpTransform

torch.set_default_dtype(torch.float64)
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def log_normal(shift, log_scale):
    """Return the flow `x = exp(shift + exp(log_scale) z)`."""
    shift, log_scale = torch.tensor([shift]), torch.tensor([log_scale])
    transform = zuko.transforms.ComposedTransform(
        ExpTransform().inv, AffineTransform(shift, torch.exp(log_scale)).inv
    )
    base = zuko.distributions.DiagNormal(torch.zeros(1), torch.ones(1))
    return zuko.distributions.NormalizingFlow(transform, base)


def bounded(bound):
    """Return what makes our `BoundedAffine` of its two numbers, from the data to the base."""
    return lambda shift, raw: AffineTransform(shift, torch.exp(bound * torch.tanh(raw / bound))).inv


def realnvp(ours):
    """Return a flow of our couplings, with their weights.

    A mask is true where a coordinate stays, as ours is. Outputs of the networks have our order:
    shift and raw scale of the first coordinate that changes, then of the second.
    """
    couplings = []
    for layer in reversed(ours.bijection.parts):
        network = layer.conditioner
        coupling = zuko.flows.GeneralCouplingTransform(
            ours.dim,
            mask=torch.tensor(layer.stays),
            univariate=bounded(layer.transformer.bound),
            hidden_features=[len(bias) for bias in network.biases[:-1]],
            activation=ACTIVATIONS[network.activation],
        )
        linear = list(coupling.hyper)[::2]  # between them stand the activations
        for part, weight, bias in zip(linear, network.weights, network.biases, strict=True):
            part.weight.data, part.bias.data = torch.tensor(weight), torch.tensor(bias)
        couplings.append(coupling)
    zeros = torch.zeros(ours.dim)
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, zeros, zeros + 1.0, buffer=True
    )
    return zuko.lazy.Flow(couplings, base)()


def log_prob(flow, x):
    """Return log-densities."""
    return flow.log_prob(torch.tensor(x)).detach().numpy()


def sample(flow, n, seed):
    """Return draws."""
    torch.manual_seed(seed)
    return flow.sample((n,)).numpy()


def forward(flow, z):
    """Return what the library's forward direction makes of `z`."""
    return flow.transform(torch.tensor(z)).detach().numpy()
