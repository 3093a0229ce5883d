// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Content that nodes must not offer
/// @notice An entry is (digest, scope): the sha2-256 digest of a multihash, everywhere (scope 0) or for the nodes of one
/// region (two capital letters, as in the registry). It counts from `effectiveAt`, which is stamped when it is added, at
/// least an hour ahead, and never moves; so nothing that was allowed when it was signed is forbidden later.
///
/// What an honest node does. It reads the whole list from a block deep enough not to be reorganised away; call that
/// block's timestamp `s`. It signs an offer on a block with timestamp `ts` only if ts < s + 1 hour (no entry it cannot
/// know of counts before that) and no entry of the list with its digest, for scope 0 or a region the node has declared or
/// is about to declare, has effectiveAt <= ts, unless that entry had lapsed at `s` already (lapsesAt != 0 and
/// lapsesAt <= s: an entry that lapses later may have been ratified meanwhile).
interface IBlacklist {
    enum Source {
        Governance,
        Guardian,
        Region
    }

    /// @param effectiveAt Seconds; zero when there never was such an entry.
    /// @param lapsesAt Seconds; from then on the entry does not count. Zero: never.
    /// @param removedAt Seconds; zero unless removed. Removal pardons: the entry is as if it had never been.
    /// @param reason Why: 1 court order, 2 copyright, 3 malware, 4 privacy; from 128 on severe: 128 sexual abuse of
    /// children, 129 terrorism. Others may come; 0 is none.
    /// @param source Who added it.
    /// @param overruled Governance removed it: nobody but governance may add it again.
    struct Entry {
        uint40 effectiveAt;
        uint40 lapsesAt;
        uint40 removedAt;
        uint8 reason;
        Source source;
        bool overruled;
    }

    /// @notice One row of the enumeration.
    struct Listing {
        bytes32 digest;
        bytes2 scope;
        uint40 effectiveAt;
        uint40 lapsesAt;
        uint8 reason;
        Source source;
    }

    event Added(
        bytes32 indexed digest,
        bytes2 indexed scope,
        uint8 reason,
        Source source,
        uint40 effectiveAt,
        uint40 lapsesAt,
        uint256 version
    );
    event Removed(bytes32 indexed digest, bytes2 indexed scope, Source by, uint256 version);
    event Ratified(bytes32 indexed digest, bytes2 indexed scope, uint256 version);
    /// @notice A lapsed entry left the enumeration.
    event Pruned(bytes32 indexed digest, bytes2 indexed scope, uint256 version);
    event GuardianSet(address indexed guardian);
    event RegionalBodySet(bytes2 indexed region, address body);

    event ComplianceWindowSet(uint256 value);
    event EmergencyWindowSet(uint256 value);
    event EmergencyLapseSet(uint256 value);
    event SevereLapseSet(uint256 value);

    error OnlyGuardian(address sender);
    error OnlyRegionalBody(bytes2 region, address sender);
    error BadScope(bytes2 scope);
    error BadReason(uint8 reason);
    error ZeroDigest();
    error AlreadyListed(bytes32 digest, bytes2 scope);
    error NotListed(bytes32 digest, bytes2 scope);
    /// @notice Governance removed this entry, or it lapsed unratified: the guardian or the region may not add it again.
    error Overruled(bytes32 digest, bytes2 scope);
    error NotTheirs(bytes32 digest, bytes2 scope);
    error NeverLapses(bytes32 digest, bytes2 scope);
    error NotLapsed(bytes32 digest, bytes2 scope);
    error BodyHasRegion(address body, bytes2 region);

    /// @notice Governance: list from `complianceWindow` on, for good.
    function add(bytes32 digest, bytes2 scope, uint8 reason) external;

    /// @notice Governance: take off the list, whoever added it.
    function remove(bytes32 digest, bytes2 scope) external;

    /// @notice Governance: keep an emergency entry that has not lapsed yet. Only clears `lapsesAt`.
    function ratify(bytes32 digest, bytes2 scope) external;

    /// @notice Guardian: list from `emergencyWindow` on, until it lapses.
    function addEmergency(bytes32 digest, bytes2 scope, uint8 reason) external;

    /// @notice Regional body: list in its region from `complianceWindow` on.
    function addRegional(bytes32 digest, bytes2 region, uint8 reason) external;

    /// @notice Regional body: take an entry that its region added off the list.
    function removeRegional(bytes32 digest, bytes2 region) external;

    /// @notice Anyone: take a lapsed entry out of the enumeration. Changes nothing about what it forbade, and when.
    function prune(bytes32 digest, bytes2 scope) external;

    /// @notice Governance: the emergency body; zero for none. It can only add.
    function setGuardian(address guardian_) external;

    /// @notice Governance: the body of a region; zero for none. One body has one region and is not the guardian.
    function setRegionalBody(bytes2 region, address body) external;

    function guardian() external view returns (address);
    function regionalBody(bytes2 region) external view returns (address);
    function regionOfBody(address body) external view returns (bytes2);

    /// @notice The record of a key, also of one that was removed or has lapsed.
    function entry(bytes32 digest, bytes2 scope) external view returns (Entry memory);

    /// @notice Whether the entry with exactly this scope forbids `digest` at `timestamp`, as the list stands now.
    function countsAt(bytes32 digest, bytes2 scope, uint256 timestamp) external view returns (bool);

    /// @notice Whether a node of `region` (0: regions left out) may not offer `digest` at `timestamp`, as the list stands now.
    function listedAt(bytes32 digest, bytes2 region, uint256 timestamp) external view returns (bool);

    /// @notice Counts changes of the list.
    function version() external view returns (uint256);

    /// @notice Entries in the enumeration: all but removed and pruned ones.
    function count() external view returns (uint256);

    /// @notice Rows `start` to `start + count_`, fewer at the end; in no lasting order, so read all pages of one block.
    function entries(uint256 start, uint256 count_) external view returns (Listing[] memory);

    /// @notice What the whole enumeration must hash to (see MultisetHash.sol), with its number of rows.
    function snapshot() external view returns (uint256 version_, bytes32 root, uint256 count_);

    /// @notice What a row contributes to the root: keccak256(abi.encode(row)).
    function listingHash(Listing calldata listing) external pure returns (bytes32);

    function complianceWindow() external view returns (uint256);
    function emergencyWindow() external view returns (uint256);
    function emergencyLapse() external view returns (uint256);
    function severeLapse() external view returns (uint256);
}
