"""Settings of the tests that train."""

import os

# Before PyTorch is imported: threads that wait for each other on a busy machine made a test of 20 s take 120 s.
os.environ.setdefault("OMP_NUM_THREADS", "1")
