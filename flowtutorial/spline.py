"""The monotone rational-quadratic spline: a flow whose shape is drawn by knots.

Inside an interval the map goes through knots, with a slope at each; outside it is the identity.
Chapter 5 derives one bin and proves it (Durkan et al. 2019, *Neural Spline Flows*).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from .bijection import Bijection, Interval, Pullback, in_type_of
from .blocks import Array, as_count, as_parameters, entries
from .elementwise import log_sigmoid
from .mixture import log_softmax
from .parameters import gathered

if TYPE_CHECKING:
    from .symbolic.derive import Derivatives

MINIMUM = 1e-3  # of a width and a height, as a share of the interval, and of a slope
# The softplus of this is 1 - MINIMUM: at slopes of 0 the map goes straight through.
OFFSET = float(np.log(np.expm1(1.0 - MINIMUM)))


@dataclass(frozen=True, eq=False)
class SplineBin(Bijection):
    """One bin of a spline: from the corner `(left, low)` of a rectangle to `(right, high)`.

    With `w = right - left`, `h = high - low`, `m = h/w`, the slopes `a` and `b` at the ends, the
    shares `t = (z - left)/w` and `u = (right - z)/w`, and `D = m t² + (a + b) t u + m u²`:

    ========  ==============================================  ===================================
    forward   `x = low + h t (m t + a u)/D`                   `log m² (b t² + 2 m t u + a u²)/D²`
    inverse   `z = left + w p/(p + q)`, with `p/q = t/u`      the negative of this
    ========  ==============================================  ===================================

    For the inverse let `s = (x - low)/h`, `r = (high - x)/h`, `B = b s - a r` and
    `R = √(B² + 4 m² s r)`. Then `p/q` is `(B + R)/(2 m r)`, or `2 m s/(R - B)`, the same: the sum
    that has no cancellation is taken. Durkan et al. (2019), equations 4 to 8, rewritten.

    Parameters
    ----------
    left, right, low, high, slope_left, slope_right : float or array
        Corners, with `left < right` and `low < high`, and positive slopes.

    Examples
    --------
    >>> SplineBin(0.0, 1.0, 0.0, 2.0, 1.0, 1.0).forward([0.5, 0.75]).round(4)
    array([1.    , 1.6154])
    """

    left: Array
    right: Array
    low: Array
    high: Array
    slope_left: Array
    slope_right: Array

    @property
    def domain(self) -> Interval:  # type: ignore[override]
        """From `left` to `right`."""
        return self.left, self.right

    @property
    def codomain(self) -> Interval:  # type: ignore[override]
        """From `low` to `high`."""
        return self.low, self.high

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return the rational-quadratic function and its log-derivative."""
        w, h = self.right - self.left, self.high - self.low
        a, b, m = self.slope_left, self.slope_right, h / w
        t, u = (z - self.left) / w, (self.right - z) / w
        d = self._denominator(t, u, m)
        from_left = self.low + h * _risen(t, u, a, m, d)
        from_right = self.high - h * _risen(u, t, b, m, d)
        return np.where(t < u, from_left, from_right), self._log_slope(t, u, m)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return the solution of a quadratic equation and its log-derivative `log D/(m R)`."""
        w, h = self.right - self.left, self.high - self.low
        a, b, m = self.slope_left, self.slope_right, h / w
        s, r = (x - self.low) / h, (self.high - x) / h
        middle = b * s - a * r
        root = np.sqrt(middle * middle + 4.0 * m * m * s * r)
        p, q, from_low, from_high = root + middle, root - middle, 2.0 * m * s, 2.0 * m * r
        t = np.where(middle < 0.0, from_low / (from_low + q), p / (p + from_high))
        u = np.where(middle < 0.0, q / (from_low + q), from_high / (p + from_high))
        z = np.where(t < u, self.left + w * t, self.right - w * u)
        return z, np.log(self._denominator(t, u, m) / (m * root))

    def _denominator(self, t: Array, u: Array, m: Array) -> Array:
        return m * t * t + (self.slope_left + self.slope_right) * t * u + m * u * u

    def _log_slope(self, t: Array, u: Array, m: Array) -> Array:
        a, b, d = self.slope_left, self.slope_right, self._denominator(t, u, m)
        return np.log(b * t * t + 2.0 * m * t * u + a * u * u) + 2.0 * np.log(m / d)


def _risen(t: Array, u: Array, slope: Array, m: Array, d: Array) -> Array:
    """Return the share of a bin's height that is reached from the end with this slope."""
    return t * (m * t + slope * u) / d


