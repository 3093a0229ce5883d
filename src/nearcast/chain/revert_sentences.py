"""What every refusal of our contracts means, in one sentence, and what mends it where a person can.

By the name of the custom error. `{name}` in a sentence is that argument of the error. Errors of several contracts, and
those that only a defect can cause, stand at the end.
"""

from typing import Final

Sentence = tuple[str, str | None]

CHANNELS: Final[dict[str, Sentence]] = {
    "InvalidX402BatchSettlementAddress": ("the deposit collector was given no settlement contract", None),
    "NotAskedByThePayer": ("the collector takes a deposit only in the payer's own call", None),
    "NotThePayer": ("only the channel's payer may deposit from the payer's allowance", None),
    "OnlyX402BatchSettlement": ("the collector moves tokens only when the settlement contract asks it to", None),
    "ClaimExceedsBalance": ("the claim is higher than what the channel holds", "claim no more than the deposits"),
    "ClaimExceedsCeiling": ("the claim is higher than the voucher allows", "claim with a newer voucher"),
    "ClaimOverflow": ("the claim is higher than any amount a channel can count", None),
    "DepositCollectionFailed": ("the collector did not bring the whole deposit", "check the balance and the allowance"),
    "DepositOverflow": ("the deposit is higher than any amount a channel can count", None),
    "EmptyBatch": ("the batch holds no claims", None),
    "InvalidChannel": ("the channel's terms are not allowed: a party or the token is missing", None),
    "InvalidCollector": ("there is no deposit collector at that address", None),
    "InvalidRefundNonce": ("the refund was signed for another nonce: it was used, or is not due yet", "sign it again"),
    "InvalidSignature": ("the signature is not by the key that the channel names", None),
    "NotAuthorizedToClaim": ("only the receiver and its authorizer may claim", None),
    "NotAuthorizedToFinalizeWithdraw": ("only the payer and its authorizer may finish the withdrawal", None),
    "NotAuthorizedToRefund": ("only the receiver and its authorizer may refund", None),
    "NotReceiverAuthorizer": ("the signature is not by the receiver's authorizer", None),
    "NothingNewToClaim": ("everything this voucher promises was claimed before", None),
    "NothingToWithdraw": ("there is nothing to withdraw now", "wait until a waiting period has passed"),
    "WithdrawAmountExceedsAvailable": ("the channel holds less than that for its payer", "withdraw a lower amount"),
    "WithdrawDelayNotElapsed": ("the withdrawal's waiting time has not passed yet", "try again later"),
    "WithdrawDelayOutOfRange": ("a channel's withdrawal delay is 15 minutes to 30 days", "choose another delay"),
    "WithdrawalAlreadyPending": ("a withdrawal from this channel is under way", "finish it when its time has come"),
    "WithdrawalNotPending": ("no withdrawal from this channel was started", "start one"),
    "ZeroDeposit": ("a deposit is more than nothing", None),
    "ZeroRefund": ("there is nothing to refund", None),
}

NODES: Final[dict[str, Sentence]] = {
    "AlreadyRegistered": ("{operator} has a node already", "update it instead"),
    "BadEndpoint": ("the registration names no endpoint, or carries no signature of it", None),
    "BadHotKeySignature": ("the hot key did not sign this registration", "sign it again with the current nonce"),
    "BadOperatorSignature": ("the operator did not sign this registration", "sign it again with the current nonce"),
    "BadRegion": ("{region} is no region: two capital letters, like DE", None),
    "BadUrls": ("a node has at most four URLs of 1 to 128 bytes", None),
    "BondTooLow": ("{left} units would be left of the {required} that the node must have bonded", "unbond less"),
    "ERC5805FutureLookup": ("votes are known for the past only", None),
    "HotKeyTaken": ("the hot key {hotKey} belongs to {owner}, for ever", "use another hot key"),
    "NotEjected": ("the node of {operator} is not ejected", None),
    "NotRegistered": ("{operator} has no registered node", "register one"),
    "OnlyCourt": ("only the court slashes", None),
    "OperatorEjected": ("governance has ejected the node of {operator}", None),
    "RegionTooSoon": ("the region was changed a short while ago, and may be again at {allowedAt} (unix time)", None),
    "TransferMismatch": ("the token moved {received} units where {expected} were due", None),
    "ZeroAmount": ("the amount is nothing", None),
    "InactiveNode": ("the node of {operator} is not active", "it must be registered, bonded and not ejected"),
    "BadLabel": ("a label is 1 to 64 printable characters", None),
    "WrongStatus": ("that origin's status does not allow it", "see its status first"),
    "FaucetTooSoon": ("the faucet gives once a day, and again at {availableAt} (unix time)", None),
}

