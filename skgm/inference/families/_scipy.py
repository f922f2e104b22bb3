"""Any distribution of scipy.stats as a family, by numerical derivatives."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

from skgm._numerics.differences import gradient
from skgm.inference._likelihood.inversion import Profile
from skgm.inference.families._base import GENERAL, Interval, Parameter, Params
from skgm.inference.families._limits import irregular_end, undetermined
from skgm.inference.families._numerical import NumericalFamily
from skgm.inference.families._scipy_stable import (
    LIMITS,
    common_ends,
    describe_ends,
    higher_limit,
    invert,
    log_of_share,
    stable_law,
)
from skgm.inference.families._statistics import Rows

__all__ = [
    "ScipyFamily",
    "Shape",
    "shapes_of",
]

# Nodes in z of integrals over the distribution by x = quantile(Phi(z)).
_Z = np.linspace(-8.4, 8.4, 337)[:, None]
_LEFT = _Z[:, 0] < 0
_SMALL = 200  # rows; with more of them r* and profile intervals agree to three digits


class ScipyFamily(NumericalFamily):
    r"""A distribution of scipy.stats, continuous or discrete, as a family.

    Its parameters are scipy's: the shapes, loc and scale. Derivatives are numerical, on the log
    scale of positive parameters and the logit scale of bounded ones; against the families with
    formulas, estimates agree to about 1e-9 and standard errors to about 1e-7. Prefer those
    families where they exist: they are faster and have better small-sample intervals.

    Parameters
    ----------
    distribution : rv_continuous or rv_discrete
        Such as ``scipy.stats.burr12``; not frozen.
    fixed : mapping of str to float, default=None
        Known shapes, loc or scale. Integer shapes (the M of a hypergeometric) must be among them.

    Raises
    ------
    TypeError
        Not a distribution of scipy.stats.
    ValueError
        A name that is no parameter of it; nothing left to estimate, where the support hangs on
        every parameter (the uniform).

    Notes
    -----
    Likelihood theory needs a support that does not move with the parameters. Where it has a fixed
    end at loc (gamma, Pareto), loc is known, 0 unless given; where it has two, scale is known as
    well, 1 unless given. loc of a discrete distribution is 0 unless given, and scale of the von
    Mises distribution is 1: it is one of angles. Where an end moves
    with the estimated parameters (generalized extreme values), the density must vanish there
    faster than linearly; otherwise the fit is refused (a free threshold).

    Standard errors use the expected information, by quadrature over quantiles, where scipy has
    formulas for them or for the distribution function, and the observed one elsewhere.

    References
    ----------
    R. L. Smith, "Maximum likelihood estimation in a class of nonregular cases", Biometrika 72,
    1985.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from skgm.inference import MLEDensity
    >>> from skgm.inference.families import ScipyFamily
    >>> waits = np.array([[0.3], [1.2], [0.5], [2.0]])
    >>> model = MLEDensity(ScipyFamily(stats.expon)).fit(waits)
    >>> round(model.params_["scale"], 8), round(model.standard_errors()["scale"], 6)
    (1.0, 0.5)
    """

    def __init__(self, distribution: Any, fixed: Mapping[str, float] | None = None) -> None:
        if not isinstance(distribution, stats.rv_continuous | stats.rv_discrete):
            raise TypeError(
                "distribution must be one of scipy.stats, continuous or discrete and not frozen, "
                f"such as scipy.stats.burr12; got {distribution!r}."
            )
        self.distribution = distribution
        self.name = str(distribution.name)
        self.discrete = isinstance(distribution, stats.rv_discrete)
        self.fixed = {name: float(value) for name, value in (fixed or {}).items()}
        self._law = (stable_law(self.name) if self._is_public() else None) or distribution
        self._shapes = shapes_of(distribution)
        names = [shape.name for shape in self._shapes] + ["loc", "scale"][: 2 - self.discrete]
        unknown = [name for name in self.fixed if name not in names]
        if unknown:
            raise ValueError(
                f"fixed names unknown parameters {unknown}; scipy's {self.name} has "
                f"{', '.join(names)}."
            )
        self._is_circular = self.name == "vonmises"
        if self._is_circular and self.fixed.get("scale", 1.0) != 1:
            raise ValueError(
                "The scale of scipy's vonmises must be 1: its density is one of angles from -pi to "
                "pi. Divide the column by the scale instead."
            )
        self._ends = common_ends(distribution, self._shapes, self.fixed)
        self._hold()
        self.support = self._tag()
        self._set_parameters()

    def __repr__(self) -> str:
        """Return the call that makes this family."""
        shown = f"stats.{self.name}" if self._is_public() else repr(self.distribution)
        return f"ScipyFamily({shown}, fixed={self.fixed!r})"

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same distribution, or a copy, and the same fixed values."""
        return type(other) is type(self) and repr(other) == repr(self)

    def __hash__(self) -> int:
        """Return a number that equal families share."""
        return hash((type(self), self.name))

    def _is_public(self) -> bool:
        """Whether the distribution, or that of which it is a copy, is one of scipy.stats."""
        return type(self.distribution) is type(getattr(stats, self.name, None))

    def _hold(self) -> None:
        """Choose what is known: whatever moves a finite end of the support."""
        self.constants = tuple(shape.name for shape in self._shapes if shape.integral)
        low, high = self._ends
        finite = np.isfinite([low, high])
        held = {"scale": 1.0} if self._is_circular else {}
        if self.discrete or finite.any():
            held["loc"] = 0.0
        moved = finite.all() or (finite & (np.abs([low, high]) > 0)).any()
        if not self.discrete and moved:  # a single end at zero stays there whatever the scale
            held["scale"] = 1.0
        self.constants += tuple(held)
        self.fixed = held | self.fixed

    @property
    def common_support(self) -> tuple[float, float]:
        """Ends of the standard support that no shape moves."""
        return self._ends

    @property
    def _range(self) -> tuple[float, float]:
        """Ends of the support, as far as it does not move."""
        loc, scale = self.fixed.get("loc", 0.0), self.fixed.get("scale", 1.0)
        return loc + scale * self._ends[0], loc + scale * self._ends[1]

    def _tag(self) -> str:
        if self._is_circular:
            return "circle"
        low, high = self._range
        if self.discrete:
            return "positive-counts" if low >= 1 else "counts" if low >= 0 else "real"
        if low >= 0:
            return "unit" if high <= 1 else "positive"
        return "real"

    def _set_parameters(self) -> None:
        self.has_information = (
            not self.discrete and not self._is_circular and _has_formula(self.distribution)
        )
        methods = (*GENERAL, "rstar") if self.has_information else GENERAL
        found = [
            Parameter(shape.name, shape.low, shape.high, shape.link, methods)
            for shape in self._shapes
            if not shape.integral and shape.name not in self.fixed
        ]
        if "loc" not in self.fixed:
            found.append(Parameter("loc", methods=methods))
        if "scale" not in self.fixed and not self.discrete:
            found.append(Parameter("scale", low=0.0, link="log", methods=methods))
        if not found:
            raise ValueError(
                f"Nothing is left to estimate in scipy's {self.name}: its other parameters are "
                "fixed, or are ends of its support, where likelihood theory does not apply (the "
                "estimates are the extreme values, and their errors are not normal)."
            )
        self.parameters = tuple(found)

    @property
    def constants_given(self) -> bool:  # type: ignore[override]
        """Whether all integer shapes are known."""
        return all(shape.name in self.fixed for shape in self._shapes if shape.integral)

    def given(self, **constants: float) -> "ScipyFamily":
        """Return the family with these parameters known."""
        return ScipyFamily(self.distribution, {**self.fixed, **constants})

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values lie in the support, as far as it does not move."""
        if self._is_circular:
            return super().inside(X)
        low, high = self._range
        if self.discrete:
            return (low <= X) & (high >= X) & (np.floor(X) == X)
        return (low < X) & (high > X)

    def describe(self, statistics: Any = None) -> str:
        return f"scipy's {self.name}, {', '.join(f'{k} = {v:g}' for k, v in self.fixed.items())}."

    def describe_support(self) -> str:
        if self._is_circular:
            return super().describe_support()
        low, high = self._range
        return describe_ends(low, high, self.discrete)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for values outside the support, and for constant columns."""
        outside = ~self.inside(statistics.X)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise ValueError(
                f"The {self.name} family needs {self.describe_support()}; column "
                f"{names[column]!r} holds {float(statistics.X[row, column])!r}."
            )
        super().check_statistics(statistics, names)

    def guesses(self, statistics: Rows) -> list[dict[str, np.ndarray]]:
        """Return moment-like values, and what scipy's own fit finds, where it succeeds."""
        plain = super().guesses(statistics)[0]
        for shape in self._shapes:
            if shape.name in plain:
                plain[shape.name] = np.full(statistics.X.shape[1], shape.examples[1])
        if self.discrete:
            return [plain]
        theta = self.pack(plain)
        for j in range(len(theta)):
            fit = self._scipys_fit(statistics.X[:, j])
            if fit is not None:
                theta[j] = fit
        return [plain, self.unpack(theta)]

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the highest start, which may be a limit of the family far out."""
        return higher_limit(self, statistics, super().start(statistics))

    def _scipys_fit(self, x: np.ndarray) -> list[float] | None:
        order = [shape.name for shape in self._shapes] + ["loc", "scale"]
        held = {f"f{name}": value for name, value in self.fixed.items()}
        with np.errstate(all="ignore"):
            try:
                values = dict(zip(order, self.distribution.fit(x, **held), strict=True))
            except (ValueError, RuntimeError, ArithmeticError):  # scipy's fits fail in many ways
                return None
        found = [float(values[p.name]) for p in self.parameters]
        spaces = zip(self.parameters, found, strict=True)
        inside = all(np.isfinite(v) and p.low < v < p.high for p, v in spaces)
        return found if inside else None

    def _arguments(self, params: Params) -> tuple[list[Any], dict[str, Any]]:
        known = {**self.fixed, **params}
        where = {"loc": known["loc"]}
        if not self.discrete:
            where["scale"] = known["scale"]
        return [known[shape.name] for shape in self._shapes], where

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities or masses, (n, d), -inf outside the support."""
        shapes, where = self._arguments(params)
        law = self._law
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                found = (law.logpmf if self.discrete else law.logpdf)(X, *shapes, **where)
            except ArithmeticError:  # of functions that overflow at impossible parameters
                found = np.full(np.shape(X), -np.inf)
        # at a fixed end of the support, which is no part of it, a density may be infinite
        return np.where(np.isnan(found) | ~self.inside(X), -np.inf, found)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        shapes, where = self._arguments(params)
        with np.errstate(all="ignore"):
            below = self._law.cdf(X, *shapes, **where)
            # scipy's goes on beyond the circle
            return below - self._law.cdf(-np.pi, *shapes, **where) if self._is_circular else below

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        if self._is_circular:
            return super().log_tails(X, params)
        shapes, where = self._arguments(params)
        law, kind = self._law, type(self.distribution)
        below, above = law.cdf(X, *shapes, **where), law.sf(X, *shapes, **where)
        plain = stats.rv_discrete if self.discrete else stats.rv_continuous
        # scipy's general logarithms search for the median first, which takes most of the time
        known = kind._logcdf is not plain._logcdf, kind._logsf is not plain._logsf
        lower = law.logcdf(X, *shapes, **where) if known[0] else log_of_share(below, above)
        return lower, law.logsf(X, *shapes, **where) if known[1] else log_of_share(above, below)

    def mean(self, params: Params) -> np.ndarray:
        shapes, where = self._arguments(params)
        return np.asarray(self._law.mean(*shapes, **where), dtype=np.float64)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        shapes, where = self._arguments(params)
        size = n_samples, len(next(iter(params.values())))
        with np.errstate(all="ignore"):
            draws = self._law.rvs(*shapes, size=size, random_state=rng, **where)
            draws = np.asarray(draws, dtype=np.float64).reshape(size)
            if self.discrete:
                return draws
            low, high = self.ends(params)
            if not ((draws >= low) & (draws <= high)).all():  # scipy's quantiles fail here
                draws = invert(self._law, rng.random(size), shapes, **where)
        # a draw that rounds to an end is moved inside; an infinite one stays, to be refused
        draws = np.where((draws == low) & np.isfinite(low), np.nextafter(low, np.inf), draws)
        return np.where((draws == high) & np.isfinite(high), np.nextafter(high, -np.inf), draws)

    def ends(self, params: Params) -> tuple[Any, Any]:
        """Return the ends of the support at these parameters, (d,) each."""
        shapes, where = self._arguments(params)
        return self.distribution.support(*shapes, **where)

    def information(self, params: Params) -> np.ndarray:
        """Return the mean outer product of the score, by quadrature over quantiles, (d, k, k)."""
        if not self.has_information:
            return super().information(params)
        with np.errstate(all="ignore"):
            lower = self._quantiles(special.ndtr(_Z[_LEFT]), params)
            upper = self._quantiles(special.ndtr(-_Z[~_LEFT]), params, upper=True)
            X = np.concatenate([lower, upper])
            score = self.score(X, params)
        weight = np.exp(-0.5 * _Z[:, 0] ** 2)
        usable = np.isfinite(score).all(axis=-1)  # the last quantiles may round to an end
        weight = np.where(usable, weight[:, None], 0.0)
        score = np.where(usable[..., None], score, 0.0)
        return np.einsum("nd,nda,ndb->dab", weight / weight.sum(axis=0), score, score)

    def _quantiles(self, share: np.ndarray, params: Params, *, upper: bool = False) -> np.ndarray:
        """Return quantiles at shares (m, 1), (m, d); scipy's where it has a formula for them."""
        shapes, where = self._arguments(params)
        law = self._law
        if type(self.distribution)._ppf is not stats.rv_continuous._ppf:
            return (law.isf if upper else law.ppf)(share, *shapes, **where)
        d = len(next(iter(params.values())))
        return invert(law, np.tile(share, (1, d)), shapes, **where, upper=upper)

    def canonical(
        self, statistics: Rows, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the tangent exponential parameter; V is -dF/dtheta over the density."""
        if not self.has_information:
            return super().canonical(statistics, estimate, params)
        X = statistics.X
        u, unit, slope, _ = self._scale(estimate)

        def probability(v: np.ndarray) -> np.ndarray:
            return self._smaller_tail(self._repeated(X, v), self._at(v), self._repeated(upper, v))

        upper = self.cdf(X, estimate) > 0.5
        slopes = gradient(probability, u, unit, together=True) / slope
        pull = np.where(upper, 1.0, -1.0)[..., None] * slopes
        pull = pull / np.exp(self.log_density(X, estimate))[..., None]

        def phi(v: np.ndarray) -> np.ndarray:
            score = self.score_function(self._repeated(X, v), self._at(v))
            moved = score.reshape(len(X), -1, X.shape[1], 1) * pull[:, None]
            return statistics.mean(moved).reshape(len(v), -1).T

        u, unit, slope, _ = self._scale(params)
        jacobian = np.moveaxis(gradient(phi, u, unit, together=True), 0, 1) / slope[:, None, :]
        return phi(u).T, jacobian

    def canonical_free(
        self, statistics: Rows, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `canonical` with only the directions V of the free parameters."""
        phi, jacobian = self.canonical(statistics, estimate, params)
        return phi[:, free], jacobian[:, free[:, None], free]

    def space_of(self, name: str, estimate: np.ndarray) -> tuple[float, float]:
        low, high = super().space_of(name, estimate)
        if self.name == "gengamma" and name == "c":  # not zero: each sign has a space of its own
            low, high = (0.0, high) if (estimate > 0).all() else (low, 0.0)
        return low, high

    def auto_interval(
        self, name: str, statistics: Rows, params: Params, level: float
    ) -> tuple[Any, Any, Any]:
        """Return r* intervals of up to 200 rows, where they exist; profile intervals elsewhere."""
        if self.has_information and statistics.n <= _SMALL:
            try:
                return *self.rstar_interval(name, statistics, params, level), "rstar"
            except ValueError:  # other parameters are infinite somewhere: there is no r*
                pass
        return *self.profile_interval(name, statistics, params, level), "profile"

    def rstar_interval(self, name: str, statistics: Rows, params: Params, level: float) -> Interval:
        """Return the values at which r* is not extreme; refuse where other parameters run away."""
        ends = super().rstar_interval(name, statistics, params, level)
        profile, outside = Profile(self, name, statistics, params), []
        for end, sign in zip(ends, (-1.0, 1.0)):
            if not (sign * (end - params[name]) > 0).all():
                outside.append(name)
            if np.isfinite(end).all():
                flat = undetermined(self, statistics, profile.at(end)[0])
                outside += [k for k, where in flat.items() if k != name and where.any()]
        if outside:
            raise ValueError(
                f"The r* interval of {name!r} of the {self.name} family does not exist: on the way "
                f"to its ends the likelihood is flat in {outside[0]!r}. Use method='profile'."
            )
        return ends

    def _smaller_tail(self, X: np.ndarray, params: Params, upper: np.ndarray) -> np.ndarray:
        """Return P(x > X) where `upper`, P(x <= X) elsewhere: no digits are lost far out."""
        shapes, where = self._arguments(params)
        law = self._law
        with np.errstate(all="ignore"):
            return np.where(upper, law.sf(X, *shapes, **where), law.cdf(X, *shapes, **where))

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held; refuse a free threshold."""
        found = super().restricted_estimate(statistics, null)
        self._check_threshold(found, null)
        if self._is_circular and "loc" in found:
            turned = np.angle(np.exp(1j * found["loc"]))
            found["loc"] = np.where(np.isnan(null["loc"]), turned, found["loc"])
        return found

    def units(self, params: Params) -> np.ndarray:
        """Return the scale for the location, and the own size of shapes, (d, k)."""
        units = np.maximum(np.abs(self.pack(params)), 1.0)
        for k, p in enumerate(self.parameters):
            if p.name == "loc" and "scale" in params:
                units[:, k] = params["scale"]
        return units

    def restricted_near(
        self, statistics: Rows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        """Return the restricted estimate, searched from `near`.

        A shape that has run away to where the likelihood is level stays where it is: its family
        is at its limit, and the search is for the other parameters.
        """
        held = {p.name: np.broadcast_to(null[p.name], near[p.name].shape) for p in self.parameters}
        here = {name: np.where(np.isnan(v), near[name], v) for name, v in held.items()}
        with np.errstate(all="ignore"):
            best = self.log_likelihood(statistics, here)
            for shape in self._shapes:
                if shape.name in near and shape.link != "logit":
                    there = {**here, shape.name: 10 * here[shape.name]}
                    far = np.abs(here[shape.name]) > _FAR
                    if far.any():
                        far &= np.abs(self.log_likelihood(statistics, there) - best) < _LEVEL
                        held[shape.name] = np.where(far, here[shape.name], held[shape.name])
        return super().restricted_near(statistics, held, near)

    def settle(
        self, statistics: Rows, null: Params, found: dict[str, np.ndarray], converged: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Refuse what did not converge, by what ran away if that may be why."""
        if not converged.all():
            self._check_threshold(found, null)
            if all(np.isnan(value).all() for value in null.values()):
                # at such an end derivatives are rough; the start was a maximum by values alone
                free = [p.name for p in self.parameters]
                converged = converged | (irregular_end(self, found, free) is not None)
            if self._has_run_away(null, found):
                converged = converged | self._is_at_limit(statistics, found)
            converged = converged | self._is_level(statistics, null, found)
            held = self._at_edge(statistics, null, found, ~converged)
            if held is not None:
                return self.restricted_near(statistics, held, found)
            if not converged.all():
                self._check_runaway(found, null, int(np.flatnonzero(~converged)[0]))
        return super().settle(statistics, null, found, converged)

    def _at_edge(
        self, statistics: Rows, null: Params, found: Params, lost: np.ndarray
    ) -> dict[str, np.ndarray] | None:
        """Return `null` with shapes held that run to an edge where the likelihood is level.

        The highest likelihood under a restriction is then that of the other parameters. None where
        nothing is restricted, or no shape runs away in the columns, (d,), where the search is lost.
        """
        held = {k: np.array(np.broadcast_to(v, lost.shape)) for k, v in null.items()}
        if not lost.any() or all(np.isnan(v).all() for v in held.values()):
            return None
        there, away = dict(found), np.zeros_like(lost)
        outward: dict[str, np.ndarray] = {}
        for shape in self._shapes:
            if shape.name in found and shape.link != "logit":
                size = np.abs(found[shape.name])
                small = (size < 1 / _AWAY) & (shape.low == 0)
                far = lost & np.isnan(held[shape.name]) & (small | (size > _AWAY))
                outward[shape.name] = np.where(far, np.where(small, 0.1, 10.0), 1.0)
                away |= far
        if not away[lost].all():
            return None
        height = self.log_likelihood(statistics, found)
        for _ in range(_TENS):  # outwards, as far as the likelihood sees
            there = {k: v * outward.get(k, 1.0) for k, v in there.items()}
            before, height = height, self.log_likelihood(statistics, there)
            if (np.abs(height - before)[lost] < _RISE).all():
                far_out = {k: np.where(v != 1, there[k], held[k]) for k, v in outward.items()}
                return {**held, **far_out}
        return None

    def _has_run_away(self, null: Params, found: Params) -> bool:
        """Whether the search was for all parameters but shapes that have run away."""
        held = [name for name, value in null.items() if not np.isnan(value).all()]
        return all(np.abs(found[name]).max() > _FAR for name in held)

    def _is_level(self, statistics: Rows, null: Params, params: Params) -> np.ndarray:
        """Return in which columns, (d,), a free search has come to a limit of the likelihood.

        Its shapes have run away, and ten times further out the likelihood is the same.
        """
        out = {s.name for s in self._shapes if s.name in params and s.link != "logit"}
        far = {name: np.abs(params[name]) > _FAR for name in out}
        lost = np.zeros(len(next(iter(params.values()))), dtype=bool)
        free = (np.isnan(v).all() or far.get(k, lost).all() for k, v in null.items())
        if not far or not all(free):
            return lost
        there = {k: v * np.where(far.get(k, lost), 10.0, 1.0) for k, v in params.items()}
        with np.errstate(all="ignore"):
            rise = self.log_likelihood(statistics, there) - self.log_likelihood(statistics, params)
        return np.asarray(np.any(list(far.values()), axis=0) & (np.abs(rise) < _RISE))

    def _is_at_limit(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return in which columns, (d,), shapes ran away to where the likelihood is level.

        The others can still be at their best there, by the envelope theorem, though the likelihood
        need not have a curvature in them: a Burr law tends to a Pareto law with a free threshold.
        """
        theta = self.pack(params)
        is_shape = np.array([p.link == "log" and p.name != "scale" for p in self.parameters])
        with np.errstate(all="ignore"):
            far = is_shape & ~((theta < _FAR) & (theta > 1 / _FAR))
            slope = np.abs(self.mean_score(statistics, params) * theta)
            curvature = np.nan_to_num(self.observed_information(statistics, params))
        level = far.any(axis=1) & (~far | (slope < 1e-6)).all(axis=1)
        return np.asarray(level & (np.linalg.eigvalsh(curvature)[:, 0] <= 0))

    def _check_runaway(self, found: Params, null: Params, j: int) -> None:
        values = {s.name: float(found[s.name][j]) for s in self._shapes if s.name in found}
        free = {name for name, v in null.items() if np.isnan(v).any()}
        values = {
            name: v
            for name, v in values.items()
            if abs(v) > _FAR or (name in free and not 1 / _AWAY < abs(v) < _AWAY)
        }
        if values:
            shown = ", ".join(f"{name} = {value:.4g}" for name, value in values.items())
            raise ValueError(
                f"The {self.name} family has no estimate for column number {j}: the likelihood "
                f"still rises where the search ended ({shown}), towards an edge of the parameter "
                f"space, where the family becomes {self.describe_limit(values)}. Fit that, or fix "
                f"{' or '.join(values)}."
            )

    def describe_limit(self, values: Mapping[str, float]) -> str:
        """Return what the family becomes where these shapes are near zero or very large."""
        for name, value in values.items():
            side = "0" if abs(value) < 1 else "inf"
            known = LIMITS.get(f"{self.name} {name} {side}")
            if known is not None:
                return known
        return "a smaller one"

    def _check_threshold(self, found: Params, null: Params) -> None:
        free = [p.name for p in self.parameters if np.isnan(null[p.name]).any()]
        end = irregular_end(self, found, free, _BOUNDED)  # a maximum stays, whatever its errors
        if end is not None:
            raise ValueError(
                f"The {self.name} family has a free threshold: its support ends at "
                f"{end:g} by the estimate and moves with {', '.join(free)}, and its density "
                "does not vanish there fast enough for likelihood theory (standard errors and "
                "tests would be wrong). Fix parameters so that the support stays where it is."
            )


def _has_formula(distribution: Any) -> bool:
    """Whether scipy knows quantiles or probabilities in closed form, so that both are fast."""
    kind, plain = type(distribution), stats.rv_continuous
    return kind._ppf is not plain._ppf or kind._cdf is not plain._cdf


# Shapes beyond _FAR that change the total log-likelihood by less than _LEVEL per factor of ten
# have run away; searches that did not converge blame shapes beyond _AWAY.
_FAR, _LEVEL, _AWAY = 1e6, 1e-3, 30.0
_BOUNDED = 1.05  # power of the distance from an end that moves: a likelihood with a maximum
_RISE, _TENS = 1e-6, 12  # of the total log-likelihood by a factor of ten, on the way to an edge

# What a distribution of scipy.stats says of its shapes and its support.


class Shape(NamedTuple):
    """A shape parameter: its name, open space, kind, link and values well inside."""

    name: str
    low: float
    high: float
    integral: bool
    link: str
    examples: tuple[float, ...]


def shapes_of(distribution: Any) -> list[Shape]:
    """Return the shapes of a distribution; positive where it does not say."""
    names = [name.strip() for name in (distribution.shapes or "").split(",") if name.strip()]
    try:
        known = {info.name: info for info in distribution._shape_info()}
    except (AttributeError, NotImplementedError):  # a distribution of the user's own
        known = {}
    shapes = [_shape(name, known.get(name)) for name in names]
    if distribution.name == "nbinom":  # scipy calls its n an integer and takes any number
        shapes[0] = shapes[0]._replace(integral=False)
    return shapes


def _shape(name: str, info: Any) -> Shape:
    low, high = (0.0, np.inf) if info is None else (float(end) for end in info.domain)
    low = 0.0 if 0 < low < 1e-300 else low
    integral = info is not None and bool(info.integrality)
    if np.isfinite(low) and np.isfinite(high):
        examples = tuple(low + share * (high - low) for share in (0.3, 0.55, 0.8))
        link = "logit" if (low, high) == (0, 1) else "identity"
        return Shape(name, low, high, integral, link, examples)
    if np.isfinite(low):
        examples = (low + 0.7, low + 1.6, low + 3.1)
        return Shape(name, low, np.inf, integral, "log" if low == 0 else "identity", examples)
    return Shape(name, -np.inf, high, integral, "identity", (-0.4, 0.3, 1.2))
