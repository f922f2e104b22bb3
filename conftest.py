"""For all tests: one BLAS thread per process, since pytest itself runs one process per core.

Threads of small matrix products that outnumber the cores wait for one another by spinning, which
can make a test twenty times slower.
"""

import numpy as np  # noqa: F401  (the limit holds for libraries that are loaded)
import scipy.linalg  # noqa: F401
from threadpoolctl import threadpool_limits

threadpool_limits(1)
