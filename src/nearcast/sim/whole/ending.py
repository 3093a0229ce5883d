"""The end of a world: it is healed, everything that was wanted is read, and all money goes where it belongs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearcast.sim.whole.acts import Acting
    from nearcast.sim.whole.world import World


class Ending:
    """The phases after the faults."""

    def __init__(self, world: "World", acting: "Acting") -> None:
        self._world = world
        self._acting = acting
        self._ground = world.ground

    async def heal(self) -> None:
        """All links are free, all disks good; who is down comes back."""
        self._ground.story.tell("world", "heals")
        self._ground.network.heal()
        for member in self._world.members.values():
            if member.life is not None:
                member.life.volume.failing = 0
                member.life.volume.crash_at = None
        for member in self._world.members.values():
            if member.node is None:
                await self._acting.restart(member)

    async def finish_fetches(self) -> None:
        pass

    async def settle(self) -> None:
        for member in self._world.members.values():
            await member.stop()
