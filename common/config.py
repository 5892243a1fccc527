"""Settings that must be known before the first array is made.

``GPU`` is read once, when ``common.np`` is first imported. Set it before that import, or start Python with the
environment variable ``ATTENTION_GPU=1``.
"""

import os

GPU = os.environ.get("ATTENTION_GPU", "").strip().lower() in {"1", "true", "yes", "on"}
