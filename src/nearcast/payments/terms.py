"""On what terms a node is paid: which chain, which contract, which token, and who receives."""

from dataclasses import dataclass

from nearcast.chain.deployment import Deployment
from nearcast.chain.eip712 import Domain
from nearcast.chain.vouchers import ChannelConfig, settlement_domain
from nearcast.errors import RefusedError

# A payer who withdraws has the channel's delay to wait, in which the payee must claim: blocks may be full or a node be
# off for a while. Guess: an hour outlasts a restart and any congestion seen on the rollups that we name.
WITHDRAW_DELAY_MIN_S = 3_600
WITHDRAW_DELAY_S = 86_400  # what a payer of ours puts into a channel: a day, x402's own default


@dataclass(frozen=True, slots=True)
class Terms:
    """One payee on one chain. Addresses are 20 bytes; `hot_key` signs its offers and its claims."""

    chain_id: int
    settlement: bytes
    token: bytes
    receiver: bytes
    hot_key: bytes

    @property
    def domain(self) -> Domain:
        """What channel ids and vouchers are signed for."""
        return settlement_domain(self.chain_id, self.settlement)

    def check(self, config: ChannelConfig) -> None:
        """RefusedError when a channel does not pay this payee in a way that it can claim."""
        if config.receiver != self.receiver:
            raise RefusedError("the channel pays somebody else")
        if config.token != self.token:
            raise RefusedError("the channel is in another token")
        if config.receiver_authorizer not in (self.hot_key, self.receiver):
            raise RefusedError("the channel's claims would have to be signed by a stranger")
        if config.withdraw_delay_s < WITHDRAW_DELAY_MIN_S:
            raise RefusedError(f"the channel's withdraw delay is under {WITHDRAW_DELAY_MIN_S} s")
        if config.payer == self.receiver:
            raise RefusedError("the channel pays from the node to itself")


def terms_of(deployment: Deployment, receiver: bytes, hot_key: bytes) -> Terms:
    """The terms of a payee on a chain of ours."""
    contracts = deployment.contracts
    return Terms(deployment.chain_id, contracts["BatchSettlement"], contracts["TestUSDC"], receiver, hot_key)
