"""Cases of `tests.inference.families.cases`: family, parameters of two columns, scipy's pair."""

CASES = []
