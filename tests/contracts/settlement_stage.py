"""A settlement on stage: people, channels, two tokens, and the model beside the bytecode.

Every act is done twice, to the model and to the contract, and whatever can be seen of both is compared.
"""

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from functools import cache, partial
from typing import Any, Final

from eth_abi.abi import encode
from eth_hash.auto import keccak
from tests.contracts import digests
from tests.contracts.accounts import TestAccount, high_s, key_of
from tests.contracts.codec import Codec, Reverted
from tests.contracts.model_settlement import Config, Happened, Money, Refused, Row, SettlementModel
from tests.contracts.world import DOLLAR, ZERO, Contract, Done, World

from nearcast.chain.artifacts import Artifact

FOREVER: Final = 2**256 - 1
LARGEST_ALLOWANCE: Final = 2**255
HONEST: Final = "signed"
FORGERIES: Final = (
    "by a stranger",
    "high s",
    "of another channel",
    "of another contract",
    "of another chain",
    "of another ceiling",
    "compact",
    "empty",
    "too long",
    "v of 0 or 1",
    "all zeros",
)


class Stage:
    """`settlement` is the contract under test: the packaged one, or a broken variant that must be found out."""

    def __init__(self, world: World, settlement: Artifact | None = None) -> None:
        self.world = world
        people = world.accounts
        self.payers, self.receivers = people[1:3], people[3:5]
        self.session_key, self.authorizer, self.stranger = people[5:8]
        if settlement is None:
            self.settlement = world.settlement
            self.by_allowance, self.by_signature = world.allowance_collector, world.erc3009_collector
        else:
            self.settlement = world.deploy(settlement)
            self.by_allowance = world.deploy("AllowanceDepositCollector", self.settlement)
            self.by_signature = world.deploy("ERC3009DepositCollector", self.settlement)
        second = world.deploy("TestUSDC", people[0], people, 10_000 * DOLLAR)
        self.tokens = [world.token, second]
        for token in self.tokens:
            for person in people:
                token.transact("approve", self.by_allowance, LARGEST_ALLOWANCE, sender=person)
        self.domain = digests.settlement_domain(self.settlement.address)
        self.configs = self._configs()
        self.ids = [digests.channel_id(self.domain, config) for config in self.configs]
        self.keys = {person.address: person for person in (*people, key_of("nobody"))}
        self.keys[ZERO] = key_of("nobody")
        self.watched = [person.address for person in people]
        self.watched += [self.settlement.address, self.by_allowance.address, self.by_signature.address]
        self.model = SettlementModel(
            self.settlement.address,
            {
                token.address: Money({one: token.call("balanceOf", one) for one in self.watched})
                for token in self.tokens
            },
        )
        self.signed: dict[bytes, int] = {}  # the most that a channel's payer has ever signed
        self.used_salts: set[tuple[bytes, int]] = set()

    def again(self) -> "Stage":
        """The same stage before anything was played on it; the world's state is the caller's to bring back."""
        stage = copy(self)
        stage.model, stage.signed, stage.used_salts = deepcopy(self.model), {}, set()
        return stage

    def _money(self, token: Contract) -> Money:
        return Money({one: token.call("balanceOf", one) for one in self.watched})

    def _configs(self) -> list[Config]:
        (one, other), (shop, rival) = self.payers, self.receivers
        first, second = (token.address for token in self.tokens)
        agent, key = self.authorizer.address, self.session_key.address

        def config(payer: TestAccount, signer: bytes, receiver: TestAccount, by: bytes, *rest: Any) -> Config:
            return Config(payer.address, signer, receiver.address, by, *rest)

        return [
            config(one, ZERO, shop, shop.address, first, 900, bytes(32)),
            config(one, ZERO, shop, shop.address, first, 900, bytes(31) + b"\1"),
            config(one, key, shop, agent, first, 3_600, bytes(32)),
            config(other, ZERO, shop, agent, first, 86_400, bytes(32)),
            config(other, key, rival, rival.address, second, 900, bytes(32)),
            config(one, ZERO, rival, agent, first, 30 * 86_400, bytes(32)),
            config(shop, ZERO, shop, shop.address, first, 900, bytes(32)),  # pays itself
            config(one, ZERO, shop, shop.address, first, 899, bytes(32)),  # too little time to answer
            config(one, ZERO, shop, ZERO, first, 900, bytes(32)),  # nobody could speak for the receiver
        ]

    # --- signatures ----------------------------------------------------------------------------------------------

    def voucher(self, at: int, ceiling: int, kind: str = HONEST) -> bytes:
        """The payer's word on a ceiling, or something that only looks like it."""
        config, channel = self.configs[at], self.ids[at]
        signer = self.keys[config.payer_authorizer if any(config.payer_authorizer) else config.payer]
        good = signer.sign(digests.voucher_digest(self.domain, channel, ceiling))
        if kind == HONEST:
            self.signed[channel] = max(self.signed.get(channel, 0), ceiling)
            return good
        if kind in _SHAPES:
            return _SHAPES[kind](good)
        if kind == "by a stranger":
            return self.stranger.sign(digests.voucher_digest(self.domain, channel, ceiling))
        if kind == "of another ceiling":
            self.signed[channel] = max(self.signed.get(channel, 0), max(0, ceiling - 1))
            return signer.sign(digests.voucher_digest(self.domain, channel, max(0, ceiling - 1) or 2**127))
        domain = self.domain
        if kind == "of another channel":
            channel = digests.channel_id(domain, config._replace(salt=keccak(b"another")))
        if kind == "of another contract":
            domain = digests.settlement_domain(self.tokens[0].address)
        if kind == "of another chain":
            domain = digests.settlement_domain(self.settlement.address, chain_id=1)
        return signer.sign(digests.voucher_digest(domain, channel, ceiling))

    def row(self, at: int, ceiling: int, wanted: int, kind: str = HONEST) -> tuple[Any, Row]:
        """A row as the contract takes it, and as the model does."""
        config = self.configs[at]
        sent = ((config, ceiling), self.voucher(at, ceiling, kind), wanted)
        return sent, Row(self.ids[at], config, ceiling, kind == HONEST, wanted)

    def batch_digest(self, rows: Sequence[Row]) -> bytes:
        """What the receiver's authorizer signs for these rows."""
        return digests.claim_batch_digest(self.domain, [(row.channel, row.ceiling, row.wanted) for row in rows])

    # --- acts ----------------------------------------------------------------------------------------------------

    def pay_in_by_allowance(self, at: int, units: int, sender: TestAccount | None = None) -> None:
        """The payer, or someone who would like to be, pays in what he allowed."""
        config = self.configs[at]
        person = sender or self.keys[config.payer]

        def expected() -> Happened:
            if person.address != config.payer:
                raise Refused("NotThePayer")
            happened = self.model.deposit(self.by_allowance.address, self.ids[at], config, units)
            money = self.model.tokens[config.token]
            money.move(config.payer, self.settlement.address, units, self.by_allowance.address)
            self.model.deposited(self.ids[at], units)
            return happened

        self.both(expected, lambda: self.by_allowance.transact("deposit", config, units, sender=person))

    def pay_in_by_signature(self, at: int, units: int, salt: int, *, signed_for: int | None = None) -> None:
        """Anyone sends the payer's authorization, which may be used already or meant for another channel."""
        config = self.configs[at]
        meant = self.ids[at if signed_for is None else signed_for]
        nonce = keccak(encode(["bytes32", "uint256"], [meant, salt]))
        digest = digests.receive_digest(config.token, config.payer, self.by_signature, units, 0, FOREVER, nonce)
        signature = self.keys[config.payer].sign(digest)
        data = encode(["uint256", "uint256", "uint256", "bytes"], [0, FOREVER, salt, signature])

        def expected() -> Happened:
            happened = self.model.deposit(self.stranger.address, self.ids[at], config, units)
            money = self.model.tokens[config.token]
            if money.frozen & {config.payer, self.by_signature.address}:
                raise Refused("Blacklistable: account is blacklisted")
            if (self.ids[at], salt) in self.used_salts:
                raise Refused("FiatTokenV2: authorization is used or canceled")
            if meant != self.ids[at]:
                raise Refused("FiatTokenV2: invalid signature")
            money.move(config.payer, self.settlement.address, units)
            self.used_salts.add((self.ids[at], salt))
            self.model.deposited(self.ids[at], units)
            return happened

        args = (config, units, self.by_signature, data)
        self.both(expected, lambda: self.settlement.transact("deposit", *args, sender=self.stranger))

    def freeze(self, token: int, who: bytes, frozen: bool) -> None:
        """The dollar's own blacklist."""
        word = "blacklist" if frozen else "unBlacklist"
        self.tokens[token].transact(word, who, sender=self.world.accounts[0])
        names = self.model.tokens[self.tokens[token].address].frozen
        names.add(who) if frozen else names.discard(who)

    def give_away(self, token: int, units: int) -> None:
        """Somebody sends units to the settlement itself: they belong to nobody, and must harm nobody."""
        money = self.model.tokens[self.tokens[token].address]
        giver = self.stranger
        if not money.frozen & {giver.address, self.settlement.address}:
            money.move(giver.address, self.settlement.address, units)
            self.tokens[token].transact("transfer", self.settlement, units, sender=giver)

    # --- comparing -----------------------------------------------------------------------------------------------

    def both(self, expected: Callable[[], Happened], act: Callable[[], Done]) -> bool:
        """Do it to both. The same error or the same events; and after a refusal nothing has changed. True: done."""
        before = deepcopy(self.model)
        refused = error = ""
        events: list[Any] = []
        wanted: Happened = []
        try:
            wanted = expected()
        except Refused as refusal:
            refused = str(refusal)
            self.model = before
        try:
            events = [self._plain(event) for event in act().events if event.contract == self.settlement.name]
        except Reverted as reverted:
            error = str(reverted.values[0]) if reverted.name == "Error" else reverted.name or "no words"
        assert error == refused
        assert events == wanted
        return not error

    def compare(self) -> None:
        """Everything that can be seen of the contract and its tokens is as in the model."""
        assert self.views() == self.foreseen()

    def stored(self) -> list[Any]:
        """The same as `views` out of storage: asking all views after every step would take longer than the step."""
        read = partial(self.world.read_struct, self.settlement, "BatchSettlement")
        values: list[Any] = []
        for channel in self.ids:
            here, leaving = read("_channels", channel), read("pendingWithdrawals", channel)
            values.append((here["balance"], here["totalClaimed"]))
            values += [(leaving["amount"], leaving["initiatedAt"]), here["refundNonce"]]
        for account in self._accounts():
            sums = read("receivers", *account)
            values.append((sums["totalClaimed"], sums["totalSettled"]))
        return values + [self.balance(token, one) for token in self.tokens for one in self.watched]

    def views(self) -> list[Any]:
        """Of the bytecode: channels, exits, refund nonces; receivers; balances of everybody watched."""
        names = ("channels", "pendingWithdrawals", "refundNonce")
        asked: list[tuple[str, tuple[bytes, ...]]] = [(name, (channel,)) for channel in self.ids for name in names]
        asked += [("receivers", account) for account in self._accounts()]
        calls = [self.settlement.encode(name, *args) for name, args in asked]
        answers = self.settlement.call("multicall", calls)
        decode = self.settlement.codec.decode_result
        values = [decode(name, len(args), data) for (name, args), data in zip(asked, answers, strict=True)]
        return values + [self.balance(token, one) for token in self.tokens for one in self.watched]

    def foreseen(self) -> list[Any]:
        """The same of the model."""
        values: list[Any] = []
        for channel in self.ids:
            here = self.model.of(channel)
            values += [(here.balance, here.claimed), (here.leaving, here.leaving_since_s), here.refund_nonce]
        for account in self._accounts():
            values.append((self.model.claimed.get(account, 0), self.model.settled.get(account, 0)))
        return values + [
            self.model.tokens[token.address].balances.get(one, 0) for token in self.tokens for one in self.watched
        ]

    def balance(self, token: Contract, who: bytes) -> int:
        """Units of a dollar, read out of its storage: a view call for everybody after every step would take longer."""
        return self.world.read_word(token, "TestUSDC", "_balances", who) & ~(1 << 255)

    def _accounts(self) -> list[tuple[bytes, bytes]]:
        return [(person.address, token.address) for person in self.receivers for token in self.tokens]

    def _plain(self, event: Any) -> tuple[str, tuple[Any, ...]]:
        """An event with the reason of a skipped row by its name."""
        if event.name != "ClaimSkipped":
            return event.name, tuple(event.args)
        return event.name, (event.channelId, reasons(self.settlement.codec)[event.reason])


@cache
def reasons(codec: Codec) -> dict[bytes, str]:
    """Selector of an error to its name."""
    return {selector: str(entry["name"]) for selector, entry in codec.errors.items()}


_SHAPES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "high s": high_s,
    "compact": lambda good: (
        good[:32] + (int.from_bytes(good[32:64], "big") | (good[64] - 27) << 255).to_bytes(32, "big")
    ),
    "empty": lambda good: b"",
    "too long": lambda good: good + b"\0",
    "v of 0 or 1": lambda good: good[:64] + bytes([good[64] - 27]),
    "all zeros": lambda good: bytes(64) + b"\x1b",
}
