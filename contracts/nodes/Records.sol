// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title Who a node is: its signed record, its hot key, its region
/// @notice Both keys sign over this chain, this contract, the operator and its nonce, so no signature works twice,
/// elsewhere or for somebody else. Signatures are 65 bytes with a low s.
/// @dev A relayed registration can be sent by anyone who sees it, and the operator's signature does not cover the
/// endpoint's: a stranger could put a false one beside it, which makes readers ignore the record until the operator
/// sends the next update. An operator who sends its own transaction shows no signature that could be used so.
abstract contract Records is IRegistry, EIP712 {
    using SafeCast for uint256;

    struct Profile {
        address hotKey;
        uint24 mbps;
        bytes2 region;
        uint40 regionSince;
        bool registered;
        bool ejected;
    }

    struct HotKey {
        address operator;
        uint40 retiredAt;
    }

    struct RegionPoint {
        bytes2 region;
        uint40 since;
    }

    bytes32 public constant REGISTRATION_TYPEHASH =
        keccak256(
            "Registration(address operator,address hotKey,bytes32 endpointId,uint32 mbps,bytes2 region,uint64 pricePerGib,string[] urls,uint256 nonce)"
        );
    bytes32 public constant HOT_KEY_TYPEHASH = keccak256("HotKey(address operator,address hotKey,uint256 nonce)");
    uint256 public constant URLS_MAX = 4;
    uint256 public constant URL_BYTES_MAX = 128;
    /// @notice A node that moves has a compliance window for the list of its new region; this keeps it from moving on
    /// whenever that ends. Longer than any compliance window, guess.
    uint256 public constant REGION_INTERVAL = 30 days;

    uint256 private constant ED25519_SIGNATURE_BYTES = 64;

    mapping(address operator => Profile) internal _profiles;
    mapping(address operator => RegionPoint[]) private _pastRegions;
    mapping(address hotKey => HotKey) private _hotKeys;

    constructor() EIP712("Nearcast Registry", "1") {}

    function registrationDigest(Registration calldata registration, uint256 nonce) public view returns (bytes32) {
        return
            _hashTypedDataV4(
                keccak256(
                    abi.encode(
                        REGISTRATION_TYPEHASH,
                        registration.operator,
                        registration.hotKey,
                        registration.endpointId,
                        registration.mbps,
                        registration.region,
                        registration.pricePerGib,
                        _hashUrls(registration.urls),
                        nonce
                    )
                )
            );
    }

    function hotKeyDigest(address operator, address hotKey, uint256 nonce) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(HOT_KEY_TYPEHASH, operator, hotKey, nonce)));
    }

    function hotKeyOwner(address hotKey) external view returns (address) {
        return _hotKeys[hotKey].operator;
    }

    function hotKeyRetiredAt(address hotKey) external view returns (uint40) {
        return _hotKeys[hotKey].retiredAt;
    }

    function regionOf(address operator) external view returns (bytes2 region, uint40 since) {
        return (_profiles[operator].region, _profiles[operator].regionSince);
    }

    /// @dev Backwards: what is asked for is recent, and there is at most one entry per REGION_INTERVAL.
    function regionAt(address operator, uint256 timestamp) external view returns (bytes2 region, uint40 since) {
        Profile storage profile = _profiles[operator];
        if (profile.regionSince <= timestamp) return (profile.region, profile.regionSince);
        RegionPoint[] storage points = _pastRegions[operator];
        for (uint256 index = points.length; index > 0; --index) {
            RegionPoint storage point = points[index - 1];
            if (point.since <= timestamp) return (point.region, point.since);
        }
        return (0, 0);
    }

    /// @dev Check a record and its signatures over `nonce`, keep what contracts read of it, publish the whole.
    function _record(
        Registration calldata registration,
        uint256 nonce,
        bytes calldata operatorSignature,
        bytes calldata hotKeySignature,
        bytes calldata endpointSignature
    ) internal {
        _checkFields(registration, endpointSignature);
        address operator = registration.operator;
        if (operatorSignature.length != 0 || msg.sender != operator) {
            bytes32 digest = registrationDigest(registration, nonce);
            if (!_signed(operator, digest, operatorSignature)) revert BadOperatorSignature();
        }
        _claimHotKey(operator, registration.hotKey, nonce, hotKeySignature);
        _setRegion(operator, registration.region);
        Profile storage profile = _profiles[operator];
        if (profile.hotKey != registration.hotKey) _retireHotKey(profile.hotKey);
        profile.hotKey = registration.hotKey;
        profile.mbps = uint24(registration.mbps);
        emit NodeRecord(
            operator,
            registration.endpointId,
            registration.hotKey,
            registration.mbps,
            registration.region,
            registration.pricePerGib,
            registration.urls,
            nonce,
            endpointSignature
        );
    }

    function _checkFields(Registration calldata registration, bytes calldata endpointSignature) private pure {
        if (registration.endpointId == 0 || endpointSignature.length != ED25519_SIGNATURE_BYTES) revert BadEndpoint();
        bytes2 region = registration.region;
        if (!_isCapital(region[0]) || !_isCapital(region[1])) revert BadRegion(region);
        if (registration.urls.length > URLS_MAX) revert BadUrls();
        for (uint256 index = 0; index < registration.urls.length; ++index) {
            uint256 length = bytes(registration.urls[index]).length;
            if (length == 0 || length > URL_BYTES_MAX) revert BadUrls();
        }
    }

    /// @dev A key must agree once to belong to an operator: nobody can claim another's, or be held to one's offers.
    function _claimHotKey(address operator, address hotKey, uint256 nonce, bytes calldata signature) private {
        address owner = _hotKeys[hotKey].operator;
        if (owner != address(0) && owner != operator) revert HotKeyTaken(hotKey, owner);
        if (owner == address(0) || signature.length != 0) {
            if (!_signed(hotKey, hotKeyDigest(operator, hotKey, nonce), signature)) revert BadHotKeySignature();
        }
        _hotKeys[hotKey] = HotKey(operator, 0);
    }

    function _retireHotKey(address hotKey) internal {
        HotKey storage key = _hotKeys[hotKey];
        if (key.operator != address(0) && key.retiredAt == 0) key.retiredAt = block.timestamp.toUint40();
    }

    function _setRegion(address operator, bytes2 region) private {
        Profile storage profile = _profiles[operator];
        if (profile.region == region) return;
        if (profile.regionSince != 0) {
            uint256 allowedAt = profile.regionSince + REGION_INTERVAL;
            if (block.timestamp < allowedAt) revert RegionTooSoon(allowedAt);
            _pastRegions[operator].push(RegionPoint(profile.region, profile.regionSince));
        }
        (profile.region, profile.regionSince) = (region, block.timestamp.toUint40());
    }

    function _signed(address signer, bytes32 digest, bytes calldata signature) private pure returns (bool) {
        (address recovered, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, signature);
        return problem == ECDSA.RecoverError.NoError && recovered == signer;
    }

    function _hashUrls(string[] calldata urls) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](urls.length);
        for (uint256 index = 0; index < urls.length; ++index) hashes[index] = keccak256(bytes(urls[index]));
        return keccak256(abi.encodePacked(hashes));
    }

    function _isCapital(bytes1 letter) private pure returns (bool) {
        return letter >= "A" && letter <= "Z";
    }
}
