"""Tables of a known law: numbers, point masses, categories, holes, a long tail, a bent relation."""

import numpy as np
import pandas as pd


def draw(n, rng):
    group = rng.choice(["a", "b", "c", "d"], n, p=[0.5, 0.3, 0.15, 0.05])
    age = rng.normal(40, 10, n) + 8 * (group == "b")
    pay = np.where(rng.uniform(size=n) < 0.3, 0.0, np.exp(0.05 * age + rng.normal(0, 0.4, n)))
    tail = rng.standard_t(2, n)
    frame = pd.DataFrame(
        {
            "group": group,
            "age": age,
            "pay": np.round(pay, 2),
            "kids": rng.poisson(1 + 0.02 * np.maximum(age, 0)),
            "tail": tail,
            "bent": np.abs(tail) + 0.5 * rng.normal(size=n),
            "city": rng.choice([f"city {k}" for k in range(30)], n),
        }
    )
    frame.loc[rng.uniform(size=n) < 0.1, "age"] = np.nan
    return frame
