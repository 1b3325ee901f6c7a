"""Names: what spans and metrics are called.

`gen_ai.*`, `server.*`, `error.type` and the buckets are those of OpenTelemetry's semantic conventions for generative AI
(status: development), in the shape that collectors know: `gen_ai.client.operation.duration` and
`gen_ai.client.token.usage`. They are written here, since the package of the conventions has them as deprecated names.
All else is our own, under `mediascribe.`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPE: Final = "mediascribe"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - of a language model
ERROR: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"
ADDRESS: Final = "server.address"
PORT: Final = "server.port"
JOB: Final = "mediascribe.job"

DURATION_S: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - of a language model

DURATION_BUCKETS_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS: Final = tuple(4**power for power in range(14))

# By dialect: whose format is spoken, which need not be who answers, and what its conventions call the operation.
SPOKEN: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "chat": ("openai", "chat"),
        "responses": ("openai", "chat"),
        "messages": ("anthropic", "chat"),
        "generate_content": ("gcp.gen_ai", "generate_content"),
    }
)
