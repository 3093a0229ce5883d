// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Nodes, their bonds and the votes that come with them
/// @notice An operator (cold key) owns a bond and names a hot key that signs offers. All amounts are units of the bond
/// token (1e-6 USDC), all times are seconds. There is no owner, no pause and no fee.
interface IRegistry {
    /// @param operator Owns the bond; the only one who can take it back.
    /// @param hotKey Signs offers. Belongs to this operator for ever once registered.
    /// @param endpointId The node's ed25519 public key.
    /// @param mbps Declared capacity, MBPS_MIN to MBPS_MAX.
    /// @param region Two capital ASCII letters, ISO 3166-1 alpha-2.
    /// @param pricePerGib Asked price, units per GiB; information only.
    /// @param urls At most URLS_MAX, each 1 to URL_BYTES_MAX bytes.
    struct Registration {
        address operator;
        address hotKey;
        bytes32 endpointId;
        uint32 mbps;
        bytes2 region;
        uint64 pricePerGib;
        string[] urls;
    }

    /// @param required What `bonded` is measured against: bondFor(mbps) when the capacity was last declared.
    /// @param voteSince Start of the stake's age, stake-weighted.
    /// @param unbonding All stake on its way out, matured or not; slashable until it is withdrawn.
    struct Node {
        address hotKey;
        uint32 mbps;
        bytes2 region;
        uint40 regionSince;
        bool registered;
        bool ejected;
        bool active;
        uint56 bonded;
        uint56 required;
        uint64 unbonding;
        uint40 voteSince;
        uint32 nonce;
    }

    /// @notice A node's whole record. `nonce` is the one all three signatures were made over. Readers check
    /// `endpointSignature` (ed25519 by `endpointId`) over "nearcast registration v1\0" || chain id (32 bytes) ||
    /// registry (20) || operator (20) || endpointId (32) || nonce (32) and treat a failing record as absent.
    event NodeRecord(
        address indexed operator,
        bytes32 indexed endpointId,
        address hotKey,
        uint32 mbps,
        bytes2 region,
        uint64 pricePerGib,
        string[] urls,
        uint256 nonce,
        bytes endpointSignature
    );
    /// @notice The bond the operator must keep to be active.
    event BondRequired(address indexed operator, uint256 required);
    event Bonded(address indexed operator, uint256 amount, uint256 bonded);
    event UnbondingStarted(address indexed operator, uint256 amount, uint256 availableAt);
    event Withdrawn(address indexed operator, address indexed to, uint256 amount);
    event Slashed(address indexed operator, uint256 amount, uint256 bonded, uint256 unbonding);
    /// @notice The registration ended: by the operator, by a slash below half of its requirement, or by ejection.
    event Deactivated(address indexed operator);
    event Ejected(address indexed operator);
    event UnEjected(address indexed operator);

    event BondFactorSet(uint256 value);
    event BondExponentFifthsSet(uint256 value);
    event UnbondingPeriodSet(uint256 value);
    event VoteAgeRampSet(uint256 value);
    event VoteCapBpsSet(uint256 value);

    error OnlyCourt(address sender);
    error AlreadyRegistered(address operator);
    error NotRegistered(address operator);
    error OperatorEjected(address operator);
    error NotEjected(address operator);
    error BadOperatorSignature();
    error BadHotKeySignature();
    error BadEndpoint();
    error BadRegion(bytes2 region);
    error RegionTooSoon(uint256 allowedAt);
    error BadUrls();
    error HotKeyTaken(address hotKey, address owner);
    error ZeroAmount();
    error BondTooLow(uint256 left, uint256 required);
    error NothingToWithdraw(uint256 nextAvailableAt);
    error TransferMismatch(uint256 expected, uint256 received);
    error EvidenceOutlivesUnbonding(uint256 evidenceAge, uint256 unbondingPeriod);
    error ERC5805FutureLookup(uint256 timepoint, uint48 clock);

