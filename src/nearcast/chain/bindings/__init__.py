"""The contracts as typed objects: reads are awaited, writes are `Call`s that a `Sender` sends.

Token, Settlement, Registry, Origins, Blacklist, Court, Governor and Timelock stand in files of their own. Amounts are
units (1e-6 USDC), addresses 20 bytes, hashes 32, times unix seconds.
"""
