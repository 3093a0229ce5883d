"""What publishers do about their origins, and what is put to the vote about them."""

from typing import TYPE_CHECKING

from nearcast.cli.dry_run import Plan, ProposedCall
from nearcast.cli.hexwords import address_text, hash_text
from nearcast.cli.origin_views import namespace_of, status_of
from nearcast.cli.output import printable
from nearcast.cli.proposals import propose
from nearcast.cli.transacting import resume, transact
from nearcast.errors import RevertedError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

_DONE = {"propose": "proposed", "withdrawProposal": "withdrew", "renounce": "renounced"}


async def publish(session: "Session", function: str, label: str, operator: bytes) -> None:
    """One of the three acts of a publisher, who is the wallet."""
    effects = (f"{_DONE[function]}: {address_text(operator)} as an origin of the wallet's namespace {label!r}",)
    sent = await resume(session)
    if sent is None:
        sent = await transact(session, Plan("Origins", function, (label, operator), effects))
    if sent is None:
        return
    await session.refresh()
    namespace = await namespace_of(session, session.wallet_address, label)
    status = await status_of(session, namespace, operator)
    value = {"namespace": hash_text(namespace), "label": label, "operator": address_text(operator), "status": status}
    lines = [
        f"{_DONE[function]} {address_text(operator)} as an origin of {printable(label)}",
        f"  namespace {hash_text(namespace)}",
        *sent.lines(),
    ]
    session.output.result(value | sent.value(), lines=lines, essential=[hash_text(namespace)])


async def decide(
    session: "Session", function: str, label: str, operator: bytes, publisher: bytes | None, text: str
) -> None:
    """Put `recognise` or `revoke` to the vote."""
    namespace = await namespace_of(session, publisher or session.wallet_address, label)
    status = await status_of(session, namespace, operator)
    wanted = "proposed" if function == "recognise" else "recognised"
    if status != wanted:
        raise RevertedError(
            f"this node is {status} as an origin of {label!r}, not {wanted}", fix="nearcast origin list"
        )
    await propose(session, [ProposedCall("Origins", function, (namespace, operator))], text)
