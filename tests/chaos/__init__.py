"""Random load, random kills, and then every promise is checked against what clients saw and what is on disk.

`world` is two servers on the same threads, `client` somebody as patient as an SDK, `load` what clients do, `killer`
what is done to the processes, `told` what everybody was told and when, `evidence` what is there at the end, `promises`
what must hold between the two, and `report` how that is said. `python -m tests.chaos` goes on for minutes.
"""
