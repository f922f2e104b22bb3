"""Torch modules as denoisers. Torch is an optional extra: without it these tests do not apply."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

from skgm import DDPM
from skgm.diffusion._network import Architecture, squash
from skgm.diffusion._torch import TorchDenoiser

torch = pytest.importorskip("torch", reason="torch is an optional extra: pip install 'skgm[torch]'")

# What torch deprecates inside itself is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")

X, Y = make_moons(120, noise=0.1, random_state=0)
SHORT = {"max_iter": 30, "random_state": 0}
ARCHITECTURE = Architecture(2, ())


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Small(torch.nn.Module):
    def __init__(self, n_columns, n_context, *, dropout=0.0):
        super().__init__()
        self.first = torch.nn.Linear(n_columns + n_context, 16)
        self.norm, self.drop = torch.nn.BatchNorm1d(16), torch.nn.Dropout(dropout)
        self.last = torch.nn.Linear(16, n_columns)
        torch.nn.init.normal_(self.first.weight)
        torch.nn.init.zeros_(self.last.weight)

    def forward(self, rows, context):
        hidden = self.norm(self.first(torch.cat([rows, context], dim=1)))
        return self.last(self.drop(torch.nn.functional.silu(hidden)))


class Deep(torch.nn.Module):
    def __init__(self, n_columns, n_context):
        super().__init__()
        self.first = torch.nn.Linear(n_columns + n_context, 64)
        self.middle = torch.nn.Linear(64, 64)
        self.last = torch.nn.Linear(64, n_columns)
        torch.nn.init.normal_(self.first.weight)
        torch.nn.init.zeros_(self.last.weight)

    def forward(self, rows, context):
        hidden = torch.nn.functional.silu(self.first(torch.cat([rows, context], dim=1)))
        return self.last(hidden + torch.nn.functional.silu(self.middle(hidden)))


class Linear(torch.nn.Module):
    """F = rows A' + context B', whose derivative is A."""

    def __init__(self, n_columns=2, n_context=8):
        super().__init__()
        self.rows = torch.nn.Linear(n_columns, n_columns, bias=False)
        self.context = torch.nn.Linear(n_context, n_columns, bias=False)

    def forward(self, rows, context):
        return self.rows(rows) + self.context(context)


def seeded_module(kind=Small, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(2, 8)


def test_value_and_derivatives_are_those_of_the_module():
    """A linear module by hand; the rest by central differences in float64."""
    module, phi, rng = seeded_module(Linear), 0.7, np.random.default_rng(0)
    u, w = rng.standard_normal((2, 7, 2)) * 3
    denoiser = TorchDenoiser(module, ARCHITECTURE, "v", np.float64)
    A, B = (p.detach().numpy().astype(float) for p in module.parameters())
    context = ARCHITECTURE.context(np.full(7, phi), None)
    value, along = denoiser.velocity_jvp(u, phi, w)
    assert_allclose(value, squash(u) @ A.T + context @ B.T, rtol=1e-12)
    assert_allclose(denoiser.velocity(u, phi), value, rtol=1e-12)
    step = 1e-6
    change = denoiser.velocity(u + step * w, phi) - denoiser.velocity(u - step * w, phi)
    assert_allclose(along, change / (2 * step), rtol=1e-7, atol=1e-8)
    gained = TorchDenoiser(module, ARCHITECTURE, "eps", np.float64)
    assert_allclose(gained.velocity(u, phi), -value / np.cos(phi), rtol=1e-12)
    assert denoiser.velocity(u, phi).dtype == np.float64


def test_rows_far_away_and_large_tables_are_finite_and_whole():
    denoiser = TorchDenoiser(seeded_module(Linear), ARCHITECTURE, "v", np.float64)
    u = np.random.default_rng(0).standard_normal((10_000, 2))
    phi = np.linspace(0.1, 1.5, 10_000)
    part = denoiser.velocity(u[9_000:], phi[9_000:])
    assert_allclose(denoiser.velocity(u, phi)[9_000:], part, rtol=1e-12)
    assert np.isfinite(denoiser.velocity(np.array([[1e200, -1e200]]), 0.3)).all()


def test_a_linear_module_learns_the_gaussian_that_is_left():
    """Standardized, correlated normal rows: the likelihood is that of the normal; 0.02 nats."""
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    rows, unseen = (rng.multivariate_normal([0, 0], covariance, size=2000) for _ in range(2))

    class PerLevel(torch.nn.Module):  # off-diagonal entries that depend on the noise level
        def __init__(self, n_columns, n_context):
            super().__init__()
            self.weights = torch.nn.Linear(n_context, 32)
            self.entries = torch.nn.Linear(32, n_columns**2)
            torch.nn.init.zeros_(self.entries.weight)
            torch.nn.init.zeros_(self.entries.bias)

        def forward(self, rows, context):
            entries = self.entries(torch.tanh(self.weights(context)))
            return torch.einsum("nij,nj->ni", entries.reshape(-1, 2, 2), rows)

    model = DDPM(PerLevel, scaling="standard", max_iter=600, random_state=0).fit(rows)
    truth = -0.5 * np.einsum("ni,ij,nj->n", unseen, np.linalg.inv(covariance), unseen)
    truth -= np.log(2 * np.pi) + 0.5 * np.log(np.linalg.det(covariance))
    assert abs(model.score(unseen) - truth.mean()) < 0.02
    independent = DDPM(PerLevel, scaling="standard", max_iter=1, random_state=0).fit(rows)
    assert independent.score(unseen) < truth.mean() - 0.2


def test_it_learns_moons():
    rows, unseen = (make_moons(500, noise=0.1, random_state=seed)[0] for seed in (1, 2))
    model = DDPM(Deep, max_iter=600, random_state=0).fit(rows)
    gaussian = DDPM(Deep, max_iter=1, random_state=0).fit(rows)
    assert model.log_density_kind_ == "estimate"
    assert model.score(unseen) > gaussian.score(unseen) + 0.15
    bound, error = model.elbo(unseen, return_se=True)
    assert bound - 3 * error < model.score(unseen) + 0.05


def test_a_copy_is_trained_and_the_state_of_torch_stays_as_it_was():
    module = seeded_module()
    before, state = copy.deepcopy(module.state_dict()), torch.random.get_rng_state()
    model = DDPM(module, **SHORT).fit(X)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not torch.equal(model.denoiser_.first.weight, before["first.weight"])
    assert model.denoiser_.norm.num_batches_tracked > 0
    assert not model.denoiser_.training
    assert module.first.weight.requires_grad


def test_fits_are_reproducible_dropout_and_factory_included():
    def factory(n_columns, n_context):
        return Small(n_columns, n_context, dropout=0.5)

    first, second = (DDPM(factory, **SHORT).fit(X) for _ in range(2))
    assert_array_equal(first.score_samples(X), second.score_samples(X))
    assert_array_equal(first.sample(5, random_state=1), second.sample(5, random_state=1))
    other = DDPM(factory, max_iter=30, random_state=1).fit(X)
    assert np.abs(other.score_samples(X) - first.score_samples(X)).max() > 1e-6


def test_value_of_a_row_does_not_depend_on_its_batch():
    model = DDPM(Small, **SHORT).fit(X)
    alone = np.concatenate([model.score_samples(X[[i]]) for i in range(5)])
    assert_allclose(model.score_samples(X)[:5], alone, atol=1e-9)


def test_clone_and_pickle():
    model = DDPM(seeded_module(), **SHORT)
    copied = clone(model)
    assert copied.denoiser is not model.denoiser
    fitted, again = model.fit(X), copied.fit(X)
    assert_array_equal(fitted.score_samples(X), again.score_samples(X))
    restored = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(restored.score_samples(X), fitted.score_samples(X))


def test_classes():
    model = DDPM(Small, class_conditional=True, max_iter=200, random_state=0).fit(X, Y)
    assert model.denoiser_.first.in_features == 2 + 8 + 2
    assert (model.predict(X) == Y).mean() > 0.8
    assert model.sample(y=[0, 1], random_state=0).shape == (2, 2)


def test_early_stopping_restores_the_best_parameters():
    """The held-out loss of what is kept is that of the best look."""
    options = {"early_stopping": True, "n_iter_no_change": 2, "learning_rate": 0.3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = DDPM(Small, max_iter=300, random_state=0, **options).fit(X)
    assert np.argmax(model.validation_scores_) < len(model.validation_scores_) - 1
    assert np.isfinite(model.score_samples(X)).all()


def test_divergence_is_noticed_and_the_best_parameters_kept():
    with pytest.warns(ConvergenceWarning, match="Lower learning_rate"):
        model = DDPM(Small, max_iter=60, learning_rate=1e6, random_state=0).fit(X)
    assert np.isfinite(model.score_samples(X)).all()


def test_first_epochs_of_random_parameters_are_no_divergence():
    """F is not zero at the start: the loss is several times the Gaussian's, but no warning."""
    module = seeded_module(Linear)
    with torch.no_grad():
        module.rows.weight.copy_(2 * torch.eye(2))
    model = DDPM(module, random_state=0).partial_fit(X)
    assert model.loss_curve_[0] > 1.5


