"""What the machine of nodes, blacklist and court does with its hands: every act twice, to contract and model."""

from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from typing import Any, ClassVar

from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis.stateful import RuleBasedStateMachine
from tests.contracts.codec import Reverted
from tests.contracts.digests import offer_digest
from tests.contracts.model_court import EVERYWHERE, BlacklistModel, CourtModel, SignedOffer
from tests.contracts.registrations import Node, node_of, sign
from tests.contracts.stake_model import Refused, StakeModel
from tests.contracts.world import DAY_S, Contract, Done, World

OPERATORS = (1, 2)
CHALLENGERS = (4, 5)
GUARDIAN, BODY, STRANGER = 0, 6, 7
ROOTS = [bytes(keccak(b"root %d" % number)) for number in range(2)]
CLIENTS = [bytes(keccak(b"client %d" % number)[:20]) for number in range(2)]
REGIONS = [b"DE", b"FR"]
SCOPES = [EVERYWHERE, EVERYWHERE, *REGIONS]


class CourtPlay(RuleBasedStateMachine):
    """`set_world` is asked for a world, in which a contract under test may stand in another's place."""

    set_world: ClassVar[Callable[[], World]]

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()
        self.world = self.undo.enter_context(type(self).set_world().fork())
        self.blacklist = BlacklistModel()
        self.model = CourtModel(StakeModel(), self.blacklist)
        self.nodes: dict[int, Node] = {n: node_of(self.world, n, mbps=100 * n, region=b"DE") for n in OPERATORS}
        self.offers: list[tuple[Any, bytes, bytes, SignedOffer]] = []
        self.effective: dict[tuple[bytes, bytes, int], int] = {}
        self.spent = 0

    def teardown(self) -> None:
        self.undo.close()

    def both(self, expected: Callable[[], Any], act: Callable[[], Done]) -> Done | None:
        """Do it to the model and the contract: the same refusal, or none; the events are returned."""
        before, refused, error, done = deepcopy(self.model), "", "", None
        try:
            expected()
        except Refused as refusal:
            refused = str(refusal)
            self.model = before
            self.blacklist = before.blacklist
        try:
            done = act()
        except Reverted as reverted:
            error = reverted.name
        assert error == refused, f"the contract: {error!r}; the model: {refused!r}"
        return done

    @property
    def now_s(self) -> int:
        return self.world.now_s

    def govern(self, contract: Contract, function: str, *args: Any) -> Done:
        return contract.transact(function, *args, sender=self.world.timelock)

    def record(self, n: int, node: Node, function: str) -> None:
        """Register or update; a region stays for a month, a hot key for ever."""
        now_s = self.now_s
        signed = sign(self.world, node)

        def expected() -> None:
            history = self.model.regions.setdefault(n, [])
            if function == "register":
                self.model.stakes.register(n, node.mbps, now_s)
            else:
                self.model.stakes.update(n, node.mbps, now_s)
            if not history or history[-1][1] != node.region:
                if history and now_s < history[-1][0] + 30 * DAY_S:
                    raise Refused("RegionTooSoon")
                history.append((now_s, node.region))
            self.model.use_key(n, node.hot_key.address, now_s)

        done = self.both(expected, lambda: self.world.registry.transact(function, *signed.args, sender=node.operator))
        if done is not None:
            self.nodes[n] = node

    def list_as(
        self, who: int | None, right: Any, only: str, expected: Callable[[], None], function: str, *args: Any
    ) -> None:
        """By whoever may, or by someone who may not."""
        world = self.world
        sender = right if who is None else world.accounts[who]
        may = sender is right or getattr(right, "address", b"") == sender.address

        def judged() -> None:
            if not may:
                raise Refused(only)
            expected()

        self.both(judged, lambda: world.blacklist.transact(function, *args, sender=sender))

    def evidence(self, one: int, other: int, scope: bytes, is_pair: bool) -> tuple[Any, ...]:
        """(its kind, the offers, the scope): by these the model knows it."""
        count = len(self.offers)
        return ("pair", one % count, other % count) if is_pair else ("single", one % count, scope)

    def hash_of(self, evidence: tuple[Any, ...]) -> bytes:
        court = self.world.court.address
        first = offer_digest(court, self.offers[evidence[1]][0])
        if evidence[0] == "single":
            return bytes(keccak(bytes(32) + first + evidence[2] + bytes(30)))
        return bytes(keccak(bytes(31) + b"\1" + first + offer_digest(court, self.offers[evidence[2]][0])))

    def commit_to(self, n: int, evidence: tuple[Any, ...]) -> None:
        """Under a salt that is the challenger's own."""
        challenger, now_s = self.world.accounts[n], self.now_s
        announced = keccak(bytes(12) + challenger.address + self.hash_of(evidence) + bytes(31) + bytes([n]))

        def expected() -> None:
            self.model.commit(n, self.hash_of(evidence), now_s)

        self.both(expected, lambda: self.world.court.transact("commit", announced, [], sender=challenger))

    def reveal_to(self, n: int, evidence: tuple[Any, ...]) -> None:
        challenger, now_s, announced = self.world.accounts[n], self.now_s, self.hash_of(evidence)
        made, signature, header, seen = self.offers[evidence[1]]
        salt = bytes(31) + bytes([n])
        amounts: list[int] = []
        if evidence[0] == "single":
            args: tuple[Any, ...] = (made, signature, header, evidence[2], salt)
            function = "revealBlacklisted"

            def expected() -> None:
                amounts.append(self.model.reveal_blacklisted(n, announced, seen, evidence[2], now_s))
        else:
            later, later_signature, later_header, later_seen = self.offers[evidence[2]]
            args = (made, signature, later, later_signature, later_header, salt)
            function = "revealEquivocation"

            def expected() -> None:
                amounts.append(self.model.reveal_equivocation(n, announced, seen, later_seen, now_s))

        before = sum(sum(self.world.registry.call("stakeOf", self.nodes[each])) for each in OPERATORS)
        done = self.both(expected, lambda: self.world.court.transact(function, *args, sender=challenger))
        if done is None:
            return
        after = sum(sum(self.world.registry.call("stakeOf", self.nodes[each])) for each in OPERATORS)
        assert before - after == amounts[0]
        if convicted := done.named("Convicted"):
            assert convicted[0].amount == amounts[0]
            assert convicted[0].reward * 2 <= convicted[0].amount  # inv_reward_le_half
        else:
            assert len(done.named("AlreadyPunished")) == 1

    def added(self) -> list[Any]:
        """The last `Added` of each entry, from the chain's own log."""
        codec, engine = self.world.blacklist.codec, self.world.engine
        topic = next(topic for topic, entry in codec.events.items() if entry["name"] == "Added")
        found = engine.get_logs(addresses=[self.world.blacklist.address], topics=[[topic]])
        return [codec.decode_event(event.log.topics, event.log.data) for event in found]


def root_of(rows: list[tuple[Any, ...]]) -> bytes:
    """The additive multiset hash of the listing (contracts/court/MultisetHash.sol says how), from its rows."""

    lanes = [0, 0, 0, 0]
    for row in rows:
        element = keccak(encode(["bytes32", "bytes2", "uint40", "uint40", "uint8", "uint8"], row))
        for lane in range(4):
            lanes[lane] += int.from_bytes(keccak(element + lane.to_bytes(32, "big")), "big")
    return bytes(keccak(b"".join((lane % 2**256).to_bytes(32, "big") for lane in lanes)))
