"""Restricted Boltzmann machines with a likelihood."""

from skgm.rbm._bernoulli import BernoulliRBMCD
from skgm.rbm._diagnostics import sampling_diagnostics
from skgm.rbm._log_partition import LogPartition
from skgm.rbm._tempering import SamplingDiagnostics

__all__ = ["BernoulliRBMCD", "LogPartition", "SamplingDiagnostics", "sampling_diagnostics"]
