"""Invertible maps of tables, (n, d) -> (n, d): values, log-determinants, chain rule.

They are pure: built from the fitted attributes of a transformer whenever they are needed, and
never stored. `forward` gives NaN outside the domain and `inverse` NaN outside the image; NaN in
gives NaN out, so that maps that act column by column carry missing values through. Of such a row
the log-determinant is that of the columns that are there.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from skgm.tables._frames import restore_frame

__all__ = [
    "FUNCTIONS",
    "Affine",
    "Bijection",
    "Chain",
    "Custom",
    "Elementwise",
    "Function",
    "Partition",
    "Rotation",
    "box_cox",
    "piecewise_linear",
    "yeo_johnson",
]


# Increasing functions of one variable with their inverses and slopes: pure formulas.
#
# Every member works element by element on arrays (n, d). None guards its domain: the caller masks
# what lies outside `domain` or `image`, which are open intervals, scalars or one value per column.

_LINE = (-np.inf, np.inf)


@dataclass(frozen=True)
class Function:
    """An increasing bijection from the interval `domain` onto the interval `image`.

    Attributes
    ----------
    forward, inverse : callable
        f and its inverse.
    log_slope : callable
        log f'(x).
    bend : callable
        d/dx log f'(x).
    domain, image : tuple of (low, high)
        Open intervals; floats, or arrays with one value per column.
    """

    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    log_slope: Callable[[Any], Any]
    bend: Callable[[Any], Any]
    domain: tuple[Any, Any] = _LINE
    image: tuple[Any, Any] = _LINE


# Zero is left out of the domain of sqrt: its slope, and so the density there, is infinite.
FUNCTIONS: dict[Any, Function] = {
    np.log: Function(np.log, np.exp, lambda x: -np.log(x), lambda x: -1 / x, domain=(0.0, np.inf)),
    np.log1p: Function(
        np.log1p,
        np.expm1,
        lambda x: -np.log1p(x),
        lambda x: -1 / (1 + x),
        domain=(-1.0, np.inf),
    ),
    np.exp: Function(np.exp, np.log, lambda x: x, np.ones_like, image=(0.0, np.inf)),
    np.expm1: Function(np.expm1, np.log1p, lambda x: x, np.ones_like, image=(-1.0, np.inf)),
    np.sqrt: Function(
        np.sqrt,
        np.square,
        lambda x: -np.log(2) - np.log(x) / 2,
        lambda x: -0.5 / x,
        domain=(0.0, np.inf),
        image=(0.0, np.inf),
    ),
}


def box_cox(power: np.ndarray) -> Function:
    """Return x -> (x**power - 1) / power on x > 0, one power per column (0: the logarithm)."""
    with np.errstate(divide="ignore"):
        bound = -1 / power
    return Function(
        lambda x: special.boxcox(x, power),
        lambda z: special.inv_boxcox(z, power),
        lambda x: (power - 1) * np.log(x),
        lambda x: (power - 1) / x,
        domain=(0.0, np.inf),
        image=(np.where(power > 0, bound, -np.inf), np.where(power < 0, bound, np.inf)),
    )


def yeo_johnson(power: np.ndarray) -> Function:
    """Return the Yeo-Johnson transform, one power per column: Box-Cox of 1 + |x| on each side."""
    with np.errstate(divide="ignore"):
        low, high = 1 / (2 - power), -1 / power

    def both_sides(formula: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        return lambda x: np.where(x >= 0, formula(x, power), -formula(-x, 2 - power))

    return Function(
        both_sides(special.boxcox1p),
        both_sides(special.inv_boxcox1p),
        lambda x: np.sign(x) * (power - 1) * np.log1p(np.abs(x)),
        lambda x: (power - 1) / (1 + np.abs(x)),
        image=(np.where(power > 2, low, -np.inf), np.where(power < 0, high, np.inf)),
    )


_CLIPPED = 1e-7  # scikit-learn moves levels that are nearer to 0 or 1 than this


def piecewise_linear(knots: np.ndarray, levels: np.ndarray, *, normal: bool) -> Function:
    """Return the lines through (knot, level), one column of knots, (k, d), for each column of x.

    With `normal` levels become quantiles of the normal distribution, as in QuantileTransformer.
    The knots increase, and beyond them nothing is mapped.
    """
    d = knots.shape[1]
    ends = (
        float(special.ndtri(_CLIPPED - np.spacing(1))),
        float(special.ndtri(1 - (_CLIPPED - np.spacing(1)))),
    )
    log_steps = np.log(np.diff(levels)[:, None] / np.diff(knots, axis=0))

    def by_column(line: Callable[[Any, int], Any], x: Any) -> np.ndarray:
        rows = np.reshape(x, (-1, d))
        return np.column_stack([line(rows[:, j], j) for j in range(d)]).reshape(np.shape(x))

    def forward(x: Any) -> np.ndarray:
        level = by_column(lambda part, j: np.interp(part, knots[:, j], levels), x)
        return np.clip(special.ndtri(level), *ends) if normal else level

    def inverse(z: Any) -> np.ndarray:
        level = np.where(z <= ends[0], 0.0, np.where(z >= ends[1], 1.0, special.ndtr(z)))
        told = level if normal else z
        return by_column(lambda part, j: np.interp(part, levels, knots[:, j]), told)

    def log_slope(x: Any) -> np.ndarray:
        def line(part: np.ndarray, j: int) -> np.ndarray:
            place = np.searchsorted(knots[:, j], part, side="right") - 1
            return log_steps[np.clip(place, 0, len(log_steps) - 1), j]

        slope = by_column(line, x)
        return slope + (forward(x) ** 2 + np.log(2 * np.pi)) / 2 if normal else slope

    def bend(x: Any) -> np.ndarray:
        return forward(x) * np.exp(log_slope(x)) if normal else np.zeros(np.shape(x))

    image = ends if normal else (float(levels[0]), float(levels[-1]))
    return Function(
        forward, inverse, log_slope, bend, _around(knots[0], knots[-1]), _around(*image)
    )


def _around(low: Any, high: Any) -> tuple[Any, Any]:
    """Return an open interval that holds the ends of a closed one as well."""
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


Box = tuple[np.ndarray, np.ndarray]  # low and high, (d,) each: an open box


class Bijection(ABC):
    """An invertible, differentiable map of rows."""

    by_column = True  # each output column depends on one input column only
    differentiable = True  # the derivative of the log-determinant is known

    @abstractmethod
    def forward(self, X: np.ndarray) -> np.ndarray:
        """Return the mapped rows, (n, d)."""

    @abstractmethod
    def inverse(self, Z: np.ndarray) -> np.ndarray:
        """Return the rows that are mapped to Z, (n, d)."""

    @abstractmethod
    def log_det(self, X: np.ndarray) -> np.ndarray:
        """Return the log of the absolute Jacobian determinant at each row, (n,)."""

    @abstractmethod
    def pull_back(self, X: np.ndarray, S: np.ndarray) -> np.ndarray:
        """Return J(x)^T s + d/dx log|det J(x)| for each row x of X and s of S, (n, d)."""

    @abstractmethod
    def push_box(self, box: Box) -> Box | None:
        """Return the image of an open box, or None where it is no box or not known."""

    def names_out(self, names: list[str]) -> list[str]:
        """Return names for the output columns, for messages."""
        return names


@dataclass(frozen=True)
class Affine(Bijection):
    """z = (x - shift) / scale, column by column, scale > 0."""

    shift: Any
    scale: Any

    def forward(self, X: np.ndarray) -> np.ndarray:
        return (X - self.shift) / self.scale

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        return Z * self.scale + self.shift

    def log_det(self, X: np.ndarray) -> np.ndarray:
        per_column = np.broadcast_to(np.log(self.scale), X.shape[1:])
        hole = np.isnan(X)
        if hole.any():
            return np.asarray(hole @ per_column - per_column.sum())
        return np.full(len(X), -per_column.sum())

    def pull_back(self, X: np.ndarray, S: np.ndarray) -> np.ndarray:
        return S / self.scale

    def push_box(self, box: Box) -> Box:
        return self.forward(box[0]), self.forward(box[1])


@dataclass(frozen=True)
class Elementwise(Bijection):
    """One increasing function per column."""

    function: Function

    def forward(self, X: np.ndarray) -> np.ndarray:
        return _masked(self.function.forward, X, self.function.domain)

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        return _masked(self.function.inverse, Z, self.function.image)

    def log_det(self, X: np.ndarray) -> np.ndarray:
        slopes = _masked(self.function.log_slope, X, self.function.domain)
        return np.asarray(np.where(np.isnan(X), 0.0, slopes).sum(axis=1))

    def pull_back(self, X: np.ndarray, S: np.ndarray) -> np.ndarray:
        return np.exp(self.function.log_slope(X)) * S + self.function.bend(X)

    def push_box(self, box: Box) -> Box:
        low, high = (np.clip(end, *self.function.domain) for end in box)
        with np.errstate(all="ignore"):  # the ends themselves may be infinite, or map there
            return _end(self.function.forward(low), self.function.image[0]), _end(
                self.function.forward(high), self.function.image[1]
            )


def _masked(formula: Callable[[Any], Any], X: np.ndarray, interval: tuple[Any, Any]) -> np.ndarray:
    with np.errstate(all="ignore"):
        low, high = interval
        return np.where((low < X) & (high > X), formula(X), np.nan)


def _end(value: np.ndarray, limit: Any) -> np.ndarray:
    """Return the mapped end of an interval; the limit where the formula has 0/0 or inf - inf."""
    return np.where(np.isnan(value), limit, value)


@dataclass(frozen=True)
class Rotation(Bijection):
    """z_k = components_k . (x - mean) / scale_k, with orthonormal components (rows)."""

    mean: np.ndarray  # (d,)
    components: np.ndarray  # (d, d)
    scale: np.ndarray  # (d,)

    by_column = False

    def forward(self, X: np.ndarray) -> np.ndarray:
        return (X - self.mean) @ self.components.T / self.scale

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        return (Z * self.scale) @ self.components + self.mean

    def log_det(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), -np.log(self.scale).sum())

    def pull_back(self, X: np.ndarray, S: np.ndarray) -> np.ndarray:
        return (S / self.scale) @ self.components

    def push_box(self, box: Box) -> Box | None:
        return None if np.isfinite(box).any() else box

    def names_out(self, names: list[str]) -> list[str]:
        return [f"component {k}" for k in range(len(names))]


@dataclass(frozen=True)
class Chain(Bijection):
    """Maps applied one after the other."""

    maps: tuple[Bijection, ...]

    @property
    def by_column(self) -> bool:  # type: ignore[override]
        return all(m.by_column for m in self.maps)

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        return all(m.differentiable for m in self.maps)

    def stages(self, X: np.ndarray) -> list[np.ndarray]:
        """Return the rows before each map, and after the last."""
        rows = [X]
        for m in self.maps:
            rows.append(m.forward(rows[-1]))
        return rows

    def forward(self, X: np.ndarray) -> np.ndarray:
        for m in self.maps:
            X = m.forward(X)
        return X

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        for m in reversed(self.maps):
            Z = m.inverse(Z)
        return Z

    def log_det(self, X: np.ndarray) -> np.ndarray:
        return self.forward_and_log_det(X)[1]

    def forward_and_log_det(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both in one pass, (n, d) and (n,)."""
        total = np.zeros(len(X))
        for m in self.maps:
            total += m.log_det(X)
            X = m.forward(X)
        return X, total

    def pull_back(self, X: np.ndarray, S: np.ndarray) -> np.ndarray:
        for m, rows in zip(reversed(self.maps), reversed(self.stages(X)[:-1])):
            S = m.pull_back(rows, S)
        return S

    def push_box(self, box: Box) -> Box | None:
        for m in self.maps:
            pushed = m.push_box(box)
            if pushed is None:
                return None
            box = pushed
        return box

    def names_out(self, names: list[str]) -> list[str]:
        for m in self.maps:
            names = m.names_out(names)
        return names


