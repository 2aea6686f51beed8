"""Everything that knows torch and diffusers. Nothing is fetched here, ever; said before any library reads it."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")  # detectors come as .pth: read tensors, never run a pickle
