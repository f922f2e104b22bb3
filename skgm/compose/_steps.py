"""Steps with names: parameters, indexing and slices, as in scikit-learn's Pipeline."""

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from skgm._sklearn import BaseComposition

__all__ = ["NamedSteps"]


class NamedSteps(BaseComposition):
    """Mixin for a composition with constructor argument `steps` and fitted `pipeline_`."""

    steps: list[tuple[str, Any]]
    pipeline_: Pipeline
    log_jacobians: dict[str, Any] | None
    normalizer_draws: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the pipeline and, if `deep`, of its steps.

        Parameters
        ----------
        deep : bool, default=True
            Include the steps by name and their parameters as ``step__parameter``.

        Returns
        -------
        params : dict of str to object
            Parameter names mapped to their values.
        """
        return self._get_params("steps", deep=deep)

    def set_params(self, **params: Any) -> "NamedSteps":
        """Set parameters of the pipeline or of its steps, or replace steps by name.

        Parameters
        ----------
        **params : dict
            ``steps``, ``name`` of a step (to replace it) or ``name__parameter``.

        Returns
        -------
        self : estimator
            The pipeline.
        """
        self._set_params("steps", **params)
        return self

    @property
    def _current(self) -> Pipeline:
        """The fitted steps where there are, else those of the constructor."""
        return self.pipeline_ if hasattr(self, "pipeline_") else Pipeline(self.steps)

    @property
    def named_steps(self) -> Bunch:
        """The steps by name: the fitted ones after `fit`, those of `steps` before."""
        return self._current.named_steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: Any) -> Any:
        """Return a step by position or name; for a slice, a pipeline.

        A slice without the last step is a scikit-learn Pipeline of the transformers, fitted if
        this is; one with it is a DensityPipeline, not fitted.
        """
        steps = self._current.steps
        if not isinstance(index, slice) or len(steps) - 1 not in range(len(steps))[index]:
            return self._current[index]
        if index.step not in (1, None):
            raise ValueError("A slice of a pipeline must have a step of 1.")
        kept = [(name, step) for name, step in self.steps[index]]
        names = [name for name, _ in kept]
        custom = {k: v for k, v in self._custom.items() if k.split("__")[0] in names}
        return type(self)(
            kept, log_jacobians=custom or None, normalizer_draws=self.normalizer_draws
        )

    def _sk_visual_block_(self) -> Any:
        return Pipeline(self.steps)._sk_visual_block_()
