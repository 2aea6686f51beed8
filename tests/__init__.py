"""Set before torch is imported anywhere: two threads on shared cores wait for each other at every small tensor, and
what takes a second alone takes half a minute."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
