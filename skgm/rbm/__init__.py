"""Restricted Boltzmann machines with a likelihood."""

from skgm.rbm._bernoulli import BernoulliRBMCD
from skgm.rbm._log_partition import LogPartition
from skgm.rbm._sampling import SamplingDiagnostics, sampling_diagnostics

__all__ = ["BernoulliRBMCD", "LogPartition", "SamplingDiagnostics", "sampling_diagnostics"]
