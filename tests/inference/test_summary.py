"""The summary of a fit, as text and as HTML."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from skgm import MLEDensity

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.exponential(size=(30, 2)), columns=["wait <s>", "a & b"])


@pytest.fixture(params=["normal", "exponential", "multivariate_normal"])
def summary(request):
    return MLEDensity(request.param).fit(FRAME).summary(0.9)


def table_of_text(text):
    """The cells of the text table: the lines between the second and third rule of dashes."""
    lines = text.splitlines()
    rules = [i for i, line in enumerate(lines) if set(line) == {"-"}]
    return lines[rules[-2] + 1 : rules[-1]]


def test_text_has_title_facts_table_and_notes(summary):
    text = str(summary)
    lines = text.splitlines()
    assert lines[0].strip() == summary.title
    assert set(lines[1]) == {"="}
    for key, value in summary.facts.items():
        assert f"{key}: {value}" in text
    frame = summary.to_frame()
    rows = table_of_text(text)
    assert len(rows) == len(frame)
    for line, (label, row) in zip(rows, frame.iterrows(), strict=True):
        assert line.startswith(label)
        cells = line[len(label) :].split()
        for cell, value in zip(cells, row.iloc[:-1], strict=False):
            assert float(cell) == pytest.approx(value, rel=1e-5)
        assert line.rstrip().endswith(row["method"])
    assert "exact: from the exact distribution" in text[text.index("Notes:") :]
    assert max(map(len, lines)) <= 100


def test_html_has_the_same_content_and_is_well_formed(summary):
    html = summary.as_html()
    assert html == summary._repr_html_()
    facts, table = (root := ElementTree.fromstring(html)).findall("table")
    assert facts.find("caption").text == summary.title
    pairs = {row.find("th").text: row.find("td").text for row in facts.iter("tr")}
    assert pairs == summary.facts
    headers = [th.text for th in table.find("thead").iter("th")]
    assert headers[1:] == ["estimate", "std error", "[0.05", "0.95]", "method"]
    frame = summary.to_frame()
    rows = table.find("tbody").findall("tr")
    assert [row.find("th").text for row in rows] == list(frame.index)
    for row, (_, values) in zip(rows, frame.iterrows(), strict=True):
        cells = [td.text for td in row.findall("td")]
        assert np.allclose([float(c) for c in cells[:-1]], values.iloc[:-1].to_list(), rtol=1e-5)
        assert cells[-1] == values["method"]
    assert root.find("p").text.startswith("exact: from the exact distribution")


def test_a_boundary_estimate_has_a_dash_and_a_note():
    summary = MLEDensity("bernoulli").fit(np.zeros((10, 1))).summary()
    assert "edge of the parameter space" in str(summary)
    assert "score: the values" in str(summary)
    assert "<td>-</td>" in summary.as_html()
    inner = MLEDensity("bernoulli").fit(np.eye(2)[:, :1]).summary()
    assert "edge" not in str(inner)