@dataclass(frozen=True)
class Partition(Bijection):
    """Maps of disjoint groups of columns that together cover the table.

    Attributes
    ----------
    parts : tuple of (inputs, outputs, map)
        Positions of the input columns and of the output columns, and what maps the one to the
        other.
    """

    parts: tuple[tuple[np.ndarray, np.ndarray, Bijection], ...]

    @property
    def by_column(self) -> bool:  # type: ignore[override]
        return all(m.by_column for _, _, m in self.parts)

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        return all(m.differentiable for _, _, m in self.parts)

    def forward(self, X: np.ndarray) -> np.ndarray:
        Z = np.empty_like(X)
        for inputs, outputs, m in self.parts:
            Z[:, outputs] = m.forward(X[:, inputs])
        return Z

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        X = np.empty_like(Z)
        for inputs, outputs, m in self.parts:
            X[:, inputs] = m.inverse(Z[:, outputs])
        return X

    def log_det(self, X: np.ndarray) -> np.ndarray:
        return np.sum([m.log_det(X[:, inputs]) for inputs, _, m in self.parts], axis=0)

    def pull_back(self, X: np.ndarray, S: np.ndarray) -> np.ndarray:
        G = np.empty_like(S)
        for inputs, outputs, m in self.parts:
            G[:, inputs] = m.pull_back(X[:, inputs], S[:, outputs])
        return G

    def push_box(self, box: Box) -> Box | None:
        low, high = np.empty_like(box[0]), np.empty_like(box[1])
        for inputs, outputs, m in self.parts:
            pushed = m.push_box((box[0][inputs], box[1][inputs]))
            if pushed is None:
                return None
            low[outputs], high[outputs] = pushed
        return low, high

    def names_out(self, names: list[str]) -> list[str]:
        out = list(names)
        for inputs, outputs, m in self.parts:
            for k, name in zip(outputs, m.names_out([names[j] for j in inputs])):
                out[k] = name
        return out


