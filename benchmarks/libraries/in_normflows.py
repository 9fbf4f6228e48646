"""The flows of `agreement.py` in normflows.

Its flows go from the base to the data, and a list of them is applied first to last. Data have the
shape (n, D), numbers (n, 1), and each map sums its log-determinant over the coordinates.
"""

import normflows
import torch
from in_torch import perceptron
from torch import nn


class Exp(normflows.flows.Flow):
    """The exponential function, which the library does not have."""

    def forward(self, z):
        """Return `exp(z)` and the log-determinant."""
        return torch.exp(z), z.sum(dim=-1)

    def inverse(self, z):
        """Return `log(z)` and the log-determinant."""
        logarithm = torch.log(z)
        return logarithm, -logarithm.sum(dim=-1)


def log_normal(shift, log_scale):
    """Return the flow `x = exp(shift + exp(log_scale) z)`."""
    affine = normflows.flows.AffineConstFlow(1)
    affine.t.data += shift
    affine.s.data += log_scale
    base = normflows.distributions.DiagGaussian(1, trainable=False)
    return normflows.NormalizingFlow(base, [affine, Exp()])


class Bounded(nn.Module):
    """A network of ours whose second output, of each pair, is the logarithm of the scale."""

    def __init__(self, network, bound):
        super().__init__()
        self.network, self.bound = perceptron(network), bound

    def forward(self, h):
        """Return the outputs: shift and log-scale of each coordinate."""
        outputs = self.network(h).unflatten(-1, (-1, 2))
        log_scale = self.bound * torch.tanh(outputs[..., 1] / self.bound)
        return torch.stack([outputs[..., 0], log_scale], dim=-1).flatten(-2)


def realnvp(ours):
    """Return a flow of our couplings, with their weights, for an even number of coordinates.

    Its blocks leave the first half, as our first coupling does; where ours take turns, halves are
    exchanged.
    """
    parts = []
    for layer in ours.bijection.parts:
        network = Bounded(layer.conditioner, layer.transformer.bound)
        parts.append(normflows.flows.AffineCouplingBlock(network))
        parts.append(normflows.flows.Permute(ours.dim, mode="swap"))
    if len(ours.bijection.parts) % 2 == 1:
        del parts[-1]
    base = normflows.distributions.DiagGaussian(ours.dim, trainable=False)
    return normflows.NormalizingFlow(base, parts)


def log_prob(flow, x):
    """Return log-densities."""
    return flow.log_prob(torch.tensor(x)).detach().numpy()


def sample(flow, n, seed):
    """Return draws."""
    torch.manual_seed(seed)
    return flow.sample(n)[0].detach().numpy()  # and their log-densities


def forward(flow, z):
    """Return what the library's forward direction makes of `z`."""
    return flow.forward(torch.tensor(z)).detach().numpy()
