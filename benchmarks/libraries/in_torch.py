"""The flows of `agreement.py` in `torch.distributions`.

Its transforms go from the base to the data, and a list of them is applied first to last. A data
point is a number, as here. It has no couplings; `perceptron` serves the libraries that build on it.
"""

import torch
from torch import nn
from torch.distributions import AffineTransform, ExpTransform, Normal, TransformedDistribution

torch.set_default_dtype(torch.float64)
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def log_normal(shift, log_scale):
    """Return the flow `x = exp(shift + exp(log_scale) z)`."""
    shift, log_scale = torch.tensor(shift), torch.tensor(log_scale)
    transforms = [AffineTransform(shift, torch.exp(log_scale)), ExpTransform()]
    base = Normal(torch.zeros(()), torch.ones(()))
    return TransformedDistribution(base, transforms)


def log_prob(flow, x):
    """Return log-densities."""
    return flow.log_prob(torch.tensor(x)).detach().numpy()


def sample(flow, n, seed):
    """Return draws."""
    torch.manual_seed(seed)
    return flow.sample((n,)).numpy()


def forward(flow, z):
    """Return what the library's forward direction makes of `z`."""
    return torch.distributions.ComposeTransform(flow.transforms)(torch.tensor(z)).detach().numpy()


def perceptron(network):
    """Return one of our networks as a module of PyTorch."""
    parts = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = nn.Linear(*weight.shape[::-1])
        linear.weight.data, linear.bias.data = torch.tensor(weight), torch.tensor(bias)
        parts += [linear, ACTIVATIONS[network.activation]()]
    return nn.Sequential(*parts[:-1])