@dataclass(frozen=True, eq=False)
class UnitBin(Bijection):
    """The `SplineBin` of the unit square, in which the slopes are all that can be chosen.

    Every bin is one, scaled and shifted: with `m = h/w` its slopes are `a/m` and `b/m`.

    Parameters
    ----------
    slope_left, slope_right : float or array
        Positive.
    """

    slope_left: Array
    slope_right: Array
    domain: ClassVar[Interval] = (0.0, 1.0)
    codomain: ClassVar[Interval] = (0.0, 1.0)

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return what the `SplineBin` does, all of it from the left end."""
        t, u, unit = z, 1.0 - z, self._bin()
        d = unit._denominator(t, u, 1.0)
        return _risen(t, u, self.slope_left, 1.0, d), unit._log_slope(t, u, 1.0)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return what the `SplineBin` does."""
        return self._bin().inverse_and_log_det(x)

    def _bin(self) -> SplineBin:
        return SplineBin(0.0, 1.0, 0.0, 1.0, self.slope_left, self.slope_right)


@dataclass(frozen=True, eq=False)
class RationalQuadraticSpline(Bijection):
    """A monotone spline of `K` bins on an interval, and the identity outside it.

    The bins' widths, in the base variable, are `interval` times
    `ε + (1 - Kε) softmax(widths)` with `ε = 1/1000`, and their heights, in the data variable,
    likewise. The slopes at the `K - 1` inner knots are `ε + softplus(slopes + c)`, with `c` such
    that a parameter of 0 gives the slope 1; at the two ends the slope is 1, so that the identity
    continues the map smoothly. Each bin is a `SplineBin`. With all parameters 0 the map is the
    identity.

    Domain and codomain: the real line. At a knot the result is the knot's image, to the last
    digit. A constant added to all `widths`, or to all `heights`, changes nothing: a fit has no
    standard errors for them.

    Parameters
    ----------
    widths, heights : arrays of shape (..., K)
        Unnormalised. Leading axes broadcast with the data.
    slopes : array of shape (..., K - 1)
        At the inner knots.
    interval : tuple of float
        Where the knots lie; not trained.

    Raises
    ------
    TypeError
        If a parameter does not hold real numbers.
    ValueError
        If the lengths of the last axes do not fit together, there is no bin or too many of them,
        or the interval is empty.

    Notes
    -----
    Durkan, Bekasov, Murray and Papamakarios (2019), *Neural Spline Flows*, section 3.1.

    Examples
    --------
    >>> spline = RationalQuadraticSpline([0.0, 0.0], [0.0, 1.0], [0.5], (-2.0, 2.0))
    >>> spline.forward([-3.0, -1.0, 0.0, 1.0, 3.0]).round(4)
    array([-3.    , -1.5153, -0.9224,  0.6341,  3.    ])
    """

    widths: Array = field(metadata={"ndim": 1})
    heights: Array = field(metadata={"ndim": 1})
    slopes: Array = field(metadata={"ndim": 1})
    interval: Interval = field(default=(-3.0, 3.0), metadata={"static": True})

    def __post_init__(self) -> None:
        for name in ("widths", "heights", "slopes"):
            object.__setattr__(self, name, as_parameters(getattr(self, name), name))
        bins = np.shape(self.widths)[-1]
        if not 0 < bins * MINIMUM < 1.0:
            raise ValueError(f"widths: expected 1 to {round(1 / MINIMUM) - 1} bins, got {bins}")
        for name, expected in (("heights", bins), ("slopes", bins - 1)):
            got = np.shape(getattr(self, name))[-1]
            if got != expected:
                raise ValueError(
                    f"{name}: expected {expected} on the last axis for {bins} widths, got {got}"
                    + (" (the slopes at the ends are 1)" if name == "slopes" else "")
                )
        _check_interval(self.interval)

    @classmethod
    def init(cls, bins: int, interval: Interval = (-3.0, 3.0)) -> Self:
        """Return the spline of equal bins that is the identity.

        Parameters
        ----------
        bins : int
            How many, from 1 to 999.
        interval : tuple of float
            Where the knots lie.
        """
        count = as_count(bins, "bins")
        return cls(np.zeros(count), np.zeros(count), np.zeros(max(count - 1, 0)), interval)

    def knots(self) -> tuple[Array, Array, Array]:
        """Return the knots, their images and the slopes there, each of shape (..., K + 1)."""
        one = np.ones((*np.shape(self.slopes)[:-1], 1))
        inner = MINIMUM - log_sigmoid(-(self.slopes + OFFSET))
        slopes = np.concatenate([one, inner, one], axis=-1)
        return self._accumulated(self.widths), self._accumulated(self.heights), slopes

    def _accumulated(self, raw: Array) -> Array:
        low, high = self.interval
        shares = MINIMUM + (1.0 - MINIMUM * np.shape(raw)[-1]) * np.exp(log_softmax(raw))
        inner = low + (high - low) * np.cumsum(shares, axis=-1)[..., :-1]
        end = np.ones((*np.shape(raw)[:-1], 1))
        return np.concatenate([low * end, inner, high * end], axis=-1)

    @staticmethod
    def piece(real: Callable[[str], Any], positive: Callable[[str], Any]) -> SplineBin:
        """Return one bin whose corners and slopes are symbols, for the prover."""
        left, low = real("left"), real("low")
        right, high = left + positive("width"), low + positive("height")
        return SplineBin(left, right, low, high, positive("slope_left"), positive("slope_right"))

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return the image of `z` in its bin and the log-derivative; outside, `z` and 0."""
        knots = self.knots()
        inside, argument, k = self._located(z, knots[0])
        value, log_det = _bin(knots, k).forward_and_log_det(argument)
        return self._joined(z, inside, value, log_det)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return the pre-image of `x` in its bin and the log-derivative; outside, `x` and 0."""
        knots = self.knots()
        inside, argument, k = self._located(x, knots[1])
        value, log_det = _bin(knots, k).inverse_and_log_det(argument)
        return self._joined(x, inside, value, log_det)

    def _located(self, v: Array, knots: Array) -> tuple[Array, Array, Array]:
        """Return whether `v` is inside, a value that is, and the number of its bin."""
        low, high = self.interval
        inside = (v > low) & (v < high)
        argument = np.where(inside, v, low)
        inner = knots[..., 1:-1]
        if inner.ndim == 1:
            return inside, argument, np.searchsorted(inner, argument, side="right")
        return inside, argument, np.sum(argument[..., None] >= inner, axis=-1)

    @staticmethod
    def _joined(v: Array, inside: Array, value: Array, log_det: Array) -> tuple[Array, Array]:
        outside = np.where(np.isnan(v), v, 0.0)
        value, log_det = np.where(inside, value, v), np.where(inside, log_det, outside)
        return in_type_of(v, value), in_type_of(v, log_det)

    def _derived_pullback(self, x: Array, direction: str) -> tuple[Array, Array, Pullback]:
        """As for every bijection: one bin's derivatives are derived, the rest is chain rule.

        A bin depends on the parameters through its two knots, their images, and its two slopes;
        scaled and shifted it is a `UnitBin`.
        """
        from .symbolic.derive import derive

        z = x if direction == "forward" else self.inverse_and_log_det(x)[0]
        knots = self.knots()
        inside, argument, k = self._located(z, knots[0])
        left, right, low, high, a, b = _bin(knots, k).trained_fields().values()
        w, h = right - left, high - low
        m = h / w
        t, a, b = (argument - left) / w, a / m, b / m
        d = derive(UnitBin, "forward")((a, b), t)
        value, log_det = self._joined(z, inside, low + h * d.value, d.log_det + np.log(m))
        outside = np.where(np.isnan(z), z, 0.0)
        slope = np.where(inside, m * d.d_value_dx, 1.0 + outside)
        log_slope = np.where(inside, d.d_log_det_dx / w, outside)
        sign = np.where(inside, 1.0 if direction == "forward" else -1.0, 0.0)
        jacobians = [
            self._jacobian(self.widths),
            self._jacobian(self.heights),
            self._slope_jacobian(),
        ]

        def pullback(bar: Array, summed: bool | None = False) -> tuple[Array, list[Any]]:
            along_z = bar * slope + log_slope
            if direction == "inverse":  # as in `pullback_through_the_other`
                bar = along_z = (bar - log_slope) / slope
            by_value = np.where(inside, sign * bar, 0.0)
            by_t, by_a, by_b = (
                h * by_value * value + sign * log_det
                for value, log_det in zip(
                    (d.d_value_dx, *d.d_value_dparams),
                    (d.d_log_det_dx, *d.d_log_det_dparams),
                    strict=True,
                )
            )
            by_m = sign - a * by_a - b * by_b  # times m
            to_right, to_high = t * by_t + by_m, d.value * by_value + by_m / h
            corners = [
                ((to_right - by_t) / w, -to_right / w),
                (by_value - to_high, to_high),
                (by_a / m, by_b / m),
            ]
            parts = [ByBin(*pair, k, rows) for pair, rows in zip(corners, jacobians, strict=True)]
            if summed is None:  # for `outer_products`
                return along_z, parts
            if summed and k.ndim == self.widths.ndim == 1:
                return along_z, [part.sum() for part in parts]
            return along_z, [gathered(part.dense(), np.ndim(bar), summed) for part in parts]

        if direction == "forward":
            return value, log_det, pullback
        return z, -log_det, pullback

    def derivatives(self, argument: Array, direction: str) -> Derivatives:
        """Return the derivatives of both results, for `derive`."""
        from .symbolic.derive import Derivatives

        value, log_det, pullback = self._derived_pullback(argument, direction)
        of_log_det, of_both = pullback(np.zeros_like(value)), pullback(np.ones_like(value))
        values = tuple(both - part for both, part in zip(of_both[1], of_log_det[1], strict=True))
        return Derivatives(
            value, log_det, of_both[0] - of_log_det[0], of_log_det[0], values, tuple(of_log_det[1])
        )

    def _jacobian(self, raw: Array) -> Array:
        """Return `∂ knot_i/∂ raw_l = scale · p_l ([l < i] - Σ_{j<i} p_j)`, with `p = softmax(raw)`.

        The scale is the length of the interval times `1 - Kε`.
        """
        low, high = self.interval
        count = np.shape(raw)[-1]
        p = np.exp(log_softmax(raw))
        end = np.ones((*np.shape(p)[:-1], 1))
        inner = np.cumsum(p, axis=-1)[..., :-1]
        before = np.concatenate([0.0 * end, inner, end], axis=-1)  # the last knot does not move
        earlier = np.arange(count) < np.arange(count + 1)[:, None]
        scale = (high - low) * (1.0 - MINIMUM * count)
        jacobian: Array = scale * p[..., None, :] * (earlier - before[..., None])
        return jacobian

    def _slope_jacobian(self) -> Array:
        """Return `∂ slope_i/∂ slopes_j`: the logistic function where `i = j + 1`."""
        count = np.shape(self.slopes)[-1]
        inner = np.eye(count + 2, count, k=-1)
        return inner * np.exp(log_sigmoid(self.slopes + OFFSET))[..., None, :]