@dataclass(frozen=True)
class Custom(Bijection):
    """A fitted transformer whose log-determinant the user supplies."""

    transformer: Any
    log_jacobian: Callable[[np.ndarray], Any]
    path: str
    schema: dict[str, Any] | None = None  # the data frame that the transformer was fitted on

    by_column = False
    differentiable = False

    def forward(self, X: np.ndarray) -> np.ndarray:
        return _on_finite_rows(self._transform, X, np.full(X.shape, np.nan))

    def _transform(self, X: np.ndarray) -> Any:
        return self.transformer.transform(
            X if self.schema is None else restore_frame(X, self.schema)
        )

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        """Return the inverse; NaN where it does not lead back, which is outside the image."""
        X = _on_finite_rows(self.transformer.inverse_transform, Z, np.full(Z.shape, np.nan))
        leads_back = np.isclose(self.forward(X), Z, rtol=1e-6, atol=1e-9)
        X[~leads_back.all(axis=1)] = np.nan
        return X

    def log_det(self, X: np.ndarray) -> np.ndarray:
        return _on_finite_rows(self._log_jacobian, X, np.full(len(X), np.nan))

    def _log_jacobian(self, X: np.ndarray) -> np.ndarray:
        value = np.asarray(self.log_jacobian(X), dtype=np.float64)
        if value.shape != (len(X),):
            raise ValueError(
                f"log_jacobians[{self.path!r}] must return one value per row, shape ({len(X)},); "
                f"got shape {value.shape}. Sum the log-slopes over the columns."
            )
        return value

    def pull_back(self, X: np.ndarray, S: np.ndarray) -> np.ndarray:
        raise ValueError(f"The derivative of log_jacobians[{self.path!r}] is not known.")

    def push_box(self, box: Box) -> None:
        return None

    def names_out(self, names: list[str]) -> list[str]:
        return [f"output {k} of {self.path}" for k in range(len(names))]


def _on_finite_rows(function: Callable[[Any], Any], X: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Fill `out` with the function of the finite rows of X; foreign code need not like NaN."""
    finite = np.isfinite(X).all(axis=1)
    if finite.any():
        with np.errstate(all="ignore"):
            out[finite] = np.asarray(function(X[finite]), dtype=np.float64)
    return out