BLACKLIST: Final[dict[str, Sentence]] = {
    "AlreadyListed": ("{digest} is on the list in that scope", None),
    "BadReason": ("{reason} is no reason the list knows", None),
    "BadScope": ("{scope} is no scope: two capital letters, or zero for everywhere", None),
    "BodyHasRegion": ("{body} decides for the region {region}, and a body decides for one only", None),
    "NeverLapses": ("{digest} is on the list for good", None),
    "NotLapsed": ("{digest} is still on the list", None),
    "NotListed": ("{digest} is not on the list in that scope", None),
    "NotTheirs": ("{digest} was listed by somebody else, who alone may remove it", None),
    "OnlyGuardian": ("{sender} is not the guardian, who alone lists in an emergency", None),
    "OnlyRegionalBody": ("{sender} does not decide for the region {region}", None),
    "Overruled": ("governance has removed {digest}, which only governance may list again", None),
    "ZeroDigest": ("a digest of zeros names no content", None),
}

COURT: Final[dict[str, Sentence]] = {
    "AlreadyCommitted": ("a commitment is open until {revealUntil} (unix time)", "reveal it, or forfeit it, first"),
    "BadSignature": ("the offer's signature is not valid", None),
    "BlockUnavailable": (
        "the chain no longer knows the hash of block {blockNumber}",
        "anchor blocks while they are young",
    ),
    "DifferentOperators": ("the two offers are of different operators", None),
    "EvidenceOutlivesUnbonding": ("evidence must age sooner than a bond is paid out", None),
    "EvidenceTooOld": ("the evidence is older than {maxEvidenceAge} seconds", None),
    "HeaderMismatch": ("the block header is not the one that the offer names", None),
    "NoCommitment": ("{challenger} has no such commitment open", "commit first, with this evidence and salt"),
    "NotANodeThen": ("{operator} had no registered node when the offer was made", None),
    "NotCanonical": ("block {blockNumber} of the chain has another hash", None),
    "NotComparable": ("the two offers are not for the same content and client", None),
    "NotListedThen": ("the content was not on the list when it was offered", None),
    "OtherRegion": ("the entry counts in {scope}, where the node was not", None),
    "OutsideRateWindow": (
        "the offers are {blocks} blocks apart, and a node may change its price after {rateWindowBlocks}",
        None,
    ),
    "SamePrice": ("both offers name the same price", None),
    "StillOpen": ("the commitment may be revealed until {revealUntil} (unix time)", "wait until then"),
    "TooEarly": ("the evidence may be revealed from {revealFrom} on (unix time)", "wait until then"),
    "TooLate": ("the evidence had to be revealed before {revealUntil} (unix time)", "commit again"),
    "TooManyBlocks": ("{count} blocks at once are too many, {most} are allowed", None),
    "UnknownHotKey": ("{hotKey}, which signed the offer, is no node's hot key", None),
    "HotKeyRetired": ("the hot key {hotKey} was retired before that block (at unix time {retiredAt})", None),
    "NotAHeader": ("what should be a block header is none", None),
    "WrongBlockNumber": ("the header is of block {inHeader}, the offer names {inOffer}", None),
}