class ByBin(NamedTuple):
    """Derivatives that come from the two ends of a bin: `left · rows[k] + right · rows[k + 1]`.

    Written out they are an array of shape (..., m). For shared knots a fit adds up `left` and
    `right` bin by bin instead.
    """

    left: Array
    right: Array
    k: Array
    rows: Array

    def dense(self) -> Array:
        """Return the array."""
        left, right = self.left[..., None], self.right[..., None]
        written: Array = left * _at(self.rows, self.k) + right * _at(self.rows, self.k + 1)
        return written

    def sum(self) -> Array:
        """Return its sum over observations, for shared knots."""
        bins = len(self.rows) - 1
        left, right = (np.bincount(self.k, part, bins) for part in (self.left, self.right))
        return self.of_sums(left, right, self.rows)

    @staticmethod
    def of_sums(left: Array, right: Array, rows: Array) -> Array:
        """Return the sum from those of `left` and of `right` in each bin."""
        total: Array = left @ rows[:-1] + right @ rows[1:]
        return total


def outer_products(score: list[Any], n: int) -> Array:
    """Return `Σ s sᵀ` over `n` observations of `s = (score, 1)`; so the last row has `Σ s`.

    Parameters
    ----------
    score : list
        Parts of the score: arrays of shape (n, ...), or `ByBin`.
    """
    k, columns, tables = columns_of([*score, np.ones(n)])
    s = np.concatenate([np.reshape(column, (-1, n)) for column in columns])
    return s @ s.T if k is None else assembled(products_by_bin(k, s, max(map(len, tables))), tables)


