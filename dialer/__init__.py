"""The dialer: everything that is not pacing itself."""

import os

# The products of small matrices in here gain nothing from further threads, and waiting for those costs more than the
# products themselves. Numpy reads this when it is loaded; where it is set already, somebody knows better.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
