"""Level two of the simulator: whole nodes, with their stores and their money, in one process on virtual time.

sealing loop        no real time, chance or thread; asyncio whose clock is moved, not waited for
network disk chain  what nodes stand on, and how it fails
member              one node from its start over crashes and restarts to its end
watching invariants what the promises mean in numbers, checked on every step
world               everybody, and what is done to them
"""