def columns_of(score: list[Any]) -> tuple[Array | None, list[Array], list[Array]]:
    """Return scores as columns times tables, bin by bin: for a `ByBin`, what is there of each end.

    Returns
    -------
    k : array of shape (n,), or None
        The bin of each observation, if a part is a `ByBin` of shared knots.
    columns : list of arrays
        Of shape (n,), or (m, n).
    tables : list of arrays
        For each part, of shape (bins, columns, parameters), or (1, ...) for all bins.
    """
    k = next((p.k for p in score if isinstance(p, ByBin) and p.rows.ndim == 2), None)
    columns, tables = [], []
    for part in score:
        if isinstance(part, ByBin) and part.k is k:
            columns += [part.left, part.right]
            tables.append(np.stack([part.rows[:-1], part.rows[1:]], axis=1))
        else:
            dense = part.dense() if isinstance(part, ByBin) else part
            columns.append(np.reshape(dense, (len(dense), -1)).T)
            tables.append(np.eye(len(columns[-1]))[None])
    return k, columns, tables


def products_by_bin(k: Array, s: Array, bins: int) -> Array:
    """Return `Σ s sᵀ` over the observations in each bin, for `s` of shape (m, n)."""
    order = np.argsort(k.astype(np.uint16), kind="stable")
    ends = np.cumsum(np.bincount(k, minlength=bins))[:-1]
    return np.array([part @ part.T for part in np.split(s[:, order], ends, axis=1)])


