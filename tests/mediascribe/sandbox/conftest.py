"""A running sandbox, a client for it, and media made on the spot."""

from sandbox_fixtures import ask, ask_in, client, make, opened, samples, sandbox, served

__all__ = ["ask", "ask_in", "client", "make", "opened", "samples", "sandbox", "served"]
