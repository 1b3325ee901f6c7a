"""Which tests are wide, and left out of the quick run: many cases, or a gateway, media or processes of their own."""

from pathlib import Path

import pytest
from hypothesis import settings

# No test asserts how long it takes: another's work on the same cores is no defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_ITS_OWN = [Path(__file__).parent / "mediascribe" / name for name in ("fleet", "media", "sandbox")]


def pytest_collection_modifyitems(items):
    for item in items:
        hypothesis = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if hypothesis or any(folder in item.path.parents for folder in _ITS_OWN):
            item.add_marker(pytest.mark.wide)
