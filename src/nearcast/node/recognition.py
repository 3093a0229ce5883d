"""Whether governance recognises this node's operator as an origin, followed while the node runs."""

import asyncio
from typing import Final

from nearcast.chain.bindings.origins import Origins
from nearcast.errors import NearcastError
from nearcast.telemetry import Telemetry

LOOK_S: Final = 60.0  # a recognition comes out of a vote of days; guess
NAMESPACES_MAX: Final = 1_000  # looked through in one round, in calls of a batch; guess: years of votes


class Recognition:
    """Nothing is recognised before the chain said so; an endpoint that fails changes nothing."""

    def __init__(self, origins: Origins, operator: bytes, telemetry: Telemetry) -> None:
        self._origins = origins
        self._operator = operator
        self._telemetry = telemetry
        self.labels: tuple[str, ...] = ()

    def is_recognised(self) -> bool:
        """In any publisher's namespace, as of the last look."""
        return bool(self.labels)

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask the chain once."""
        try:
            namespaces = (await self._origins.namespaces())[:NAMESPACES_MAX]
            asked = [("isRecognised", (each.namespace_id, self._operator)) for each in namespaces]
            answers = await self._origins.read_many(asked) if asked else []
        except NearcastError as error:
            self._telemetry.event("recognition-unread", reason=error.message)
            return
        self.labels = tuple(each.label for each, is_so in zip(namespaces, answers, strict=True) if is_so)