    /// @notice Enter the registry and pull the bond from the operator (allowance or permit beforehand).
    /// @param operatorSignature EIP-712 Registration by the operator; may be empty when the operator is the sender.
    /// @param hotKeySignature EIP-712 HotKey by the hot key; may be empty when the key already is this operator's.
    /// @param endpointSignature 64 bytes ed25519, emitted for readers.
    function register(
        Registration calldata registration,
        bytes calldata operatorSignature,
        bytes calldata hotKeySignature,
        bytes calldata endpointSignature
    ) external;

    /// @notice Replace the record. More capacity pulls the missing bond, less starts unbonding the surplus.
    function update(
        Registration calldata registration,
        bytes calldata operatorSignature,
        bytes calldata hotKeySignature,
        bytes calldata endpointSignature
    ) external;

    /// @notice Add to a registered operator's bond, from the sender. The new stake brings no age.
    function topUp(address operator, uint256 amount) external;

    /// @notice Start taking back what lies above the requirement.
    function unbond(uint256 amount) external;

    /// @notice Leave: the whole bond starts unbonding.
    function deregister() external;

    /// @notice Send all matured unbonding stake of the sender to `to`.
    function withdraw(address to) external returns (uint256 amount);

    /// @notice Token permit for this contract, ignored when it fails (somebody may have sent it already).
    function permit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Take `amountBps` (at most SLASH_BPS_MAX) of bonded plus unbonding stake and send it to `beneficiary`.
    /// Restarts the age of the votes. Returns 0, and sends nothing, where there is nothing.
    function slash(address operator, uint256 amountBps, address beneficiary) external returns (uint256 amount);

    /// @notice End a registration and bar the operator until `unEject`. Its stake unbonds.
    function eject(address operator) external;
    function unEject(address operator) external;

    function bondToken() external view returns (address);
    function court() external view returns (address);
    function isActive(address operator) external view returns (bool);
    function node(address operator) external view returns (Node memory);
    /// @notice Whose offers a key signs, now or formerly; never cleared, so an old offer stays attributable.
    function hotKeyOwner(address hotKey) external view returns (address operator);
    /// @notice When a key stopped being its operator's (replaced, or the registration ended); 0 while it is in use.
    /// Offers on a later block are not the operator's: a key that was stolen and replaced cannot bring it down.
    function hotKeyRetiredAt(address hotKey) external view returns (uint40);
    function regionOf(address operator) external view returns (bytes2 region, uint40 since);
    /// @notice The region an operator had declared at a time, and since when; zeros before the first one.
    function regionAt(address operator, uint256 timestamp) external view returns (bytes2 region, uint40 since);
    function stakeOf(address operator) external view returns (uint256 bonded, uint256 unbonding);
    /// @notice Unbonding stake in the order it matures.
    function unbondings(address operator) external view returns (uint256[] memory amounts, uint256[] memory availableAt);
    function withdrawable(address operator) external view returns (uint256 amount);
    function nonces(address operator) external view returns (uint256);
    function bondFor(uint256 mbps) external view returns (uint256 units);
    function totalBonded() external view returns (uint256);
    function registrationDigest(Registration calldata registration, uint256 nonce) external view returns (bytes32);
    function hotKeyDigest(address operator, address hotKey, uint256 nonce) external view returns (bytes32);

    function bondFactor() external view returns (uint256);
    function bondExponentFifths() external view returns (uint256);
    function unbondingPeriod() external view returns (uint256);
    function voteAgeRamp() external view returns (uint256);
    function voteCapBps() external view returns (uint256);

    function getVotes(address account) external view returns (uint256);
    function getPastVotes(address account, uint256 timepoint) external view returns (uint256);
    function getPastTotalSupply(uint256 timepoint) external view returns (uint256);
    function clock() external view returns (uint48);
    function CLOCK_MODE() external view returns (string memory);
}
