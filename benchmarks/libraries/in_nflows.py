"""The flows of `agreement.py` in nflows.

Its transforms go from the data to the base, so every map is the inverse of ours, and the last of
ours comes first. Data have the shape (n, D), numbers (n, 1), and each map sums its log-determinant
over the coordinates.
"""

import torch
from in_torch import perceptron
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    InverseTransform,
    PointwiseAffineTransform,
    Transform,
)
from torch import nn


class Exp(Transform):
    """The exponential function, which the library does not have."""

    def forward(self, inputs, context=None):
        """Return `exp(x)` and the log-determinant."""
        return torch.exp(inputs), inputs.sum(dim=-1)

    def inverse(self, inputs, context=None):
        """Return `log(x)` and the log-determinant."""
        logarithm = torch.log(inputs)
        return logarithm, -logarithm.sum(dim=-1)


def log_normal(shift, log_scale):
    """Return the flow `x = exp(shift + exp(log_scale) z)`."""
    shift, log_scale = torch.tensor([shift]), torch.tensor([log_scale])
    affine = PointwiseAffineTransform(shift, torch.exp(log_scale))
    transform = CompositeTransform([InverseTransform(Exp()), InverseTransform(affine)])
    return Flow(transform, StandardNormal([1]))


class Network(nn.Module):
    """A network of ours, which takes a context and does not look at it."""

    def __init__(self, network):
        super().__init__()
        self.network = perceptron(network)

    def forward(self, h, context=None):
        """Return the outputs."""
        return self.network(h)


class BoundedCoupling(AffineCouplingTransform):
    """Its affine coupling, `z = scale x + shift`, with our scale and our order of the outputs."""

    bound = 2.0

    def _scale_and_shift(self, outputs):
        shift, raw = outputs[:, 0::2], outputs[:, 1::2]
        scale = torch.exp(-self.bound * torch.tanh(raw / self.bound))
        return scale, -shift * scale


def realnvp(ours):
    """Return a flow of our couplings, with their weights; a mask is positive where `x` changes."""
    couplings = []
    for layer in reversed(ours.bijection.parts):
        mask = torch.tensor([-1 if stays else 1 for stays in layer.stays])
        make = lambda inputs, outputs, layer=layer: Network(layer.conditioner)  # noqa: E731
        coupling = BoundedCoupling(mask, make)
        coupling.bound = layer.transformer.bound
        couplings.append(coupling)
    return Flow(CompositeTransform(couplings), StandardNormal([ours.dim]))


def log_prob(flow, x):
    """Return log-densities."""
    return flow.log_prob(torch.tensor(x)).detach().numpy()


def sample(flow, n, seed):
    """Return draws."""
    torch.manual_seed(seed)
    return flow.sample(n).detach().numpy()


def forward(flow, z):
    """Return what the library's forward direction makes of `z`."""
    return flow.transform_to_noise(torch.tensor(z)).detach().numpy()
