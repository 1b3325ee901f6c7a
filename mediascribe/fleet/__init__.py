"""Fleet: one run on many processes or machines, under one quota and one budget.

The process that holds the output's lease is the *lead*; each process that asks about shards is a *member*. They speak
through the store alone: each member writes a note of its own, the lead reads them all and writes one object of grants.

Rules of this package:

1. Only the lead lends, and its epoch, the lease's, stands in every grant: a member that sees another epoch is lost.
2. What is lent of a quota at one time never comes to more than the quota. What is taken from one member is lent to the
   next once the first has said that it goes by the new grant, or once its old one has ended.
3. Nobody compares clocks: a grant names the note that the lead had read, and lives `LIFE_S` from the moment when the
   member began to write that note, on the member's clock; for the lead, from the moment when it had read it, and a
   second longer. So only the speed of the clocks has to agree, and no machine may sleep (a frozen process may).
4. A quota that is not used, or not renewed, comes back by itself. Money does not: what a dead member may have spent
   counts at its worst, for this run. Its journal could tell better, but not for sure: what it sent after the last
   shipping is not in the bucket, and a process that was frozen hears its answers later. The next start counts exactly.
5. Runs with the same key meet at a place in a store (`common.py`), and divide one quota in the same way. The lead there
   is one of them; rule 1 holds for it with one change: when it leaves or dies the members go by the next one's grants,
   which lends nothing before what the old one lent has ended, or is known.
"""
