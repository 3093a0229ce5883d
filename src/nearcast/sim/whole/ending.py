"""The end of a world: it is healed, everything that was wanted is read, and all money goes where it belongs.

Each of it has to happen within the wishes' liveness_s. What was promised and never told (its payer crashed, or a link
broke) is told at the next meeting, so every payer meets each of its payees once more. Then payers take back what is
left of their channels, which makes the payees claim, and the books and the chain must agree to the unit.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.channels import CHANNELS_FILE, ChannelBook, OwnChannel
from nearcast.chain.deployment import DEV
from nearcast.sim.whole import taker
from nearcast.sim.whole.acts import Want
from nearcast.sim.whole.auditing import check_money, figures_of
from nearcast.sim.whole.invariants import BrokenError
from nearcast.sim.whole.member import Member

if TYPE_CHECKING:
    from nearcast.sim.whole.acts import Acting
    from nearcast.sim.whole.world import World

PAUSE_S: Final = 5.0  # between two tries, and two looks at the chain
MEETING_BYTES: Final = 4_096  # of what is read at the last meeting
MEETINGS_MAX: Final = 5  # rounds of them; a relay's own channel is opened in the first
CLAIMING_S: Final = 30.0  # for vouchers of the last meeting to be on disk and seen by a poll (10 s)


@dataclass(frozen=True, slots=True)
class _Channel:
    payer: Member
    payee: Member
    own: OwnChannel


class Ending:
    """The phases after the faults."""

    def __init__(self, world: "World", acting: "Acting") -> None:
        self._world = world
        self._acting = acting
        self._ground = world.ground
        self._settlement = Settlement(world.ground.chain.rpc(), DEV.contracts["BatchSettlement"])
        self._deadline_s = world.ground.loop.time() + world.wishes.liveness_s

    async def heal(self) -> None:
        """All links are free, all disks good; who is down comes back."""
        self._ground.story.tell("world", "heals")
        self._ground.network.heal()
        for member in self._world.members.values():
            if member.life is not None:
                member.life.volume.failing = 0
                member.life.volume.crash_at = None
            member.is_cut_from_chain = False
        for member in self._world.members.values():
            if member.node is None:
                await self._acting.restart(member)
            if member.node is None:
                raise BrokenError(f"liveness: {member.name} does not start any more")

    async def finish_fetches(self) -> None:
        """Whatever was not read is read, unless it may not be (it was listed) or only a liar has it."""
        for want in self._acting.unfinished:
            if want.thing.listed_s is None and not self._is_a_liars(want):
                await self._read(want)

    async def settle(self) -> None:
        """Everything promised is claimed and paid out, the rest goes back, and all of it adds up."""
        channels = await self._met()
        await asyncio.sleep(CLAIMING_S)
        for is_cache in (False, True):  # caches go on earning until their payers are done
            some = [channel for channel in channels if (channel.payer.role == "cache") is is_cache]
            for name in dict.fromkeys(channel.payer.name for channel in some if not is_cache):
                await self._world.members[name].stop()
            for channel in some:
                await self._take_back(channel)
            for channel in some:
                await self._until_claimed(channel)
        for member in self._world.members.values():
            await member.stop()
        await self._pay_out(channels)
        await check_money(self._ground.chain, self._world.members.values(), is_settled=True)
        figures = await figures_of(self._ground.chain)
        self._world.counts["channels"] = len(figures.channels)
        self._world.counts["units deposited"] = figures.deposited_units
        self._world.counts["units earned"] = figures.claimed_units
        if figures.held_units:
            raise BrokenError(f"conservation: {figures.held_units} units are left in the contract at the end")

    # Fetches.

    def _is_a_liars(self, want: Want) -> bool:
        return all(self._world.members[each].role == "liar" for each in want.thing.holders)

    async def _read(self, want: Want) -> None:
        while not await self._acting.read(want):
            if self._ground.loop.time() > self._deadline_s:
                raise BrokenError(f"liveness: {want.reader} cannot read {want.thing.root} though all is healed")
            await asyncio.sleep(PAUSE_S)

    # Money.

    async def _met(self) -> list[_Channel]:
        """All channels, once each payer has met each of its payees; a meeting may open another one."""
        met: list[_Channel] = []
        for _ in range(MEETINGS_MAX):
            channels = self._channels()
            known = {each.own.channel_id for each in met}
            fresh = [each for each in channels if each.own.channel_id not in known]
            if not fresh:
                return channels
            for channel in fresh:
                await self._meet(channel)
            met = channels
        raise BrokenError(f"liveness: payers open channels again and again, {len(met)} by now")

    def _channels(self) -> list[_Channel]:
        by_wallet = {each.wallet.address: each for each in self._world.members.values() if each.wallet is not None}
        found: list[_Channel] = []
        for member in by_wallet.values():
            path = member.folder / "chain" / str(DEV.chain_id) / CHANNELS_FILE
            if path.exists() and member.wallet is not None:
                with ChannelBook.open(path) as book:
                    own = book.of_payer(member.wallet.address)
                found += [_Channel(member, by_wallet[each.config.receiver], each) for each in own]
        return found

    async def _meet(self, channel: _Channel) -> None:
        """The payer reads something from the payee, which thereby sees its newest voucher."""
        thing = await self._acting.publish(channel.payee, MEETING_BYTES)
        if thing is None:
            raise BrokenError(f"liveness: {channel.payee.name} cannot publish though its disk is good again")
        want = Want(channel.payer.name, thing, (channel.payee.name,))
        if channel.payee.role == "liar" or channel.payer.role == taker.ROLE:
            await self._acting.read(want)
        else:
            await self._read(want)

    async def _take_back(self, channel: _Channel) -> None:
        state = await self._settlement.channel(channel.own.channel_id)
        if state.available_units > 0 and channel.payer.wallet is not None:
            call = self._settlement.initiate_withdraw(channel.own.config, state.available_units)
            self._ground.chain.act(channel.payer.wallet, call)

    async def _until_claimed(self, channel: _Channel) -> None:
        """All that its payer ever promised on it."""
        path = channel.payer.folder / "chain" / str(DEV.chain_id) / CHANNELS_FILE
        with ChannelBook.open(path) as book:
            own = book.get(channel.own.channel_id)
        promised_units = own.signed_units if own is not None else 0
        while (state := await self._settlement.channel(channel.own.channel_id)).claimed_units < promised_units:
            if self._ground.loop.time() > self._deadline_s:
                raise BrokenError(
                    f"liveness: {channel.payee.name} claimed {state.claimed_units} of {promised_units} units that"
                    f" {channel.payer.name} promised and takes back"
                )
            await asyncio.sleep(PAUSE_S)

    async def _pay_out(self, channels: list[_Channel]) -> None:
        """The delay passes, and the payers get their rest."""
        delays_s = [channel.own.config.withdraw_delay_s for channel in channels]
        self._ground.chain.travel(max(delays_s, default=0) + 1)
        for channel in channels:
            state = await self._settlement.channel(channel.own.channel_id)
            if state.withdraw_begun_at and channel.payer.wallet is not None:
                call = self._settlement.finalize_withdraw(channel.own.config)
                self._ground.chain.act(channel.payer.wallet, call)