def assembled(sums: Array, tables: list[Array]) -> Array:
    """Return `Σ_bins tableᵀ sums table`, with the tables of all parts along the diagonal."""
    whole = np.zeros((len(sums), sums.shape[1], sum(table.shape[2] for table in tables)))
    row = column = 0
    for table in tables:
        rows, columns = table.shape[1:]
        whole[:, row : row + rows, column : column + columns] = table
        row, column = row + rows, column + columns
    total: Array = (whole.transpose(0, 2, 1) @ sums @ whole).sum(axis=0)
    return total


def _at(rows: Array, k: Array) -> Array:
    """Return row `k` of an array of shape (..., K + 1, m)."""
    if rows.ndim == 2:
        return rows[k]
    full = np.broadcast_to(rows, (*k.shape, *rows.shape[-2:]))
    return np.take_along_axis(full, k[..., None, None], axis=-2)[..., 0, :]


def _bin(knots: tuple[Array, Array, Array], k: Array) -> SplineBin:
    corners = [
        entries(ends, k) if ends.ndim == 1 else _at(ends[..., None], k)[..., 0]
        for part in knots
        for ends in (part[..., :-1], part[..., 1:])
    ]
    return SplineBin(*corners)


def _check_interval(interval: Any) -> None:
    try:
        low, high = (float(end) for end in interval)
    except (TypeError, ValueError) as error:
        raise TypeError(f"interval: expected two numbers, got {interval!r}") from error
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(
            f"interval: expected two finite numbers, the smaller first, got {interval}"
        )
