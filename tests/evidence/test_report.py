"""The report: faults are named, faithful tables are not accused, figures are right."""

import html.parser
import json
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.datasets import load_wine

from skgm import GaussianMixtureDensity, TableReport, report
from skgm.evidence._copies import find_copies, nearest_records
from skgm.evidence._joint import area
from skgm.evidence._margins import compare_margins, special_values
from skgm.evidence._pairs import compare_associations, compare_pairs
from skgm.tables._coded import read_tables
from tests.evidence.tables import draw


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return draw(500, rng), draw(500, rng)


# No false alarms, and the right ones


@pytest.mark.parametrize("seed", range(4))
def test_a_faithful_table_is_not_accused(seed):
    rng = np.random.default_rng(seed)
    n, m = [(500, 500), (120, 500), (500, 120), (60, 60)][seed]
    assert TableReport(draw(n, rng), draw(m, rng), draw(n // 2, rng), target="group").warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200, 1000])
def test_faithful_tables_are_not_accused_over_seeds(n):
    # one alarm in a thousand is promised: none in 60, but with probability 0.06
    for seed in range(60):
        rng = np.random.default_rng(seed)
        assert TableReport(draw(n, rng), draw(n, rng), draw(n, rng)).warnings == ()


def test_p_values_of_associations_are_uniform_at_most():
    # 40 tables: with the least of 7 columns, times 7, the share below 0.2 is 0.2 at most; 4.5
    # standard errors of sqrt(.16 / 40) are 0.28
    least = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = compare_associations(read_tables(draw(150, rng), draw(150, rng)), rng)
        least.append(7 * min(entry.pvalue for entry in found))
    assert np.mean(np.array(least) < 0.2) < 0.48


@pytest.mark.parametrize("column", ["pay", "bent", "group"])
def test_a_shuffled_column_is_named_first(pair, column):
    real, synthetic = pair[0], pair[1].copy()
    if column == "group":  # a strong relation for it
        for frame in (real := real.copy(), synthetic):
            frame["city"] = frame["group"].map({"a": "p", "b": "q", "c": "p", "d": "q"})
    synthetic[column] = np.random.default_rng(1).permutation(synthetic[column])
    first = TableReport(real, synthetic).warnings[0]
    assert first.part == "pairs"
    assert repr(column) in first.text
    assert "relation" in first.text


def test_a_dropped_category_is_named_first(pair):
    real, synthetic = pair
    for gone in (synthetic[synthetic["group"] != "d"], synthetic.replace({"group": {"b": "a"}})):
        value = "'d'" if len(gone) < len(synthetic) else "'b'"
        first = TableReport(real, gone).warnings[0]
        assert f"Column 'group' has lost the category {value}" in first.text


def test_copied_rows_are_named_first(pair):
    real, synthetic = pair[0], pair[1].copy()
    synthetic.iloc[20:30] = real.iloc[:10]
    found = TableReport(real, synthetic)
    assert found.warnings[0].text.startswith("10 synthetic rows are copied")
    assert found.copies.rows == tuple(range(20, 30))
    assert found.copies.sources == tuple(range(10))


def test_the_three_faults_of_a_rounded_table():
    frame = load_wine(as_frame=True).frame.astype({"target": str})
    real, synthetic = frame[::2], frame[1::2].reset_index(drop=True)
    copied = synthetic.copy()
    copied.iloc[:10] = real.iloc[:10].to_numpy()
    assert TableReport(real, copied.astype(frame.dtypes)).warnings[0].part == "copies"
    gone = synthetic[synthetic["target"] != "2"]
    assert "lost the category '2'" in TableReport(real, gone).warnings[0].text
    shuffled = synthetic.copy()
    shuffled["flavanoids"] = np.random.default_rng(0).permutation(shuffled["flavanoids"])
    first = TableReport(real, shuffled).warnings[0]
    assert first.columns[0] == "flavanoids"


def prepared(n, rng):
    x = rng.normal(size=n)
    frame = pd.DataFrame({"x": x, "y": 0.6 * x + 0.8 * rng.normal(size=n)})
    frame["lab"] = np.where(rng.random(n) < 0.15, -999.0, rng.normal(10, 2, n).round(1))
    frame["hole"] = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    frame["job"] = rng.choice(["a", "b", "rare"], n, p=[0.6, 0.38, 0.02])
    frame["kids"] = rng.poisson(1.3, n)
    frame["day"] = np.datetime64("2021-01-01") + rng.integers(0, 365, n)
    return frame


def smeared(frame):
    noise = np.random.default_rng(5).normal(0, 40, len(frame))
    return np.where(frame["lab"] == -999, (frame["lab"] + noise).round(1), frame["lab"])


FAULTS = {
    "a scale": (lambda f: {"x": 1.4 * f["x"], "y": 1.4 * f["y"]}, "times as wide as that"),
    "holes filled": (lambda f: {"hole": f["hole"].fillna(0.0)}, "'hole' is missing in 0.00% of"),
    "a code smeared": (lambda f: {"lab": smeared(f)}, "'lab' is -999 in 0.00% of the synthetic"),
    "a correlation": (lambda f: {"y": f["y"].to_numpy()[::-1]}, "lost its relation to"),
    "a sign": (lambda f: {"y": -f["y"]}, "is otherwise related to"),
    "a rare category": (
        lambda f: {"job": f["job"].where(np.arange(len(f)) > 60, "rare")},
        "'rare' is 1",
    ),
    "a year": (lambda f: {"day": f["day"] + pd.Timedelta(days=365)}, "median is 2022"),
    "fractions": (lambda f: {"kids": (f["kids"] + f["x"].abs() / 9).round(2)}, "more decimals"),
    "rounding": (lambda f: {"x": f["x"].round(1)}, "fewer decimals than the real ones in 'x'"),
    "one value": (lambda f: {"kids": 1}, "it is always 1"),
    "one row far out": (
        lambda f: {"x": f["x"].where(np.arange(len(f)) > 0, 1e6)},
        "'x' exceeds the largest real value",
    ),
    "few rows repeated": (
        lambda f: {name: f[name].iloc[np.arange(len(f)) % 50].to_numpy() for name in f},
        "rows repeat another synthetic row",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_warning_names_a_prepared_fault(fault):
    rng = np.random.default_rng(0)
    real, fresh = prepared(500, rng), prepared(500, rng)
    change, words = FAULTS[fault]
    found = TableReport(real, fresh.assign(**change(fresh)))
    assert words in str(found.warnings[0])


def test_far_values_of_long_tails_are_no_faults():
    # of 400 largest values with their p-values none is below 1e-4, but with probability 0.04
    rng = np.random.default_rng(0)
    least = 1.0
    for _ in range(100):
        pair = (pd.DataFrame({"c": rng.standard_cauchy(300)}) for _ in range(2))
        found = special_values(read_tables(*pair), 0.95)
        least = min([least, *(entry.pvalue for entry in found)])
    assert least > 1e-4


def test_rows_that_repeat_by_nature_are_no_copies():
    rng = np.random.default_rng(0)
    real, synthetic = (pd.DataFrame(rng.integers(0, 3, (400, 3)).astype(str)) for _ in range(2))
    found = TableReport(real, synthetic)
    assert found.copies.n_exact > 300
    assert found.warnings == ()


def test_decimal_fractions_that_differ_in_binary_are_equal():
    draw = np.random.default_rng(0)
    real, synthetic = (
        pd.DataFrame({"fare": draw.choice([3, 28, 55], 400) * 0.1, "km": draw.normal(size=400)})
        for _ in range(2)
    )
    assert not np.isin(0.1 * 28, [2.8])
    for a, b in [(real, synthetic.round({"fare": 1})), (real.round({"fare": 1}), synthetic)]:
        assert TableReport(a, b, random_state=0).warnings == ()


def test_other_faults_are_found(pair):
    real, synthetic = pair[0], pair[1].copy()
    synthetic.loc[:150, "kids"] = -3
    synthetic["age"] = synthetic["age"].fillna(40)
    synthetic["pay"] = synthetic["pay"] + 0.123456
    texts = " ".join(map(str, TableReport(real, synthetic).warnings))
    assert "'kids'" in texts
    assert "'age' is missing in 0.00%" in texts
    assert "'pay' (0.01)" in texts
    lacking = TableReport(real, synthetic.drop(columns="city"))
    assert lacking.lacking == ("city",)
    assert "lacks columns of the real one: 'city'" in lacking.warnings[0].text


# Figures


def test_distances_are_those_of_scipy_and_of_the_definition(pair):
    real, synthetic = pair
    found = {margin.column: margin for margin in TableReport(real, synthetic).margins}
    x, z = (frame["age"].dropna() for frame in pair)
    assert found["age"].distance == pytest.approx(stats.ks_2samp(x, z).statistic, abs=1e-12)
    shares = pd.concat([f["city"].value_counts(normalize=True) for f in pair], axis=1).fillna(0)
    apart = shares.diff(axis=1).iloc[:, 1].abs().sum() / 2
    assert found["city"].distance == pytest.approx(apart, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_intervals_of_distances_cover(shift):
    # at least 95% of 100 intervals, with 4.5 standard errors of sqrt(.05 * .95 / 100) = 0.022
    true_ks = 2 * stats.norm.cdf(shift / 2) - 1
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.3, 0.2]) + shift * np.array([0.2, 0, -0.2])
    hits = np.zeros(2)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        real, drawn = (
            pd.DataFrame({"x": rng.normal(mean, size=80), "c": rng.choice(list("abc"), 80, p=law)})
            for mean, law in ((0, p), (shift, q))
        )
        x, c = compare_margins(read_tables(real, drawn), 0.95)
        hits += [x.low <= true_ks <= x.high, c.low <= np.abs(p - q).sum() / 2 <= c.high]
    assert (hits / 100 > 0.95 - 4.5 * 0.022).all()


def test_shape_and_trend_are_those_of_sdmetrics(pair):
    reports = pytest.importorskip("sdmetrics.reports.single_table")
    real, synthetic = (frame.assign(city=frame["city"].str[:6]) for frame in pair)
    kinds = {"group": "categorical", "city": "categorical"}
    columns = {name: {"sdtype": kinds.get(name, "numerical")} for name in real}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = reports.QualityReport()
        theirs.real_correlation_threshold = theirs.real_association_threshold = 0  # all pairs
        theirs.generate(real, synthetic, {"columns": columns}, verbose=False)
    ours = TableReport(real, synthetic)
    shapes = theirs.get_details("Column Shapes").set_index("Column")["Score"]
    for margin in ours.margins:
        assert margin.shape == pytest.approx(shapes[margin.column], abs=1e-6)
    trends = theirs.get_details("Column Pair Trends")
    trends = trends.set_index(["Column 1", "Column 2"])["Score"]
    assert len(ours.pairs) == len(trends)
    for entry in ours.pairs:
        assert entry.trend == pytest.approx(trends[entry.first, entry.second], abs=1e-6)
    assert ours.trend == pytest.approx(trends.mean(), abs=1e-6)


def test_area_is_that_of_scikit_learn_and_its_error_of_the_bootstrap():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    score = np.round(y + rng.normal(0, 1.5, 300), 1)
    auc, error = area(score[y == 1], score[y == 0])
    assert auc == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    again = [rng.integers(0, 300, 300) for _ in range(400)]
    spread = np.std([roc_auc_score(y[rows], score[rows]) for rows in again])
    assert error == pytest.approx(spread, rel=0.16)  # 4.5 / sqrt(2 * 400)


def test_correlations_have_the_errors_of_the_bootstrap(pair):
    tables = read_tables(pair[0][["age", "pay"]].dropna(), pair[1][["age", "pay"]].dropna())
    (entry,) = compare_pairs(tables, 0.95, np.random.default_rng(0))
    rng = np.random.default_rng(0)

    def difference():
        parts = [t[rng.integers(0, len(t), len(t))] for t in (tables.real, tables.synthetic)]
        return np.diff([np.corrcoef(part.T)[0, 1] for part in parts])[0]

    spread = np.std([difference() for _ in range(400)])
    assert (entry.high - entry.low) / (2 * 1.96) == pytest.approx(spread, rel=0.2)


def test_nearest_records_tell_a_copy_machine_from_fresh_rows():
    rng = np.random.default_rng(0)
    real, holdout, fresh = rng.normal(size=(3, 300, 4))
    honest = nearest_records(read_tables(real, fresh, holdout), 0.95, rng)
    assert honest.low < 0.5 < honest.high
    noisy = real + 0.01 * rng.normal(size=real.shape)
    copied = nearest_records(read_tables(real, noisy, holdout), 0.95, rng)
    assert copied.share > 0.9
    assert copied.pvalue < 1e-6
    assert find_copies(read_tables(real, noisy), 0.95).n_exact == 0


def test_special_values(pair):
    # 99 rows: of a hundred, the decay of the tail would be measured as well
    real = pd.DataFrame({"x": np.r_[np.zeros(40), np.linspace(1, 2, 59)]})
    drawn = pd.DataFrame({"x": np.r_[np.zeros(5), np.linspace(1, 2, 90), 9.0, 9.5, 9.7, 9.8, 10]})
    found = {entry.kind: entry for entry in special_values(read_tables(real, drawn), 0.95)}
    assert (found["point mass"].real, found["point mass"].synthetic) == (40 / 99, 0.05)
    # the five largest of 199 exchangeable rows are all of the second table
    chance = np.prod([(100 - k) / (199 - k) for k in range(5)])
    assert found["above the largest"].pvalue == pytest.approx(chance)


def test_density_is_judged_on_held_out_rows():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 3))
    real, holdout = rng.normal(size=(200, 3)) @ mixing, rng.normal(size=(150, 3)) @ mixing
    density = GaussianMixtureDensity(1).fit(real)
    found = TableReport(real, density.sample(200, random_state=0), holdout, density)
    assert found.warnings == ()
    assert found.likelihood.comparisons["independent columns"].low > 0
    assert found.likelihood.comparisons["one Gaussian"].difference == pytest.approx(0, abs=1e-6)
    assert len(found.calibration) == 3
    assert min(entry.pvalue for entry in found.calibration) > 1e-3
    wrong = GaussianMixtureDensity(1).fit(real * 3)
    texts = str(TableReport(real, wrong.sample(200, random_state=0), holdout, wrong))
    assert "The density predicts held-out rows worse than one Gaussian" in texts
    assert "given the other columns is too wide" in texts


# What it takes and what it gives


class Balanced(html.parser.HTMLParser):
    """Collects what a page loads, and asserts that its elements are closed."""

    VOID = {"meta", "path", "use", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.loaded = [], []

    def handle_starttag(self, tag, attributes):
        self.loaded += [v for k, v in attributes if k in ("src", "href") and not v.startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_whole_and_loads_nothing(pair, tmp_path):
    real, synthetic = (f.rename(columns={"age": "<b>&age $x$"}) for f in pair)
    found = report(real, synthetic, target="group")
    path = tmp_path / "report.html"
    text = found.to_html(path, title="A < B")
    assert path.read_text(encoding="utf-8") == text
    assert len(text) < 3e6
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert parser.loaded == []
    assert "<b>&age" not in text
    assert text.count("<svg") > 8
    assert "url(http" not in text
    assert "@import" not in text


def test_without_matplotlib_the_page_has_tables(pair, monkeypatch):
    found = TableReport(*pair)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = found.to_html()
    assert "<svg" not in text
    assert "Figures need matplotlib" in text
    assert "<td>city</td>" in text


def test_text_dict_and_frames(pair):
    found = TableReport(*pair)
    assert "no warnings" in str(found) == found.summary()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["classifier"]["auc"] == found.classifier.auc
    assert len(found.to_frame("pairs")) == 21
    assert list(found.to_frame())[:3] == ["column", "measure", "distance"]
    assert "<TableReport of 500" in repr(found)
    assert found._repr_html_().startswith("<pre>")
    again = TableReport(*pair)
    assert again.to_dict() == found.to_dict()


@pytest.mark.parametrize("part", ["margins", "classifier", "city", "age"])
def test_parts_are_drawn(pair, part):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert TableReport(*pair).plot(part, ax=ax) is ax
    assert ax.has_data()


def test_tables_of_any_library(pair):
    real, synthetic = pair
    ours = TableReport(real, synthetic).to_dict()
    theirs = TableReport(pl.from_pandas(real), pl.from_pandas(synthetic)).to_dict()
    assert theirs["margins"] == ours["margins"]
    rng = np.random.default_rng(0)
    array = rng.normal(size=(100, 2))
    assert TableReport(array, rng.normal(size=(90, 2)).tolist()).columns == ["x0", "x1"]
    named = pd.DataFrame(array, columns=["p", "q"])
    assert TableReport(named, rng.normal(size=(90, 2))).columns == ["p", "q"]


def test_dates_durations_booleans_and_empty_columns():
    rng = np.random.default_rng(0)

    def table(n):
        days = pd.to_timedelta(rng.integers(0, 500, n), unit="D")
        return pd.DataFrame(
            {
                "day": pd.Timestamp("2020-01-01") + days,
                "wait": days,
                "yes": rng.uniform(size=n) < 0.3,
                "none": np.full(n, np.nan),
                "one": 1.0,
                "kind": pd.Categorical(rng.choice(["u", "v"], n)),
            }
        )

    found = TableReport(table(80), table(70))
    assert found.warnings == ()
    assert [margin.column for margin in found.margins if margin.column == "day"] == ["day"]
    found.to_html()


def test_refusals(pair):
    real, synthetic = pair
    with pytest.raises(ValueError, match="share no column"):
        TableReport(real[["age"]], synthetic[["pay"]])
    with pytest.raises(ValueError, match="at least 10 rows; got 5"):
        TableReport(real, synthetic[:5])
    with pytest.raises(ValueError, match="'age' of synthetic holds values that are no numbers"):
        TableReport(real, synthetic.assign(age="old"))
    with pytest.raises(ValueError, match="'age' of synthetic holds infinity at row 0"):
        TableReport(real, synthetic.assign(age=np.inf))
    with pytest.raises(ValueError, match="target must be a shared column"):
        TableReport(real, synthetic, target="nothing")
    with pytest.raises(ValueError, match="pass them as holdout"):
        TableReport(real, synthetic, density=object())
    with pytest.raises(ValueError, match="part must be"):
        TableReport(real, synthetic).plot("nothing")


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_any_unit(unit):
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(2, 100, 2))
    plain, scaled = (TableReport(u * real, u * synthetic) for u in (1.0, unit))
    assert scaled.warnings == ()
    assert scaled.margins[0].distance == plain.margins[0].distance
    assert scaled.pairs[0].distance == pytest.approx(plain.pairs[0].distance, abs=1e-9)


def test_a_column_of_names_does_no_harm():
    rng = np.random.default_rng(0)
    real, synthetic = (
        pd.DataFrame({"name": [f"{side}{k}" for k in range(400)], "x": rng.normal(size=400)})
        for side in "ab"
    )
    found = TableReport(real, synthetic)
    assert found.warnings == ()
    found.to_html()
