// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Slashing on proof, and on nothing else
/// @notice The evidence is the node's own signed offers, each naming a block. There are two offences: an offer of content
/// that was on the blacklist, and two prices for one client and content within a few blocks. Being away, slow or wrong is
/// none. There is no appeal: what is not proven by the bytes alone is not punished.
///
/// What an honest node does, and then nothing it signs can be used against it:
/// 1. It signs on blocks its own RPC reports as canonical. An offer on any other block proves nothing here.
/// 2. It signs offers only of content that IBlacklist allows it to, by the rule written there.
/// 3. It asks everybody one price at a time. Before another price it lets more than RATE_WINDOW_BLOCKS_MAX blocks pass
///    since the highest block number it has signed on, and it remembers that number across restarts and reorganisations.
///    (RATE_WINDOW_BLOCKS_MAX, not rateWindowBlocks: that may be raised, and counts for offers already signed.)
/// 4. All hot keys of one operator keep these rules together, whether it is registered at the time or not.
/// And a client accepts an offer only on a block that its own RPC knows, not older than a few minutes, by a hot key that the
/// registry has not retired; no other offer could be held against the node.
///
/// Evidence ages: the chain forgets block hashes after 256 blocks, or 8,191 where it has EIP-2935 (4.5 hours at 2 s a block).
/// `anchor`, or `commit` which does the same, keeps a hash; evidence then lasts `maxEvidenceAge`.
/// Only for chains where block.number counts the chain's own blocks (Base; not Arbitrum, where it is Ethereum's).
interface ICourt {
    /// @notice EIP-712, domain {"Nearcast Court", "1", chain id, this contract}; signed by a hot key.
    /// @param root sha2-256 digest of the CID that is offered.
    /// @param client Address that would pay.
    /// @param pricePerGib Units of the token (1e-6 USDC) per GiB.
    /// @param blockNumber A recent block, and `blockHash` its hash: the offer is younger than it.
    struct Offer {
        bytes32 root;
        address client;
        uint64 pricePerGib;
        uint64 sizeBytes;
        uint64 blockNumber;
        bytes32 blockHash;
    }

    enum Offence {
        BlacklistedOffer,
        RateEquivocation
    }

    /// @notice A challenger's account and its one open commitment. Challenges at the same time take several addresses.
    /// @param units Free: deposits, bonds that came back, rewards. Bonds are taken from it first.
    /// @param bond In the open commitment; zero when none is open.
    /// @param revealFrom Seconds, first and last moment of the reveal.
    /// @param commitment Its first 13 bytes.
    struct Docket {
        uint256 units;
        uint256 bond;
        uint256 revealFrom;
        uint256 revealUntil;
        bytes13 commitment;
    }

    event Deposited(address indexed challenger, uint256 amount);
    event Committed(
        address indexed challenger,
        bytes32 indexed commitment,
        uint256 bond,
        uint256 revealFrom,
        uint256 revealUntil
    );
    event Anchored(uint256 indexed blockNumber, bytes32 blockHash);
    /// @param amount What the operator lost; `reward` of it is the challenger's, the rest the treasury's.
    event Convicted(
        address indexed operator,
        address indexed challenger,
        Offence offence,
        bytes32 evidenceHash,
        uint256 amount,
        uint256 reward
    );
    /// @notice The evidence holds, but this offence was punished already or there is no stake: nobody loses
    /// anything.
    event AlreadyPunished(address indexed operator, address indexed challenger, Offence offence, bytes32 evidenceHash);
    event Forfeited(address indexed challenger, uint256 bond);
    event Withdrawn(address indexed challenger, address indexed to, uint256 amount);
    event TreasuryCollected(uint256 amount);

    event ChallengeBondSet(uint256 value);
    event RevealDelaySet(uint256 value);
    event RevealWindowSet(uint256 value);
    event MaxEvidenceAgeSet(uint256 value);
    event RateWindowBlocksSet(uint256 value);
    event RewardBpsSet(uint256 value);

    error EvidenceOutlivesUnbonding(uint256 evidenceAge, uint256 unbondingPeriod);
    error TooManyBlocks(uint256 count, uint256 most);
    error BlockUnavailable(uint256 blockNumber);
    error AlreadyCommitted(uint256 revealUntil);
    error NoCommitment(address challenger);
    error TooEarly(uint256 revealFrom);
    error TooLate(uint256 revealUntil);
    error StillOpen(uint256 revealUntil);
    error BadSignature();
    error UnknownHotKey(address hotKey);
    error HotKeyRetired(address hotKey, uint256 retiredAt);
    error HeaderMismatch(bytes32 headerHash, bytes32 blockHash);
    error WrongBlockNumber(uint256 inHeader, uint256 inOffer);
    error NotCanonical(uint256 blockNumber, bytes32 blockHash);
    error EvidenceTooOld(uint256 timestamp, uint256 maxEvidenceAge);
    error NotANodeThen(address operator, uint256 timestamp);
    error NotListedThen(bytes32 digest, bytes2 scope, uint256 timestamp);
    error OtherRegion(bytes2 scope, bytes2 region, uint256 since);
    error DifferentOperators(address first, address second);
    error NotComparable();
    error SamePrice();
    error OutsideRateWindow(uint256 blocks, uint256 rateWindowBlocks);
    error ZeroAmount();
    error NothingToWithdraw();

