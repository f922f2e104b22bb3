"""Forms of log p up to a constant: statistics times coefficients, or a model of one's own."""

from abc import ABC, abstractmethod

import numpy as np

__all__ = ["Form", "Statistics"]


class Form(ABC):
    """phi(x; theta), of which log p = phi + c.

    Attributes
    ----------
    names : list of str
        Names of the parameters.
    differentiable : bool
        Whether phi is smooth in x.
    tilts_noise : bool
        Whether phi + c is log p - log q instead: features that are bounded, say, have no density
        of their own.
    ridge : float
        Least ridge: of features that are nearly collinear, 1/n, a prior variance of one.
    """

    names: list[str]
    differentiable: bool = True
    tilts_noise: bool = False
    ridge: float = 0.0

    @abstractmethod
    def phi(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return phi of each row, (n,)."""

    @abstractmethod
    def slope(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the gradient of phi with respect to x, (n, d)."""

    def reporting_map(self) -> np.ndarray:
        """Return M, (p + 1, p + 1), from fitted (theta, c) to reported (theta, log Z = -c)."""
        return np.diag(np.append(np.ones(len(self.names)), -1.0))


class Statistics(Form):
    """phi(x) = T(x)'theta."""

    @abstractmethod
    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the statistics of each row, (n, p)."""

    def phi(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return T(x)'coef of each row, (n,)."""
        return self.transform(X) @ coef
