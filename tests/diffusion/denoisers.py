"""Denoisers whose data distribution is known: the references of the tests."""

import numpy as np


class GaussianDenoiser:
    """The exact denoiser of N(mean, covariance)."""

    def __init__(self, mean, covariance):
        self.mean, self.covariance = np.asarray(mean, float), np.asarray(covariance, float)

    def matrix(self, phi):
        """J = s c (C - I) (c^2 C + s^2 I)^-1: E[s z - c e | u] for jointly normal z, e, u."""
        c, s, unit = np.cos(phi), np.sin(phi), np.eye(len(self.mean))
        return (
            s * c * (self.covariance - unit) @ np.linalg.inv(c**2 * self.covariance + s**2 * unit)
        )

    def velocity(self, u, phi, condition=None):
        return np.sin(phi) * self.mean + (u - np.cos(phi) * self.mean) @ self.matrix(phi).T

    def velocity_jvp(self, u, phi, w, condition=None):
        return self.velocity(u, phi), w @ self.matrix(phi).T


class MixtureDenoiser:
    """The exact denoiser of a mixture of N(center, width^2 I), in plain numpy."""

    def __init__(self, centers, width):
        self.centers, self.width = np.asarray(centers, float), width

    def velocity(self, u, phi, condition=None):
        c, s = np.cos(phi), np.sin(phi)
        total = c**2 * self.width**2 + s**2
        squares = ((u[:, None, :] - c * self.centers) ** 2).sum(axis=2)
        share = np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)) / total)
        center = share @ self.centers / share.sum(axis=1, keepdims=True)
        data = center + c * self.width**2 / total * (u - c * center)
        return (data - c * u) / s

    def log_density(self, x):
        squares = ((x[:, None, :] - self.centers) ** 2).sum(axis=2) / self.width**2
        d = x.shape[1]
        log_normal = -0.5 * squares - d * np.log(self.width) - 0.5 * d * np.log(2 * np.pi)
        return np.log(np.mean(np.exp(log_normal), axis=1))

    def draw(self, n, rng):
        rows = self.centers[rng.integers(len(self.centers), size=n)]
        return rows + self.width * rng.standard_normal(rows.shape)


class SmoothMixtureDenoiser(MixtureDenoiser):
    """The same with directional derivatives, by central differences."""

    def velocity_jvp(self, u, phi, w, condition=None):
        step = 1e-5
        ends = [self.velocity(u + sign * step * w, phi) for sign in (-1, 1)]
        return self.velocity(u, phi), (ends[1] - ends[0]) / (2 * step)

    def posterior_covariance(self, u, phi):
        """Cov[z | u], (n, d, d): within a component, and between their means."""
        c, s = np.cos(phi), np.sin(phi)
        total = c**2 * self.width**2 + s**2
        squares = ((u[:, None, :] - c * self.centers) ** 2).sum(axis=2)
        share = np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)) / total)
        share /= share.sum(axis=1, keepdims=True)
        means = (s**2 * self.centers + c * self.width**2 * u[:, None, :]) / total
        off = means - (share[:, :, None] * means).sum(axis=1, keepdims=True)
        between = np.einsum("nk,nki,nkj->nij", share, off, off)
        return between + self.width**2 * s**2 / total * np.eye(u.shape[1])