    /// @notice Pay into the sender's account (allowance or permit beforehand).
    function deposit(uint256 amount) external;

    /// @notice Announce evidence without showing it. `challengeBond` is taken from the sender's account, what is missing is
    /// pulled. It comes back with a valid reveal; without one it goes to the treasury.
    /// @param commitment commitmentOf(sender, evidence hash, salt): nobody else can reveal it.
    /// @param blockNumbers Blocks to anchor, at most ANCHORS_MAX; none are needed if the reveal comes before the chain
    /// forgets them.
    function commit(bytes32 commitment, uint64[] calldata blockNumbers) external;

    /// @notice Token permit for this contract, ignored when it fails (somebody may have sent it already).
    function permit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Keep the hashes of blocks the chain still knows. Anyone.
    function anchor(uint64[] calldata blockNumbers) external;

    /// @notice Prove that a node offered what was listed. Evidence hash: blacklistEvidence(offer, scope).
    /// @param header RLP of the header of `offer.blockNumber`.
    /// @param scope The entry's scope: 0, or the region the node had declared then for REGION_GRACE at least.
    /// @return amount What the operator lost; zero if it was punished for this already (then the bond comes back).
    function revealBlacklisted(
        Offer calldata offer,
        bytes calldata signature,
        bytes calldata header,
        bytes2 scope,
        bytes32 salt
    ) external returns (uint256 amount);

    /// @notice Prove two prices. Evidence hash: equivocationEvidence(earlier, later).
    /// @param later The offer with the higher block number, or either if they are equal.
    /// @param header RLP of the header of `later.blockNumber`. (The other offer cannot be much older, whatever it names.)
    function revealEquivocation(
        Offer calldata earlier,
        bytes calldata earlierSignature,
        Offer calldata later,
        bytes calldata laterSignature,
        bytes calldata header,
        bytes32 salt
    ) external returns (uint256 amount);

    /// @notice The challenger at any time, anyone once its time is over: a commitment that is not revealed loses its bond to
    /// the treasury.
    function forfeit(address challenger) external;

    /// @notice Everything free in the sender's account, to any address.
    function withdraw(address to) external returns (uint256 amount);

    /// @notice Anyone: send the treasury (governance) its share.
    function collectTreasury() external returns (uint256 amount);

    function bondToken() external view returns (address);
    function registry() external view returns (address);
    function blacklist() external view returns (address);
    function offerDigest(Offer calldata offer) external view returns (bytes32);
    /// @notice keccak256(abi.encode(Offence.BlacklistedOffer, offerDigest(offer), scope))
    function blacklistEvidence(Offer calldata offer, bytes2 scope) external view returns (bytes32);
    /// @notice keccak256(abi.encode(Offence.RateEquivocation, offerDigest(earlier), offerDigest(later)))
    function equivocationEvidence(Offer calldata earlier, Offer calldata later) external view returns (bytes32);
    /// @notice keccak256(abi.encode(challenger, evidenceHash, salt))
    function commitmentOf(address challenger, bytes32 evidenceHash, bytes32 salt) external pure returns (bytes32);
    function docketOf(address challenger) external view returns (Docket memory);
    function anchorOf(uint256 blockNumber) external view returns (bytes32 blockHash);
    /// @notice How often an operator was slashed. The next takes LADDER: 5 %, 15 %, then 50 % each.
    function convictions(address operator) external view returns (uint256);
    function nextSlashBps(address operator) external view returns (uint256);
    /// @notice Whether an offence was punished already: one per operator, content and UTC day of the offer's block, whether
    /// the content was listed under one scope or two.
    function blacklistPunished(address operator, bytes32 digest, uint256 timestamp) external view returns (bool);
    /// @notice One per operator and UTC day of the later offer's block.
    function equivocationPunished(address operator, uint256 timestamp) external view returns (bool);
    function treasuryUnits() external view returns (uint256);

    function challengeBond() external view returns (uint256);
    function revealDelay() external view returns (uint256);
    function revealWindow() external view returns (uint256);
    function maxEvidenceAge() external view returns (uint256);
    function rateWindowBlocks() external view returns (uint256);
    function rewardBps() external view returns (uint256);
}
