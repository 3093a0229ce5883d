"""The simulator: the network's own code under invented time, invented networks and invented trouble, from one seed.

Level one (simulation.py) drives the pure machines of the overlay on an event heap: ten thousand peers. Level two runs
whole nodes on a loop with virtual time. docs/simulator.md tells how to run, write and replay a scenario.
"""