def test_partial_fit_and_warm_start_go_on():
    model = DDPM(seeded_module(), **SHORT)
    for part in np.split(X, 3):
        model.partial_fit(part)
    assert model.n_iter_ == 3
    assert model._optimizer["n_updates"] == 3
    warm = DDPM(Small, warm_start=True, learning_rate=1e-9, **SHORT).fit(X)
    first = warm.denoiser_.first.weight.clone()
    assert_allclose(warm.fit(X).denoiser_.first.weight, first, atol=1e-6)
    assert not torch.allclose(
        warm.set_params(random_state=5).fit(X).denoiser_.first.weight, first + 1
    )
    cold = DDPM(Small, learning_rate=1e-9, max_iter=30, random_state=1).fit(X)
    assert not torch.allclose(cold.denoiser_.first.weight, first, atol=1e-2)


class WrongShape(Linear):
    def forward(self, rows, context):
        return context


class NoForwardDerivative(Linear):
    def forward(self, rows, context):
        class Cube(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x**3

            @staticmethod
            def backward(ctx, gradient):
                return gradient

        return Cube.apply(super().forward(rows, context))


class NotFinite(Linear):
    def forward(self, rows, context):
        output = super().forward(rows, context)
        return output if self.training else output / 0


def test_wrong_modules_are_refused_by_name():
    with pytest.raises(ValueError, match=r"WrongShape returned shape \(60, 8\) for rows"):
        DDPM(WrongShape(), batch_size=60, **SHORT).fit(X)
    with pytest.raises(TypeError, match=r"must be a torch.nn.Module.* returned int"):
        DDPM(lambda n_columns, n_context: 3, **SHORT).fit(X)
    with pytest.raises(ValueError, match="no parameters to train"):
        DDPM(torch.nn.Identity(), **SHORT).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what they learn is not the question
        with pytest.raises(ValueError, match="NotFinite returned values that are not finite"):
            DDPM(NotFinite(), **SHORT).fit(X)
        model = DDPM(NoForwardDerivative(), **SHORT).fit(X)
    with pytest.raises(ValueError, match=r"NoForwardDerivative.*score_method='elbo'"):
        model.score_samples(X)
    assert np.isfinite(model.set_params(score_method="elbo").score_samples(X)).all()


def test_a_table_without_variation_needs_no_module():
    model = DDPM(Small, **SHORT).fit(np.ones((5, 2)))
    assert model.sample(3, random_state=0).shape == (3, 2)
