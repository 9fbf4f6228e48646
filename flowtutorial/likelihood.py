"""Maximum likelihood: the update of the tutorial, step by step, and a fit for real data.

`gradient_ascent` is what chapters 1 and 4 derive, with every iterate kept. `fit` is what one uses:
Newton's method with the curvature read off the scores, which chapter 4 leads up to.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .blocks import Array, as_count
from .flow import Flow, sums_of
from .kinks import Place, climb_over_kinks
from .observations import Block, Observations, observe
from .spline import outer_products
from .threads import in_one_thread

if TYPE_CHECKING:
    from .training import Training

LITTLE, PATIENCE = 0.5, 3  # a gain of the log-likelihood that is little in as many steps
MOST = 40  # damped steps by outer products
MANY = 200  # parameters: beyond, a matrix of their products costs more than it gains
MANY_ROWS = 1 << 17  # observations: of these only sums are kept
LOST = 1e-6  # of the usual outer products: a parameter without influence
FLAT = 1e-7  # of the largest curvature: what differences of gradients can't tell from none


@dataclass(frozen=True, eq=False)
class Ascent:
    """Every iterate of `gradient_ascent`.

    Attributes
    ----------
    params : array of shape (steps + 1, k)
        The parameters, the start first.
    log_likelihood : array of shape (steps + 1,)
        The mean log-likelihood at each of them.
    flow : Flow
        The flow at the last.
    """

    params: Array
    log_likelihood: Array
    flow: Flow = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"Ascent({len(self.params) - 1} steps, mean log-likelihood "
            f"{self.log_likelihood[0]:.6g} -> {self.log_likelihood[-1]:.6g})"
        )


class DivergenceError(ValueError):
    """An ascent left the finite numbers.

    Attributes
    ----------
    trace : Ascent
        The iterates up to the last finite one.
    """

    def __init__(self, message: str, trace: Ascent) -> None:
        super().__init__(message)
        self.trace = trace

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[str, Ascent]]:
        """Let the error pass between processes with its trace."""
        return type(self), (str(self), self.trace)


@in_one_thread
def gradient_ascent(
    flow: Flow, x: Array, learning_rate: float, steps: int, context: Array | None = None
) -> Ascent:
    """Climb the mean log-likelihood: `θ ← θ + γ ∂/∂θ (1/n) Σ log p(x_i; θ)`.

    Parameters
    ----------
    flow : Flow
        Where to start.
    x : array
        Finite data; every value must have a positive density under `flow`.
    learning_rate : float
        The step size `γ`. Any finite number runs; a negative one descends.
    steps : int
        How many updates.
    context : array, optional
        For a conditional flow: one vector, or one for each observation.

    Returns
    -------
    Ascent
        Every iterate, the start included.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the data are empty, not finite, or outside the
        support of `flow`.
    DivergenceError
        If an iterate is no longer finite; it names the step size and carries the trace so far.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> start = Flow(StandardNormal(), Shift(0.0))
    >>> gradient_ascent(start, [1.0, 2.0, 3.0], learning_rate=0.5, steps=3).params.ravel()
    array([0.  , 1.  , 1.5 , 1.75])
    """
    data = supported(flow, x, context)
    steps = as_count(steps, "steps")
    rate = finite_number(learning_rate, "learning_rate")
    updated = flow.params
    slope_at = slope_of(flow, data)
    params = np.empty((steps + 1, updated.size))
    log_likelihood = np.empty(steps + 1)
    for t in range(steps + 1):
        params[t] = updated
        log_likelihood[t], gradient = slope_at(updated)
        if t == steps:
            break
        with np.errstate(over="ignore", invalid="ignore"):  # checked next
            updated = params[t] + rate * gradient
        if not np.isfinite(updated).all():
            last = flow.moved_to(params[t])
            trace = Ascent(params[: t + 1], log_likelihood[: t + 1], last)
            raise DivergenceError(
                f"learning_rate: with {rate:g} the ascent left the finite numbers at "
                f"step {t + 1} of {steps}; take a smaller one "
                "(the iterates so far are in the error's trace)",
                trace,
            )
    return Ascent(params, log_likelihood, flow.moved_to(updated))


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of `fit`.

    Attributes
    ----------
    flow : Flow
        The flow at the maximum.
    params : array of shape (k,)
        Its parameters, named by `flow.param_names`.
    log_likelihood : float
        Mean log-likelihood, in nats for each observation.
    converged : bool
        Whether the maximum was reached.
    message : str
        Why the fit stopped.
    gradient_norm : float
        Euclidean norm of the gradient of the mean log-likelihood, less its ridge if there is one.
    iterations : int
        Accepted steps.
    standard_errors : array of shape (k,)
        Square roots of the diagonal of `covariance("observed")`.
    """

    flow: Flow
    params: Array
    log_likelihood: float
    converged: bool
    message: str
    gradient_norm: float
    iterations: int
    _data: Observations = field(repr=False)
    _kink: bool = field(default=False, repr=False)
    _ridge: float = field(default=0.0, repr=False)

    @property
    def standard_errors(self) -> Array:
        """Large-sample standard errors, from the observed information."""
        return np.sqrt(np.diag(self.covariance("observed")))

    def covariance(self, kind: str = "observed") -> Array:
        """Return the estimated covariance matrix of the parameters, of shape (k, k).

        With the Hessian `H` of the mean log-likelihood and the mean outer product `J` of the
        scores:

        * `"observed"`: `(-H)⁻¹/n`, right when the model holds; NaN at a kink, where there is no H;
        * `"opg"`: `J⁻¹/n`, the same in the limit, from first derivatives alone;
        * `"sandwich"`: `H⁻¹ J H⁻¹/n`, right also when it does not (White 1982, theorem 3.2).

        An entry is NaN where the data do not determine the parameters.

        Raises
        ------
        ValueError
            If `kind` is another word.
        """
        if kind not in ("observed", "opg", "sandwich"):
            raise ValueError(f"kind: expected 'observed', 'opg' or 'sandwich', got {kind!r}")
        n = len(self._data)
        if kind == "observed":
            return _inverse_or_nan(self._curvature()) / n
        outer = _moments(self.flow, self._data).outer
        if kind == "opg":
            return _inverse_or_nan(outer + self._ridge * np.eye(len(outer))) / n
        bread = _inverse_or_nan(self._curvature())
        return bread @ outer @ bread / n

    def _curvature(self) -> Array:
        if self._kink:  # differences of slopes across a kink mean nothing
            return np.full((self.params.size,) * 2, np.nan)
        return self._ridge * np.eye(self.params.size) - _hessian(self.flow, self._data)

    def __repr__(self) -> str:
        names, errors = self.flow.param_names, self.standard_errors
        width = max([9, *map(len, names)])
        lines = [
            f"{'converged' if self.converged else 'NOT CONVERGED'} after {self.iterations} "
            f"iterations: {self.message}",
            f"mean log-likelihood {self.log_likelihood:.6f} over {len(self._data)} observations",
            f"{'parameter':<{width}}  {'estimate':>12}  {'std. error':>12}",
        ]
        for name, value, error in zip(names, self.params, errors, strict=True):
            lines.append(f"{name:<{width}}  {value:>12.6g}  {error:>12.3g}")
        if np.isnan(errors).any():
            why = "there is a kink here" if self._kink else "the data do not determine it alone"
            lines.append(f"nan: no standard error, because {why}")
        return "\n".join(lines)


