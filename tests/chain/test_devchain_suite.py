"""The suite of all chains, on the development chain."""

from tests.chain.chain_suite import *  # noqa: F403
