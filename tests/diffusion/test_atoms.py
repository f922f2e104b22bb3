"""Point masses in columns of real numbers: their shares, and a density that counts them."""

import pickle

import numpy as np
import pandas as pd
import pytest

from skgm import DDPM, DensityClassifier
from skgm.diffusion._atoms import AtomColumns

QUICK = {"max_iter": 200, "random_state": 0}


def zeros_codes_and_limits(n, seed):
    """Zeros beside a positive number, a code, a limit, and a positive number, all dependent."""
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal(np.zeros(4), 0.5 * np.eye(4) + 0.5, n)
    gain = np.where(z[:, 0] < 1.0, 0.0, np.exp(z[:, 1]))
    code = np.where(z[:, 1] + rng.normal(size=n) < -1.0, -999.0, 50 + 10 * z[:, 2])
    return np.column_stack([gain, code, np.minimum(z[:, 2], 0.4), np.exp(z[:, 3])])


ATOMS = {"x0": [0.0], "x1": [-999.0], "x2": [0.4]}


@pytest.fixture(scope="module")
def X():
    return zeros_codes_and_limits(1500, 0)


@pytest.fixture(scope="module")
def model(X):
    return DDPM(**QUICK).fit(X)


def test_atoms_are_drawn_in_their_shares_and_nothing_is_negative(model, X):
    drawn = model.sample(4000, random_state=0)
    for j, (atom,) in enumerate(ATOMS.values()):
        assert (drawn[:, j] == atom).mean() == pytest.approx((X[:, j] == atom).mean(), abs=0.02)
    assert (drawn[:, 0] >= 0).all()
    assert np.corrcoef(drawn[:, 0] == 0, drawn[:, 2])[0, 1] == pytest.approx(
        np.corrcoef(X[:, 0] == 0, X[:, 2])[0, 1], abs=0.1
    )


def test_the_base_measure_counts_atoms(model):
    assert model.base_measure_ == {
        **{name: f"Lebesgue, and counting at {atoms}" for name, atoms in ATOMS.items()},
        "x3": "Lebesgue",
    }
    assert model.log_density_kind_ == "lower_bound"
    with pytest.raises(ValueError, match=r"Columns \['x0', 'x1', 'x2'.* atoms=None"):
        model.score_function(np.zeros((1, 4)))


def test_mass_and_density_sum_to_one(X):
    """The average over eight draws of the noise is a lower bound, here one of a few percent."""
    model = DDPM(**QUICK).fit(X[:, [0]])
    z = np.linspace(-9, 9, 1501)
    grid = np.exp(z)[:, None]
    density = np.exp(model.score_samples(grid) + z)
    mass = np.exp(model.score_samples([[0.0]]))[0]
    assert mass == pytest.approx((X[:, 0] == 0).mean(), abs=0.03)
    assert np.trapezoid(density, z) + mass == pytest.approx(1, abs=0.03)
    assert np.isneginf(model.score_samples([[-1.0]]))


def test_rows_at_atoms_have_one_value_and_are_completed(model, X):
    rows = X[:16]
    assert model.score_samples(rows)[:7] == pytest.approx(model.score_samples(rows[:7]), abs=1e-6)
    again = pickle.loads(pickle.dumps(model))
    assert (again.score_samples(rows) == model.score_samples(rows)).all()
    given = rows.copy()
    given[:8, 0], given[8:, 1:] = np.nan, np.nan
    filled = model.impute(given, random_state=0)
    known = ~np.isnan(given)
    assert filled[known] == pytest.approx(given[known], rel=1e-12)
    assert np.isfinite(filled).all()
    assert (filled[:8, 0] == 0).any()
    with pytest.raises(ValueError, match="value <= 0 in column 'x0'"):
        model.sample(given=[[-1.0, np.nan, np.nan, np.nan]])
    assert np.isfinite(model.elbo(rows))


@pytest.mark.slow
def test_frames_with_categories_and_whole_numbers_have_atoms_too(X):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(X[:, [0, 3]], columns=["gain", "size"])
    frame["kind"] = np.where(frame["gain"] > 0, "rich", rng.choice(["poor", "rich"], len(frame)))
    frame["count"] = rng.poisson(3, len(frame))
    model = DDPM(max_iter=60, random_state=0).fit(frame)
    drawn = model.sample(500, random_state=0)
    assert drawn.dtypes.equals(frame.dtypes)
    assert (drawn["gain"] == 0).mean() == pytest.approx((frame["gain"] == 0).mean(), abs=0.04)
    assert (drawn.loc[drawn["gain"] > 0, "kind"] == "rich").mean() > 0.9
    assert np.isfinite(model.score_samples(frame.head(20))).all()


def test_which_values_are_atoms(X):
    columns = [{"name": f"x{j}", "kind": "real"} for j in range(4)]

    def found(table, wanted="auto"):
        atoms = AtomColumns.learn(table, columns, None, wanted)
        return {} if atoms is None else atoms.masses(columns)

    assert found(X) == ATOMS
    assert found(X, None) == {}
    assert found(X, {"x3": float(X[0, 3])}) == {"x3": [X[0, 3]]}
    assert found(np.round(X, 2)) == {}  # recorded to hundredths: cells, as in DensityChain
    assert found(np.random.default_rng(0).normal(size=(200, 4))) == {}
    for wanted, words in [({"z": 0}, "column 'z'"), ({0: np.unique(X[:, 0])}, "fewer than two")]:
        with pytest.raises(ValueError, match=words):
            found(X, wanted)


def test_classes_are_compared_over_one_base_measure(X):
    y = (X[:, 3] > 1).astype(int)
    classifier = DensityClassifier(DDPM(**QUICK)).fit(X[:300, [0, 2]], y[:300])
    assert all(set(d.base_measure_.values()) == {"Lebesgue"} for d in classifier.densities_)


def test_atoms_and_classes(X):
    y = np.where(X[:, 0] > 0, "some", "none")
    model = DDPM(max_iter=60, class_conditional=True, random_state=0).fit(X[:400, :2], y[:400])
    assert (model.predict(X[400:450, :2]) == y[400:450]).mean() > 0.9


def test_skewed_whole_numbers_are_learned_in_the_logarithm():
    """No pile at the least value, probabilities that sum to one, atoms among the counts."""
    rng = np.random.default_rng(0)
    count = np.floor(rng.lognormal(3, 1.0, 300))
    count[rng.random(300) < 0.3] = 0.0
    large = np.floor(rng.lognormal(10, 1.5, 300))
    options = {"integer_features": [0, 1], "max_iter": 1, "learning_rate": 1e-9, "random_state": 0}
    density = DDPM(**options).fit(np.column_stack([count, large]))
    drawn = density.sample(2000, random_state=0)
    assert (drawn == np.floor(drawn)).all()
    assert (drawn >= 0).all()
    assert (drawn[:, 1] <= large.min()).mean() < 0.01
    assert abs((drawn[:, 0] == 0).mean() - (count == 0).mean()) < 0.03
    one = DDPM(**options | {"integer_features": [0]}).fit(count[:, None])
    k = np.arange(3000.0)[:, None]
    # the mass at zero, .3, is an average over eight draws of noise
    assert np.logaddexp.reduce(one.score_samples(k)) == pytest.approx(0.0, abs=0.1)
    assert np.isneginf(one.score_samples([[2.5], [-1.0]])).all()
    given = [[3.0, np.nan], [np.nan, large[0]]]
    filled = density.impute(given, random_state=0)
    assert filled[0, 0] == 3.0
    assert filled[1, 1] == large[0]
    assert set(density.base_measure_.values()) == {"counting"}
