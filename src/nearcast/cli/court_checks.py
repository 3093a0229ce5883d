"""What the Court will ask of evidence, asked before a deposit is put on it. Its word may still be another one."""

from typing import TYPE_CHECKING

from nearcast.errors import RevertedError

if TYPE_CHECKING:
    from nearcast.chain.evidence import Evidence
    from nearcast.cli.chain_session import Session


async def check_case(session: "Session", evidence: "Evidence") -> bytes:
    """Whose key signed it, as 20 bytes. RevertedError for a case that would be lost or brings nothing now."""
    from nearcast.chain.evidence import BlacklistedOffer

    at_s = evidence.header.timestamp_s
    if session.now_s + await session.read("Court", "revealDelay") - at_s > await session.read(
        "Court", "maxEvidenceAge"
    ):
        raise RevertedError("this evidence is too old: the Court does not take it any more")
    operator = await _signer(session, evidence)
    if isinstance(evidence, BlacklistedOffer):
        root = evidence.offer.root
        if not await session.read("Blacklist", "countsAt", root, evidence.scope, at_s):
            raise RevertedError("the content was not on the list when it was offered, or is on it no more")
        is_punished = await session.read("Court", "blacklistPunished", operator, root, at_s)
    else:
        window_blocks = await session.read("Court", "rateWindowBlocks")
        apart_blocks = evidence.later.block_number - evidence.earlier.block_number
        if apart_blocks > window_blocks:
            raise RevertedError(f"the offers are {apart_blocks} blocks apart, and a node may change its price by then")
        is_punished = await session.read("Court", "equivocationPunished", operator, at_s)
    if is_punished:
        raise RevertedError("the node was punished for this already, or for the like on the same day")
    if not sum(await session.read("Registry", "stakeOf", operator)):
        raise RevertedError("the node has nothing left that the Court could take")
    return operator


async def _signer(session: "Session", evidence: "Evidence") -> bytes:
    """The operator of all the offers in it."""
    from nearcast.chain.evidence import BlacklistedOffer
    from nearcast.chain.offers import court_domain, offer_signer

    domain = court_domain(session.chain_id, session.address_of("Court"))
    if isinstance(evidence, BlacklistedOffer):
        signed = [(evidence.offer, evidence.signature)]
    else:
        signed = [(evidence.earlier, evidence.earlier_signature), (evidence.later, evidence.later_signature)]
    operators = {
        await session.read("Registry", "hotKeyOwner", offer_signer(domain, offer, signature))
        for offer, signature in signed
    }
    (operator, *others) = operators
    if others or not any(operator):
        raise RevertedError("these offers are not signed by the key of one registered node")
    return bytes(operator)
