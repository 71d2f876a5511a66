"""What all tests share: how hypothesis looks for counterexamples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: the machine may be busy, and coverage slows all. On CI the same examples every time, so that a red run
# is about the change; elsewhere new ones.
settings.register_profile(
    "transship",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("transship")
