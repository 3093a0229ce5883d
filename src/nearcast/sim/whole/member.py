"""One node of a simulated world, from its first start over crashes and restarts to its end.

Each life has a folder and a disk of its own. A crash makes the folder of the next life out of what was on the disk
(crash_image.py), takes the node off the network at once, and lets its tasks die where nobody sees it.
"""

import asyncio
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from nearcast.chain.hot_key import HOT_KEY_FILE
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.config import Config, QuicConfig
from nearcast.errors import NearcastError
from nearcast.keys import Identity
from nearcast.node.assembly import IDENTITY_FILE, run_node
from nearcast.node.money_wish import MoneyWish
from nearcast.node.outside import Outside
from nearcast.node.running import Node
from nearcast.sim.whole.crash_image import make_image
from nearcast.sim.whole.ground import Ground, MemberClock
from nearcast.sim.whole.liar import LyingStore
from nearcast.sim.whole.network import Host
from nearcast.sim.whole.volume import Volume
from nearcast.sim.whole.watching import WHO
from nearcast.transport.base import Endpoint, PeerAddress
from nearcast.transport.memory import MemoryEndpoint

START_S_MAX: Final = 60.0  # a node that is not up by then never will be; its chain may be out of reach for that long


class MemberError(NearcastError):
    """A node ended by an error that is no NearcastError: a bug in it."""


@dataclass(eq=False)
class Life:
    """From one start to the stop or crash. `node` while it is up; `users`: tasks of its user, which go with it."""

    folder: Path
    volume: Volume
    ending: asyncio.Event
    is_dead: bool = False
    endpoint: MemoryEndpoint | None = None
    node: Node | None = None
    task: asyncio.Task[None] | None = None
    users: dict[asyncio.Task[Any], None] = field(default_factory=dict)

    def end_users(self) -> None:
        """What its user was doing ends."""
        for task in self.users:
            task.cancel()


@dataclass(eq=False)
class Member:
    """`config` is without its data folder. `wallet`: whose money it is; None: it has none."""

    ground: Ground
    name: str
    role: str
    host: Host
    location: str
    identity: Identity
    hot: Signer
    config: Config
    clock: MemberClock
    wallet: Signer | None = None
    life: Life | None = None
    lives: int = 0
    is_cut_from_chain: bool = False
    informed_since_s: float = 0.0  # since when it is up and reaches the chain without a break
    up: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        folder = self._folder(0)
        folder.mkdir()
        for name, secret in ((IDENTITY_FILE, self.identity.secret), (HOT_KEY_FILE, self.hot.secret)):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(f"{secret.hex()}\n")
        if self.wallet is not None:
            (folder / "wallet.json").touch()

    @property
    def address(self) -> PeerAddress:
        """Where it is, whether it is up or not."""
        return PeerAddress(self.identity.endpoint_id, (self.location,))

    @property
    def node(self) -> Node | None:
        """The running node, or None while there is none."""
        return None if self.life is None else self.life.node

    @property
    def folder(self) -> Path:
        """Where its newest life is or was."""
        return self._folder(max(0, self.lives - 1)) if self.life else self._folder(self.lives)

    def _folder(self, life: int) -> Path:
        return self.ground.root / f"{self.name}-{life}"

    def start(self) -> Life:
        """Begin a life; `up` is set when the node is there."""
        assert self.life is None
        folder = self._folder(self.lives)
        volume = Volume(folder, self.ground.root / f"attic-{self.name}-{self.lives}", self.ground.rng)
        self.ground.disk.volumes[folder.name] = volume
        life = self.life = Life(folder, volume, asyncio.Event())
        volume.on_crash = lambda: self.crash(life)
        self.lives += 1
        self.ground.story.tell(self.name, f"starts, life {self.lives}")
        life.task = self.ground.group.create_task(self._live(life), name=self.name)
        return life

    async def stop(self) -> None:
        """End in good order; its next life begins where this one ends."""
        life = self.life
        if life is None or life.task is None:
            return
        self.ground.story.tell(self.name, "stops")
        life.end_users()
        life.ending.set()
        await asyncio.wait([life.task])

    def crash(self, life: Life | None = None) -> None:
        """The power goes, now. Nothing that it still does is seen by anybody."""
        life = life or self.life
        if life is None or life.is_dead:
            return
        self.ground.story.tell(self.name, f"crashes after {life.volume.operations} operations on its disk")
        life.is_dead = True
        make_image(life.volume, self._folder(self.lives))
        life.volume.is_dead = True
        if life.endpoint is not None:
            self.ground.network.cut_off(life.endpoint)
        self._over(life)
        life.end_users()
        assert life.task is not None
        life.task.cancel()

    def _over(self, life: Life) -> None:
        life.node = None
        if self.life is life:
            self.life = None
            self.up.clear()

    async def _live(self, life: Life) -> None:
        WHO.set(self.name)
        try:
            await self._run(life)
        except asyncio.CancelledError:
            if not life.is_dead:
                raise
        except Exception as error:  # noqa: BLE001 - _fell tells a bug from a failure
            if not life.is_dead:
                self._fell(life, error)
        finally:
            self._over(life)
            self.ground.disk.volumes.pop(life.folder.name, None)
            if life.is_dead:
                shutil.rmtree(life.folder, ignore_errors=True)
            shutil.rmtree(life.volume.attic, ignore_errors=True)

    async def _run(self, life: Life) -> None:
        config = replace(self.config, data_dir=life.folder)
        wallet = self.wallet
        wish = MoneyWish(config, None if wallet is None else lambda: wallet, pays=wallet is not None)
        outside = Outside(lambda identity, _quic: self._bind(life, identity, _quic), lambda _url, _id: self._rpc(life))
        async with run_node(config, http=False, clock=self.clock, money=wish, outside=outside) as node:
            node.telemetry.listen(lambda event, fields: self._heard(life, event, fields))
            if self.role == "liar":  # before the first connection, which keeps the store that it finds
                withholds = self.name.endswith(("1", "3", "5", "7", "9"))
                node.store = LyingStore(node.store, withholds=withholds)  # type: ignore[assignment]
            life.node = node
            self.informed_since_s = max(self.informed_since_s, self.ground.loop.time())
            self.up.set()
            self.ground.story.tell(self.name, "is up")
            await life.ending.wait()
        if not life.is_dead:
            self.ground.disk.volumes.pop(life.folder.name, None)
            shutil.copytree(life.folder, self._folder(self.lives))

    async def _bind(self, life: Life, identity: Identity, _config: QuicConfig) -> Endpoint:
        assert identity == self.identity, "a crash has lost the node's own key"
        life.endpoint = self.ground.network.place(identity, self.host, self.location)
        return life.endpoint

    def _rpc(self, life: Life) -> JsonRpc:
        return self.ground.chain.rpc(lambda: life.is_dead or self.is_cut_from_chain)

    def _heard(self, life: Life, event: str, fields: dict[str, object]) -> None:
        if not life.is_dead:
            self.ground.story.note(self.name, event)
            self.ground.on_event(self.name, event, fields)

    def _fell(self, life: Life, error: Exception) -> None:
        """It ended by itself; its folder is as it left it. A disk that refuses is a reason, a bug is not."""
        self.ground.story.tell(self.name, f"ends by itself: {type(error).__name__}: {error}")
        if not isinstance(error, NearcastError):
            raise MemberError(f"{self.name} ended by {type(error).__name__}: {error}") from error
        if life.endpoint is not None:
            self.ground.network.cut_off(life.endpoint)
        shutil.copytree(life.folder, self._folder(self.lives))
        self.ground.on_fall(self.name, error)