GOVERNANCE: Final[dict[str, Sentence]] = {
    "OnlyGovernance": ("{sender} may not: only governance does this, through its timelock", "propose it"),
    "OutOfBounds": ("{value} is outside {low} to {high}, which the contract fixes for ever", None),
    "GovernorAlreadyCastVote": ("{voter} has voted on this proposal", None),
    "GovernorAlreadyQueuedProposal": ("the proposal is queued already", "execute it when its delay has passed"),
    "GovernorInsufficientProposerVotes": ("{proposer} has {votes} votes and needs {threshold} to propose", None),
    "GovernorInvalidProposalLength": ("a proposal has as many targets as values and calls, and at least one", None),
    "GovernorInvalidSignature": ("the vote's signature is not by {voter}", None),
    "GovernorInvalidVoteType": ("a vote is against, for or abstain", None),
    "GovernorInvalidVoteParams": ("a vote has no parameters here", None),
    "GovernorInvalidVotingPeriod": ("{votingPeriod} is no voting period", None),
    "GovernorNonexistentProposal": ("there is no such proposal", "check its id, or the exact text and actions"),
    "GovernorOnlyExecutor": ("only governance itself does this, through its timelock", "propose it"),
    "GovernorProposalQueueingFailed": ("the proposal cannot be queued", None),
    "GovernorProposalQueueingNotRequired": ("the proposal needs no queueing", "execute it"),
    "GovernorRestrictedProposer": ("the proposal's text reserves it for another proposer than {proposer}", None),
    "GovernorUnableToCancel": ("{account} may not cancel the proposal any more", None),
    "GovernorUnexpectedProposalState": ("the proposal is not at that step", "see its state first"),
    "GovernorDisabledDeposit": ("the governor takes no coins", None),
    "GovernorPreventLateQuorumVoteExtensionTooLarge": ("the extension of a late vote is too long", None),
    "InvalidAccountNonce": ("the signature is for another nonce than {currentNonce}", "sign it again"),
    "TimelockIsFixed": ("the governor's timelock cannot be changed", None),
    "TimelockInsufficientDelay": ("{delay} seconds are less than the timelock's {minDelay}", None),
    "TimelockInvalidOperationLength": ("an operation has as many targets as values and calls", None),
    "TimelockUnauthorizedCaller": ("{caller} may not: only the timelock itself changes its delay", "propose it"),
    "TimelockUnexecutedPredecessor": ("another operation must be executed before this one", None),
    "TimelockUnexpectedOperationState": ("the operation's delay has not passed yet, or it was executed", "try later"),
    "AccessControlBadConfirmation": ("a role is given up by its holder only", None),
    "AccessControlUnauthorizedAccount": ("{account} does not have the role for this", None),
}

TOKENS_AND_CODE: Final[dict[str, Sentence]] = {
    "SafeERC20FailedOperation": (
        "the token {token} refused to move",
        "check balance, allowance, and whether it is frozen",
    ),
    "AddressEmptyCode": ("there is no contract at {target}", "check the chain and the addresses"),
    "FailedCall": ("a call inside the transaction failed without saying why", None),
    "ZeroAddress": ("an address is missing", None),
    "ReentrancyGuardReentrantCall": ("the contract was called again from inside its own call", None),
    "SafeCastOverflowedUintDowncast": ("{value} does not fit {bits} bits", None),
    "CheckpointUnorderedInsertion": ("the contract's record of the past is out of order: this is a defect", None),
    "InvalidShortString": ("a short text is not well formed: this is a defect", None),
    "StringTooLong": ("a text is too long to be kept", None),
}

SENTENCES: Final = CHANNELS | NODES | BLACKLIST | COURT | GOVERNANCE | TOKENS_AND_CODE

# Solidity docs, "Panic via assert and Error via require"
PANICS: Final = {
    0x01: "an assertion failed", 0x11: "a number ran over", 0x12: "a division by zero", 0x21: "no such enum value",
    0x22: "a damaged byte array in storage", 0x31: "a pop from an empty array", 0x32: "an index past the end",
    0x41: "too much memory", 0x51: "a call of a function that was never set",
}  # fmt: skip

# Texts of require() that real tokens say (FiatToken 2.2, OpenZeppelin 4), and what mends them.
TEXT_FIXES: Final = {
    "exceeds balance": "get more of the token; `nearcast wallet faucet` on a development chain",
    "exceeds allowance": "approve a higher allowance first",
    "blacklisted": "the token's issuer has frozen the address: use another one",
    "authorization is expired": "sign a new authorization",
    "authorization is used": "the deposit has happened: look at the channel",
}