def fit(
    flow: Flow,
    x: Array,
    context: Array | None = None,
    *,
    method: str | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Fit | Training:
    """Find the parameters of largest likelihood.

    With few parameters by Newton's method, which finds the maximum to the last digits and has
    standard errors: `newton`. With many by Adam on minibatches, until held-out data no longer
    gain: `train`.

    Parameters
    ----------
    flow : Flow
        Where to start.
    x : array of shape (n,), or (n, D) for vectors
        Finite data; every value must have a positive density under `flow`.
    context : array of shape (C,) or (n, C), optional
        For a conditional flow.
    method : {"newton", "adam"}, optional
        By default Newton's up to 200 parameters, unless an option is one of `train` alone.
    progress : bool, optional
        Whether to show a progress bar (needs tqdm). By default, on terminals alone.
    **options
        Those of `newton` (`ridge`, `tolerance`, `max_iterations`), or those of `train` (`rng`,
        `epochs`, `batch_size`, `learning_rate`, `validation`, `patience`).

    Returns
    -------
    Fit or Training
        Estimates, and whether and why it stopped; prints as a table.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or an option is not one of the method; if the data are
        empty, not finite, or outside the support of `flow`; if the likelihood has no bound.

    Examples
    --------
    >>> from flowtutorial import Affine, Flow, StandardNormal
    >>> fit(Flow(StandardNormal(), Affine(0.0, 0.0)), [1.0, 2.0, 4.0, 9.0])
    converged after 8 iterations: the next step is below 1e-08 standard errors
    mean log-likelihood -2.544584 over 4 observations
    parameter      estimate    std. error
    shift                 4          1.54
    log_scale       1.12565         0.354
    """
    from .training import train

    methods: dict[str, Callable[..., Any]] = {"newton": newton, "adam": train}
    takes = {name: inspect.signature(function).parameters for name, function in methods.items()}
    if method is None:
        small = flow_of(flow).params.size <= MANY
        meant = any(name in takes["adam"] and name not in takes["newton"] for name in options)
        method = "newton" if small and not meant else "adam"
    if method not in methods:
        raise ValueError(f"method: expected 'newton' or 'adam', got {method!r}")
    known = takes[method]
    for name in options:
        if name not in known:
            mine = [p for p, info in known.items() if info.kind is info.KEYWORD_ONLY]
            raise TypeError(
                f"{name}: not an option of the method {method!r}, which has {', '.join(mine)}"
            )
    found: Fit | Training = methods[method](flow, x, context, progress=progress, **options)
    return found


@in_one_thread
def newton(
    flow: Flow,
    x: Array,
    context: Array | None = None,
    *,
    ridge: float = 0.0,
    tolerance: float = 1e-8,
    max_iterations: int = 200,
    progress: bool | None = None,
) -> Fit:
    """Find the parameters of largest likelihood by Newton's method.

    On the mean log-likelihood `ℓ(θ)` each step is `(J + λ D)⁻¹ ∇ℓ`, with the mean outer product `J`
    of the scores (Berndt, Hall, Hall and Hausman 1974), which comes with the gradient, and a
    damping `λ` that grows until the step climbs and falls afterwards (Marquardt 1963). Far off,
    where the data are unlikely under the flow, the Fisher information of the flow itself stands in
    for `J`, and parameters that do not matter to half of the data stay where they are. When steps
    gain less than the data tell apart, a secant method goes on to the last digits, and over the
    kinks of which the likelihood of a spline has many (`kinks`). It starts from `J`; with ten
    parameters or fewer from the Hessian, by differences of the gradient, taken anew where steps do
    not shrink fast.

    What is found is a maximum among its neighbours. The likelihood of a spline has many, at kinks
    above all, and those of other starts may be higher: compare several starts, or give a ridge. If
    the likelihood has become independent of a parameter, as where the data lie in the tails of a
    spline or a slope has gone to its least value, the fit has not converged, and names it.

    Parameters
    ----------
    flow, x, context, progress
        As for `fit`.
    ridge : float
        Subtract `½ ridge |θ - θ_start|²` from the log-likelihood: a normal prior around the start,
        of variance `1/ridge`. It keeps a spline with many knots from following single data.
    tolerance : float
        Stop when the next step would be shorter than this many standard errors.
    max_iterations : int
        Give up after so many steps.

    Returns
    -------
    Fit
        Estimates, standard errors, and whether and why it stopped; prints as a table.
    """
    data = supported(flow, x, context)
    check_varied(flow, data)
    tolerance = finite_number(tolerance, "tolerance")
    if tolerance <= 0.0:
        raise ValueError(f"tolerance: expected a positive number, got {tolerance:g}")
    ridge = finite_number(ridge, "ridge")
    if ridge < 0.0:
        raise ValueError(f"ridge: expected 0 or a positive number, got {ridge:g}")
    limit = as_count(max_iterations, "max_iterations")
    objective = _Objective(flow, data, ridge / len(data))
    with progress_bar(limit, progress) as bar:
        iterations = -1  # the first is the start
        for found in itertools.islice(_climb(objective), limit + 1):
            objective.check_bounded(found)
            iterations += 1
            bar.update(min(iterations, 1))
            bar.set_postfix_str(f"mean log-likelihood {found.value:.6f}", refresh=False)
        summit = climb_over_kinks(
            objective, objective.placed(found), len(data),
            tolerance=tolerance, iterations=limit - iterations,
        )  # fmt: skip
    found = objective.moments(summit.params)
    objective.check_bounded(found)
    iterations += summit.iterations
    converged, message = summit.converged, summit.message or f"{limit} iterations were not enough"
    if converged and not ridge and (lost := objective.lost(found)):
        converged = False
        shown = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        message = (
            f"the likelihood no longer depends on {shown}; give a ridge, or start nearer to the "
            "data, as with an Affine of their mean and standard deviation"
        )
    fitted = flow.with_params(found.params)
    away = found.params - flow.params
    return Fit(
        flow=fitted,
        params=fitted.params,
        log_likelihood=found.value + 0.5 * objective.ridge * float(away @ away),
        converged=converged,
        message=message,
        gradient_norm=float(np.linalg.norm(found.gradient)),
        iterations=iterations,
        _data=data,
        _kink=summit.kink,
        _ridge=objective.ridge,
    )


def _climb(objective: _Objective) -> Iterator[_Moments]:
    """Yield the start and the steps up from it, until they gain little in the log-likelihood."""
    steps, n = _Marquardt(objective), len(objective.data)
    found = objective.moments(objective.center)
    values = [found.value]
    yield found
    while steps.taken < MOST and _standard_errors(found, n) > 1.0:
        if len(values) > PATIENCE and values[-1] - values[0] < LITTLE / n:
            return
        climbed = steps.step(found)
        if climbed is None:
            return
        found = climbed
        values = [*values[-PATIENCE:], found.value]
        yield found


class _Objective:
    """The mean log-likelihood less the ridge, as a function of the parameters."""

    def __init__(self, flow: Flow, data: Observations, ridge: float) -> None:
        self.flow, self.data, self.ridge, self.center = flow, data, ridge, flow.params
        self.slope_at = slope_of(flow, data)
        self.usual = np.zeros(flow.params.size)  # outer products when the data had become likely

    def at(self, params: Array) -> Flow:
        """Return the flow with other parameters."""
        return self.flow.moved_to(params)

    def check_bounded(self, found: _Moments) -> None:
        """Raise when the density piles up within the spacing of floating-point numbers."""
        refuse_narrow(self.at(found.params), self.data, found.value, found.narrow)

    def moments(self, params: Array) -> _Moments:
        """Return value, gradient and outer products: one pass."""
        found = _moments(self.at(params), self.data)
        away = params - self.center
        return found._replace(
            value=found.value - 0.5 * self.ridge * float(away @ away),
            gradient=found.gradient - self.ridge * away,
            outer=found.outer + self.ridge * np.eye(away.size),
        )

    def slope(self, params: Array) -> tuple[float, Array]:
        """Return value and gradient."""
        if not np.isfinite(params).all():
            return -np.inf, np.full_like(params, np.nan)
        value, gradient = self.slope_at(params)
        away = params - self.center
        return value - 0.5 * self.ridge * float(away @ away), gradient - self.ridge * away

    def slopes(self, points: Array) -> Array:
        """Return the gradients at the rows of an array: one pass."""
        (sums,) = self.data.reduce(
            _slopes_of, [self.at(point) for point in points], rows=_rows(self.flow)
        )
        slopes: Array = sums / len(self.data) - self.ridge * (points - self.center)
        return slopes

    def place(self, params: Array) -> Place:
        """Return value, gradient and metric: one pass."""
        return self.placed(self.moments(params))

    def placed(self, found: _Moments) -> Place:
        """Return the same of what one pass has found."""
        matrix, scales = _scaled(_metric(found.outer, self.usual, 0.01))
        unit = scales[:, None] * np.linalg.inv(np.linalg.cholesky(matrix)).T
        return Place(found.params, found.value, found.gradient, unit)

    def lost(self, found: _Moments) -> list[str]:
        """Return the names of parameters that did matter, and no longer do."""
        least, context = LOST * self.usual, self.data.some_contexts
        gone = np.diag(found.outer) <= least
        if not gone.any():
            return []
        flow = self.at(found.params)
        before, now = (np.diag(_own_moments(f, context)[1]) for f in (self.flow, flow))
        gone &= (before > 0.0) | (self.usual > 0.0)
        if (gone & (now > least)).any():  # scores are 0, too, of data that are fitted perfectly
            gone &= (now <= least) | (np.abs(np.diag(_hessian(flow, self.data))) <= least)
        return [name for name, lost in zip(flow.param_names, gone, strict=True) if lost]


def _metric(outer: Array, usual: Array, floor: float) -> Array:
    """Return outer products as a metric: positive, also where a parameter has no influence."""
    diagonal = np.maximum(np.diag(outer), usual)
    metric: Array = outer + np.diag(np.where(diagonal > 0.0, floor * diagonal, 1.0))
    return metric


def _standard_errors(found: _Moments, n: int) -> float:
    """Return the length of the undamped step in standard errors."""
    matrix, scales = _scaled(found.outer)
    g = scales * found.gradient
    step = np.linalg.solve(matrix + 1e-12 * np.eye(g.size), g)
    return float(np.sqrt(n * max(g @ step, 0.0)))


class _Marquardt:
    """Steps `(B + λ D)⁻¹ ∇ℓ` whose damping `λ` grows until they climb (Marquardt 1963).

    The curvature `B` is the mean outer product of the scores, and `D` its largest diagonal so far:
    a parameter that loses its influence must not run away (Moré 1978). Where the data are `FAR`
    less likely than the flow's own draws, outer products overrate the curvature by much; there `B`
    is the information of these draws, in which a step is no longer than `RADIUS`: so the density
    changes about as much as when a normal density moves by twice its standard deviation. Parameters
    that do not matter to half of the data, as those of a spline in whose tails they lie, are held
    on this way. Otherwise the spline would bend to spare its own draws a change.
    """

    FAR = 4.0  # nats for each observation
    RADIUS = 2.0

    def __init__(self, objective: _Objective) -> None:
        self.objective, self.far, self.damping, self.taken = objective, True, 0.03, 0
        self.scale = np.zeros(objective.center.size)
        self.held: Array | None = None

    def step(self, found: _Moments) -> _Moments | None:
        """Return where a step leads that climbs; None if there is none."""
        curvature, gradient = found.outer, found.gradient
        if self.far:
            curvature, gradient = self._from_afar(found)
        diagonal = np.diag(curvature)
        self.scale = diagonal if self.far else np.maximum(diagonal, self.scale)
        root = 1.0 / np.sqrt(np.where(self.scale > 0.0, self.scale, 1.0))
        matrix, g = root[:, None] * curvature * root, root * gradient
        floor = np.where(diagonal > 0.0, 1e-12 * np.diag(matrix), 1.0)
        rise, reach = 2.0, self.RADIUS
        while self.damping < 1e10 and reach > 1e-10:
            damping = floor if self.far else floor + self.damping
            step = root * np.linalg.solve(matrix + np.diag(damping), g)
            if self.far:
                step *= min(1.0, reach / np.sqrt(step @ curvature @ step))
            slope = float(found.gradient @ step)
            there = self.objective.moments(found.params + step)
            if there.value > found.value + 1e-4 * slope and np.isfinite(there.outer).all():
                self.taken += not self.far
                if there.value > found.value + 0.4 * slope:  # of a parabola it is a half
                    self.damping /= 1.0 if self.far else 4.0
                return there
            if self.far:
                reach = 0.5 * reach
            else:
                self.damping, rise = self.damping * rise, 2.0 * rise
        return None

    def _from_afar(self, found: _Moments) -> tuple[Array, Array]:
        """Return curvature and gradient for a step while the data are far, or once they are not."""
        objective, n = self.objective, len(self.objective.data)
        flow = objective.at(found.params)
        expected, information = _own_moments(flow, objective.data.some_contexts)
        own = np.diag(information).copy()
        if self.held is None:
            self.held = _matter_little(flow, objective.data)
        alike = _standard_errors(found, 1) ** 2  # 1 if all scores are the same
        self.far = found.value < expected - self.FAR or alike > 0.9
        if not self.far:
            objective.usual = np.maximum(own, np.diag(found.outer))
            return found.outer, found.gradient
        information += objective.ridge * np.eye(len(information))
        metric = _metric(information, own, 0.1)
        free = np.where(self.held, 0.0, found.gradient)
        if n * free @ np.linalg.solve(metric, free) < 1.0:
            self.held = np.zeros_like(self.held)
            return metric, found.gradient
        information[self.held] = information[:, self.held] = 0.0
        return _metric(information, np.zeros_like(own), 0.1), free


def _matter_little(flow: Flow, data: Observations) -> Array:
    """Return which parameters the densities of most of the data don't depend on."""
    x, context = data.some
    with np.errstate(all="ignore"):
        score = flow._given(context)._log_prob_and_score(x)[1]
    little: Array = np.mean(score != 0.0, axis=0) < 0.5
    return little


class Narrow(NamedTuple):
    """How far a density has narrowed around the data, in spacings of floating-point numbers.

    `drop` is what the log-density of vectors loses, in sum, one spacing away; `peak` its excess
    over that of one spacing where it is largest, with index and value of the datum.
    """

    drop: float
    peak: tuple[float, int, Any]

    def __add__(self, other: Any) -> Narrow:
        """Return what holds for the data of both."""
        return Narrow(self.drop + other.drop, max(self.peak, other.peak, key=lambda peak: peak[0]))


class _Moments(NamedTuple):
    """Mean log-likelihood, its gradient, the mean outer product of the scores, and `Narrow`."""

    params: Array
    value: float
    gradient: Array
    outer: Array
    narrow: Narrow


def _spacing(data: Observations) -> Array:
    """Return the spacing of floating-point numbers at the largest of the data, by coordinates."""
    summary = data.summary
    assert summary is not None
    largest = np.maximum(np.abs(summary.low), np.abs(summary.high))
    return np.spacing(np.where(largest > 0.0, largest, 1.0))


def _narrow(block: Block, flow: Flow, log_prob: Array, spacing: Array) -> Narrow:
    """Return how narrow a density is around a block."""
    x, context, first = block
    if not flow.event_ndim:  # of most densities nothing needs to be looked at
        most = float(log_prob.max() + np.log(2.0 * spacing))
        if most <= 0.0:
            return Narrow(0.0, (most, first, x[0]))
    with np.errstate(all="ignore"):
        excess, drop = np.log(np.spacing(np.abs(x) + spacing)), 0.0
        if flow.event_ndim:
            excess = excess.sum(axis=-1)
            # columns that are sums of others: the density narrows in some directions, not in all
            signs = np.random.default_rng(first).choice([-1.0, 1.0], x.shape)
            beside = flow.log_prob(x + signs * np.spacing(np.abs(x)), context)
            drop = float(np.nan_to_num(log_prob - beside, posinf=0.0, neginf=0.0).sum())
        excess = excess + log_prob
    index = int(np.argmax(excess))
    return Narrow(drop, (float(excess[index]), first + index, x[index]))


def _narrow_of(block: Block, flow: Flow, spacing: Array) -> tuple[Narrow]:
    return (_narrow(block, flow, flow.log_prob(block.x, block.context), spacing),)


def check_bounded(flow: Flow, data: Observations, mean: float) -> None:
    """Refuse a likelihood without bound, seen from where it has led.

    Parameters
    ----------
    flow : Flow
    data : Observations
    mean : float
        The mean log-likelihood.

    Raises
    ------
    ValueError
        If the density has narrowed to the spacing of floating-point numbers, around all of the
        data or around one.
    """
    refuse_narrow(flow, data, mean, data.reduce(_narrow_of, flow, _spacing(data))[0])


def refuse_narrow(flow: Flow, data: Observations, mean: float, narrow: Narrow) -> None:
    """Raise the error of `check_bounded` where `narrow` is known."""
    kind = f"{len(data)} {'vectors' if flow.event_ndim else 'values'}"
    if mean > -np.sum(np.log(_spacing(data))):
        advice = (
            "leave out columns that are constant or sums of others"
            if flow.event_ndim
            else "give data that vary more, or a flow with fewer parameters"
        )
        shown = f" (parameters {flow.params})" if flow.params.size <= 12 else ""
        raise ValueError(
            f"x: the likelihood of these {kind} has no bound: the density has narrowed to the "
            f"spacing of floating-point numbers around them{shown}; {advice}"
        )
    assert data.summary is not None
    box = np.sum(np.log(data.summary.high - data.summary.low)) if flow.event_ndim else np.inf
    if narrow.drop > 0.1 * len(data) and mean > -box:  # higher than the uniform around all data
        raise ValueError(
            f"x: the likelihood of these {kind} has no bound: in one direction the density has "
            "narrowed to the spacing of floating-point numbers; leave out columns that are "
            "constant or sums of others"
        )
    excess, first, value = narrow.peak
    if excess > 0.0:
        raise ValueError(
            f"x: the likelihood of these {kind} has no bound: the density has narrowed to the "
            f"spacing of floating-point numbers around x[{first}] = {value}; start elsewhere, "
            "or take fewer components, or a ridge"
        )


def _scaled(matrix: Array) -> tuple[Array, Array]:
    """Return a symmetric matrix with its diagonal brought to 1, and the scales that do so."""
    diagonal = np.abs(np.diag(matrix))
    scales = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    return scales[:, None] * matrix * scales, scales


def _moments(flow: Flow, data: Observations) -> _Moments:
    """Return what one pass over the data finds at the parameters of `flow`."""
    n, k = len(data), flow.params.size
    value, sums, narrow = data.reduce(_moments_of, flow, _spacing(data), rows=_rows(flow))
    return _Moments(flow.params, value / n, sums[k, :k] / n, sums[:k, :k] / n, narrow)


def _rows(flow: Flow) -> int:
    """Return how many observations to read at once; 0 for the usual number."""
    return 0 if flow.sums is None else MANY_ROWS


def _moments_of(block: Block, flow: Flow, spacing: Array) -> tuple[float, Array, Narrow]:
    with np.errstate(all="ignore"):  # callers check for finite results
        sums = flow.sums_of_many(len(block.x))
        if sums is not None:
            value, outer, largest = sums.moments(block.x, flow)
            most = float(largest + np.log(2.0 * spacing))
            if np.isfinite(value) and np.isfinite(outer).all() and most <= 0.0:
                return value, outer, Narrow(0.0, (most, block.first, block.x[0]))
        log_prob, score = flow._given(block.context)._pulled(block.x, summed=None)
        narrow = _narrow(block, flow, log_prob, spacing)
        return float(log_prob.sum()), outer_products(score, len(log_prob)), narrow


def mean_and_slope(flow: Flow, data: Observations) -> tuple[float, Array]:
    """Return the mean log-likelihood and its gradient."""
    value, gradient = data.reduce(sums_of, flow, rows=_rows(flow))
    return value / len(data), gradient / len(data)


def slope_of(flow: Flow, data: Observations) -> Callable[[Array], tuple[float, Array]]:
    """Return the mean log-likelihood and its gradient, as a function of the parameters."""
    n, quick = len(data), None
    if type(data.x) is np.ndarray and data.x.dtype == np.float64 and flow.sums is not None:
        quick = flow.sums.slope_at(data.x, flow)

    def slope(params: Array) -> tuple[float, Array]:
        if quick is not None:
            with np.errstate(all="ignore"):
                value, sums = quick(params)
            if np.isfinite(value) and np.isfinite(sums).all():
                return value / n, sums / n
        return mean_and_slope(flow.moved_to(params), data)

    return slope


def _own_moments(flow: Flow, context: Array | None) -> tuple[float, Array]:
    """Return `E[log p]` and `E[∂ log p/∂θ (∂ log p/∂θ)ᵀ]` under the flow, from a few draws."""
    with np.errstate(all="ignore"):
        x = flow.sample(256, 0) if context is None else flow.sample(1, 0, context)[0]
        log_prob, score = flow._given(context)._log_prob_and_score(x)
        kept = np.isfinite(score).all(axis=1) & np.isfinite(log_prob)
        log_prob, score = log_prob[kept], score[kept]
        information: Array = score.T @ score / max(len(score), 1)
    if len(score) and np.isfinite(information).all():
        return float(log_prob.mean()), information
    return 0.0, np.eye(flow.params.size)


def _hessian(flow: Flow, data: Observations) -> Array:
    """Return the Hessian of the mean log-likelihood, by central differences of its gradient."""
    params = flow.params
    _, units = _scaled(_own_moments(flow, data.some_contexts)[1])
    steps = np.diag(np.maximum(np.cbrt(np.finfo(float).eps) * units, 1e-10 * np.abs(params)))
    ends = np.vstack([params + steps, params - steps])
    (slopes,) = data.reduce(_slopes_of, [flow.with_params(row) for row in ends], rows=_rows(flow))
    up, down = np.split(slopes, 2)
    matrix = (up - down) / np.diag(ends[: len(steps)] - ends[len(steps) :])[:, None] / len(data)
    return 0.5 * (matrix + matrix.T)


def _slopes_of(block: Block, flows: list[Flow]) -> tuple[Array]:
    return (np.array([sums_of(block, flow)[1] for flow in flows]),)


def _inverse_or_nan(matrix: Array) -> Array:
    """Return the inverse of an information matrix, NaN where the data determine nothing.

    A direction in which it is flat, as that of a constant added to all widths of a spline, leaves
    every parameter without a value that takes part in it; the others keep theirs. All are NaN if
    the matrix falls somewhere, so that there is no maximum.
    """
    if not np.isfinite(matrix).all():
        return np.full_like(matrix, np.nan)
    scaled, scales = _scaled(matrix)
    values, vectors = np.linalg.eigh(scaled)
    flat = np.abs(values) <= FLAT * np.abs(values).max(initial=0.0)
    if (values[~flat] < 0.0).any():
        return np.full_like(matrix, np.nan)
    steep = vectors[:, ~flat] / np.sqrt(values[~flat])
    inverse: Array = scales[:, None] * (steep @ steep.T) * scales
    unknown = (vectors[:, flat] ** 2).sum(axis=1) > FLAT
    inverse[unknown, :] = inverse[:, unknown] = np.nan
    return inverse


def flow_of(flow: Any) -> Flow:
    """Return `flow`; `TypeError` if it is none."""
    if not isinstance(flow, Flow):
        raise TypeError(f"flow: expected a Flow, got {flow!r}")
    return flow


def supported(flow: Any, x: Array, context: Array | None) -> Observations:
    """Return data for which `flow` has a likelihood, with a context for each or none."""
    if flow_of(flow).params.size == 0:
        raise ValueError(f"flow: {flow!r} has no parameters to fit")
    return observe(flow, x, context, density=True)


def check_varied(flow: Flow, data: Observations) -> None:
    """Refuse data that do not vary, for which a likelihood has no bound.

    Raises
    ------
    ValueError
        If all numbers are the same, or all those of a column.
    """
    assert data.summary is not None
    low, high = data.summary.low, data.summary.high
    if flow.params.size == 1 or np.all(low < high):
        return
    if not flow.event_ndim:
        raise ValueError(
            f"x: all {len(data)} values equal {low:g}, so the likelihood has no bound or no "
            "single maximum; give data that vary, or fit one parameter alone"
        )
    j = int(np.argmax(low == high))
    raise ValueError(
        f"x: column {j} is constant, {low[j]:g} in all of {len(data)} rows, so the likelihood "
        "has no bound; leave the column out"
    )


def finite_number(value: Any, name: str) -> float:
    """Return `value` as a float; `TypeError` or `ValueError` if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not np.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    return float(value)


@contextmanager
def progress_bar(total: int, progress: bool | None) -> Iterator[Any]:
    """Yield a tqdm bar: on terminals if `progress` is None, always or never if True or False."""
    try:
        from tqdm import tqdm
    except ImportError:
        if progress:
            raise ImportError("progress: a bar needs the package tqdm; install it") from None
        yield _NoBar()
        return
    if progress is False:
        yield _NoBar()
        return
    with tqdm(total=total, disable=None if progress is None else False, leave=False) as bar:
        yield bar


class _NoBar:
    """Stands in for a progress bar."""

    def update(self, steps: int) -> None:
        """Do nothing."""

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        """Do nothing."""
