"""One thread for BLAS in every test: the arrays are small, and two processes of two threads wait for one another."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for kernels and workers that tests start

import threadpoolctl

threadpoolctl.threadpool_limits(1)  # for this process, where numpy may have been loaded before
