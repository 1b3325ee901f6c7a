"""When, and in what order: one file per Prefect flow, and the command line.

Before Arrow is loaded, its memory is set to come from the C library, in every process that runs a flow or a command:
Arrow's own allocator keeps what it had at its peak, which comes to a quarter of all that a run takes.
"""

import os

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
