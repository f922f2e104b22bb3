"""Student's t family: degrees of freedom, location and scale."""

import numpy as np
from scipy import special

from skgm.inference._information import errors_from_information
from skgm.inference.families._base import Interval, Parameter, Params
from skgm.inference.families._heavy_tails import HeavyTailedFamily
from skgm.inference.families._location_scale import REGULAR, location_and_scale
from skgm.inference.families._rows import Rows
from skgm.inference.families._student_df import df_interval, estimate_kappa
from skgm.inference.families._student_kernel import (
    constant,
    kappa_information,
    log_kernel,
    tilt,
)

__all__ = ["StudentT"]


def _kappa(params: Params) -> np.ndarray:
    return 1 / np.asarray(params["df"], dtype=np.float64)


class StudentT(HeavyTailedFamily):
    r"""Student's t distribution with degrees of freedom, location and scale, per column.

    .. math:: \log p(x) = \log\frac{\Gamma\{(\nu+1)/2\}}{\Gamma(\nu/2) \sqrt{\pi\nu}}
        - \frac{\nu+1}{2} \log\Bigl(1 + \frac{z^2}{\nu}\Bigr) - \log s, \quad z = (x - m) / s

    Notes
    -----
    Infinite degrees of freedom are a legitimate estimate: where no finite ones are more likely,
    the fit is the normal one, its ``df`` is infinite and has no standard error, and its profile
    interval reaches from a finite number to infinity.

    With free degrees of freedom the likelihood is unbounded near df = 0, where the distribution
    shrinks onto one row. The estimate is the highest maximum away from there; columns for which
    there is none are refused, and so are those with half of the weight or more on one value.

    r* intervals are for held degrees of freedom (``fixed={"df": 4}``).

    References
    ----------
    C. Fernandez and M. F. J. Steel, "Multivariate Student-t regression models: pitfalls and
    inference", Biometrika 86, 1999; K. L. Lange, R. J. A. Little and J. M. G. Taylor, "Robust
    statistical modeling using the t distribution", JASA 84, 1989.
    """

    name = "student_t"
    aliases = ("t",)
    equivariance = "location-scale"
    parameters = (
        Parameter(
            "df",
            0.0,
            link="log",
            # no score interval: at df = inf the information of df is zero
            methods=("wald", "wald-transformed", "profile", "robust", "bootstrap"),
            auto="profile",
            may_be_infinite=True,
        ),
        *location_and_scale(REGULAR, "profile"),
    )

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return g and its derivatives in z."""
        kappa = _kappa(params)
        g, g1, g2, _ = log_kernel(z, kappa)
        return g + constant(kappa)[0], g1, g2

    def tail_index(self, params: Params) -> np.ndarray:
        """Return the degrees of freedom."""
        return np.asarray(params["df"])

    def unit_information(self, params: Params) -> np.ndarray:
        """Return diag(1 + k, 2) / (1 + 3 k), k = 1 / df, (d, 2, 2)."""
        kappa = _kappa(params)
        unit = np.zeros((*kappa.shape, 2, 2))
        unit[..., 0, 0] = (1 + kappa) / (1 + 3 * kappa)
        unit[..., 1, 1] = 2 / (1 + 3 * kappa)
        return unit

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return the distribution function of z."""
        df = np.broadcast_to(np.asarray(params["df"], dtype=np.float64), z.shape)
        return np.where(np.isinf(df), special.ndtr(z), special.stdtr(np.minimum(df, 1e300), z))

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z: normal ones over the root of a scaled chi-square."""
        df = np.broadcast_to(np.asarray(params["df"], dtype=np.float64), size[1:])
        z = rng.standard_normal(size)
        finite = np.where(np.isinf(df), 1.0, df)
        stretch = np.sqrt(rng.chisquare(finite, size) / finite)
        return z / np.where(np.isinf(df), 1.0, stretch)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for constant columns and those with half of the weight or more on one value."""
        super().check_statistics(statistics, names)
        self.refuse_ties(statistics, {"df": np.ones(len(names))}, names)

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed; NaN marks the free ones."""
        df = np.broadcast_to(np.asarray(null["df"], dtype=np.float64), statistics.X.shape[1:])
        held = ~np.isnan(df) & np.isnan(null["scale"])
        if held.any():
            columns = np.flatnonzero(held)
            part = Rows(statistics.n, statistics.X[:, columns], statistics.weight)
            self.refuse_ties(part, {"df": df[columns]}, [f"number {j}" for j in columns])
        return super().restricted_estimate(statistics, null)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return median, half the distance of the quartiles, and no degrees of freedom yet."""
        start = super().start(statistics)
        return {"df": np.full(start["loc"].shape, np.nan), **start}

    def restricted_near(
        self, statistics: Rows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        """Return the restricted estimate, searched from `near`."""
        d = statistics.X.shape[1]
        df = np.array(np.broadcast_to(np.asarray(null["df"], dtype=np.float64), d))
        free = np.flatnonzero(np.isnan(df))
        if len(free):
            part = Rows(statistics.n, statistics.X[:, free], statistics.weight)
            place = {
                k: {name: np.broadcast_to(value, d)[free] for name, value in params.items()}
                for k, params in {"null": null, "near": near}.items()
            }
            kappa, m, s = estimate_kappa(self, part, place["null"], place["near"])
            with np.errstate(divide="ignore"):
                df[free] = 1 / kappa
            if len(free) == d:
                return {"df": df, **self._merge(null, m, s)}
            near = {name: np.array(np.broadcast_to(value, d)) for name, value in near.items()}
            near["loc"][free], near["scale"][free] = m, s
        whole = {**near, "df": df}
        return {"df": df, **self._merge(null, *self._search(statistics, null, whole))}

    def mean_score(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 3)."""
        return self.expansion(statistics, params)[1]

    def observed_information(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, 3, 3)."""
        return self.expansion(statistics, params)[2]

    def expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and observed information, in one pass."""
        height, score, information = self.kappa_expansion(statistics, params)
        turn = -(_kappa(params) ** 2)  # d kappa / d df
        bend = -2 * turn * _kappa(params) * score[:, 0]
        score[:, 0] *= turn
        information[:, 0] *= turn[:, None]
        information[:, :, 0] *= turn[:, None]
        information[:, 0, 0] -= bend
        return height, score, information

    def kappa_expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what `expansion` does, for 1 / df in the place of df."""
        kappa, s = _kappa(params), np.asarray(params["scale"])
        z = (statistics.X - params["loc"]) / s
        g, g1, g2, share = log_kernel(z, kappa)
        tilted, twice, crossed = tilt(z, kappa, share)
        c, c1, c2 = constant(kappa)
        weight = statistics.weight / statistics.n
        m1, z1, m2, z2 = weight @ g1, weight @ (z * g1), weight @ g2, weight @ (z * g2)
        cross = weight @ crossed, weight @ (z * crossed)
        score = np.stack([c1 + weight @ tilted, -m1 / s, -(1 + z1) / s], axis=-1)
        information = np.empty((len(s), 3, 3))
        information[:, 0, 0] = -(c2 + weight @ twice)
        information[:, 0, 1] = information[:, 1, 0] = cross[0] / s
        information[:, 0, 2] = information[:, 2, 0] = cross[1] / s
        information[:, 1, 1] = -m2 / s**2
        information[:, 1, 2] = information[:, 2, 1] = -(m1 + z2) / s**2
        information[:, 2, 2] = -(1 + 2 * z1 + weight @ (z * z * g2)) / s**2
        return c + weight @ g - np.log(s), score, information

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores, (n, d, 3)."""
        kappa = _kappa(params)
        z, s = self._standardise(X, params)
        _, g1, _, share = log_kernel(z, kappa)
        tilted = tilt(z, kappa, share)[0] + constant(kappa)[1]
        return np.stack([-(kappa**2) * tilted, -g1 / s, -(1 + z * g1) / s], axis=-1)

    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per observation, (d, 3, 3)."""
        kappa, s = _kappa(params), np.asarray(params["scale"])
        information = np.zeros((len(s), 3, 3))
        information[:, 1:, 1:] = self.unit_information(params) / (s**2)[:, None, None]
        information[:, 0, 0] = kappa_information(kappa) * kappa**4
        cross = -2 * kappa**2 / (s * (1 + kappa) * (1 + 3 * kappa))
        information[:, 0, 2] = information[:, 2, 0] = cross
        return information

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the model's standard errors; infinite df has none (NaN), and costs no others."""
        information = self.information(params)
        infinite = np.isinf(params["df"])
        information[infinite, 0, 0] = 1.0
        errors = self._by_name(errors_from_information(information, n))
        return {**errors, "df": np.where(infinite, np.nan, errors["df"])}

    def canonical(
        self, statistics: Rows, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Refuse: three parameters are too many for the two pivots."""
        raise ValueError(
            "r* intervals of the student_t family need known degrees of freedom: pass "
            "fixed={'df': ...}, or use method='profile'."
        )

    def profile_interval(
        self, name: str, statistics: Rows, params: Params, level: float
    ) -> Interval:
        """Return the values that the likelihood-ratio test does not reject."""
        if name == "df":
            return df_interval(self, statistics, params, level)
        return super().profile_interval(name, statistics, params, level)
