"""Which tests are wide: what takes many cases to say, or a whole gateway of one's own, is left out of the quick run."""

from pathlib import Path

import pytest
from hypothesis import settings

# No test asserts how long it takes: another's work on the same cores is no defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_SANDBOX = Path(__file__).parent / "mediascribe/sandbox"


def pytest_collection_modifyitems(items):
    for item in items:
        hypothesis = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if hypothesis or _SANDBOX in item.path.parents:
            item.add_marker(pytest.mark.wide)
