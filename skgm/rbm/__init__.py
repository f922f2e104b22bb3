"""Restricted Boltzmann machines with a likelihood."""

from skgm.rbm._bernoulli import BernoulliRBMCD

__all__ = ["BernoulliRBMCD"]
