"""Every error code of the vendor's own type is known: none of them falls through to "try again"."""

import json
import typing

import pytest
from openai.types.responses.response_error import ResponseError

from mediascribe.errors import PermanentError, RateLimitedError, StopRunError, TransientError
from mediascribe.wire import Answer
from mediascribe.wire.faults import fault

CODES = typing.get_args(ResponseError.model_fields["code"].annotation)
AGAIN = {
    "server_error": TransientError,
    "vector_store_timeout": TransientError,
    "rate_limit_exceeded": RateLimitedError,
}
STOPS = {"data_residency_mismatch"}
SAFETY = {"invalid_prompt", "bio_policy", "misalignment_policy_violation", "image_content_policy_violation"}


@pytest.mark.parametrize("code", CODES)
def test_a_failed_response_is_read_by_its_code(code):
    """Policies and bad images fail their row, wherever the gateway puts the error; residency ends the run."""
    body = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    error = fault(Answer(status=200, headers={"content-type": "application/json"}, body=body))
    expected = StopRunError if code in STOPS else AGAIN.get(code, PermanentError)
    assert type(error) is expected
    if expected is PermanentError:
        assert error.failure.error_class == ("safety" if code in SAFETY else "media")
