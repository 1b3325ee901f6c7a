"""The sandbox: an embedded gateway for development, tests and demos. No model is behind it.

It speaks the gateway's four dialects (chat completions, responses, messages, generateContent), streamed or not, fetches
or decodes the media that it is given, looks at the real bytes, charges the documented token rules, keeps a ledger of
what it billed, and can be told to misbehave:

    with Sandbox(samples=Path("data/samples")) as sandbox:
        sandbox.behave("*", Behaviour(requests_per_minute=60, faults=(Fault("http_500", rate=0.1),)))
        ...  # ask sandbox.url with sandbox.api_key
        billed = sum(entry.nano_usd for entry in sandbox.ledger())

`behaviour.py` says how the same is spelled in a model's name, `server.py` has the routes, `faults.py` the faults, and
each dialect has a module. The keys sk-expired, sk-disabled, sk-used-up and sk-empty are refused as the gateway refuses
such keys. It listens on loopback only, unless told otherwise, and is a stranger to the client: it shares nothing with
it but the error tree.
"""

from __future__ import annotations

from mediascribe.sandbox.behaviour import Behaviour, Fault
from mediascribe.sandbox.billing import Billing
from mediascribe.sandbox.ledger import Entry, Seen
from mediascribe.sandbox.running import Sandbox, serve

__all__ = ["Behaviour", "Billing", "Entry", "Fault", "Sandbox", "Seen", "serve"]
