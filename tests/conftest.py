"""Settings that scipy, BLAS and matplotlib read once, when they are imported."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn's checks of array API support ask for it
os.environ["MPLBACKEND"] = "agg"
# The tests are many small products: on a busy machine, threads that wait for each other, of BLAS or
# of OpenMP in scikit-learn, make them ten times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
