"""The sandbox that the vendors' clients ask."""

from sandbox_fixtures import make, samples, sandbox, served

__all__ = ["make", "samples", "sandbox", "served"]
