// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Governed} from "../governance/Governed.sol";
import {IBlacklist} from "../interfaces/IBlacklist.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Challenges} from "./Challenges.sol";
import {Convictions} from "./Convictions.sol";
import {CourtTerms} from "./CourtTerms.sol";

/// @title The court
/// @notice Judges signed offers by what the chain itself knows: block hashes, the blacklist, who owns a hot key and which
/// region it had declared. Nobody can stop it, and nobody decides: a proof holds or it does not.
/// @dev An offence is punished once, whatever form its evidence comes in. A second challenger with a valid proof gets its
/// bond back, so an operator who quickly reports himself cannot make honest challengers lose theirs; and as the reward is at
/// most half, reporting oneself still costs half of the slash. Signatures are 65 bytes with a low s; nothing is keyed by
/// their bytes.
contract Court is Challenges, EIP712 {
    using Convictions for Convictions.Record;
    using SafeCast for uint256;

    bytes32 public constant OFFER_TYPEHASH =
        keccak256(
            "Offer(bytes32 root,address client,uint64 pricePerGib,uint64 sizeBytes,uint64 blockNumber,bytes32 blockHash)"
        );
    /// @notice How long a node may go on after it declared a region before that region's list binds it. Not a parameter,
    /// so that no change of one can forbid something after the fact.
    uint256 public constant REGION_GRACE = 24 hours;

    uint256 private constant BPS = 10_000;

    address public immutable blacklist;

    mapping(address operator => Convictions.Record) private _convictions;

    constructor(
        address bondToken_,
        address registry_,
        address blacklist_,
        address governance_
    ) Governed(governance_) CourtTerms(registry_) Challenges(bondToken_) EIP712("Nearcast Court", "1") {
        blacklist = _nonzero(blacklist_);
    }

    function revealBlacklisted(
        Offer calldata offer,
        bytes calldata signature,
        bytes calldata header,
        bytes2 scope,
        bytes32 salt
    ) external nonReentrant returns (uint256 amount) {
        bytes32 digest = offerDigest(offer);
        bytes32 evidenceHash = _blacklistEvidence(digest, scope);
        _close(evidenceHash, salt);
        uint256 timestamp = _freshTimestampOf(offer, header);
        address operator = _operatorOf(digest, signature, timestamp);
        _checkScope(operator, scope, timestamp);
        if (!IBlacklist(blacklist).countsAt(offer.root, scope, timestamp)) {
            revert NotListedThen(offer.root, scope, timestamp);
        }
        bytes32 key = _blacklistKey(offer.root, timestamp);
        return _convict(operator, Offence.BlacklistedOffer, key, evidenceHash);
    }

    function revealEquivocation(
        Offer calldata earlier,
        bytes calldata earlierSignature,
        Offer calldata later,
        bytes calldata laterSignature,
        bytes calldata header,
        bytes32 salt
    ) external nonReentrant returns (uint256 amount) {
        bytes32 earlierDigest = offerDigest(earlier);
        bytes32 laterDigest = offerDigest(later);
        bytes32 evidenceHash = _equivocationEvidence(earlierDigest, laterDigest);
        _close(evidenceHash, salt);
        _checkPrices(earlier, later);
        uint256 timestamp = _freshTimestampOf(later, header);
        address operator = _operatorOf(laterDigest, laterSignature, timestamp);
        address other = _operatorOf(earlierDigest, earlierSignature, timestamp);
        if (other != operator) revert DifferentOperators(other, operator);
        _regionAt(operator, timestamp);
        return _convict(operator, Offence.RateEquivocation, _rateKey(timestamp), evidenceHash);
    }

    function offerDigest(Offer calldata offer) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(OFFER_TYPEHASH, offer)));
    }

    function blacklistEvidence(Offer calldata offer, bytes2 scope) external view returns (bytes32) {
        return _blacklistEvidence(offerDigest(offer), scope);
    }

    function equivocationEvidence(Offer calldata earlier, Offer calldata later) external view returns (bytes32) {
        return _equivocationEvidence(offerDigest(earlier), offerDigest(later));
    }

    function nextSlashBps(address operator) public view returns (uint256) {
        return _slashBps(_convictions[operator].count);
    }

    function convictions(address operator) external view returns (uint256) {
        return _convictions[operator].count;
    }

    function blacklistPunished(address operator, bytes32 digest, uint256 timestamp) external view returns (bool) {
        return _convictions[operator].has(_blacklistKey(digest, timestamp));
    }

    function equivocationPunished(address operator, uint256 timestamp) external view returns (bool) {
        return _convictions[operator].has(_rateKey(timestamp));
    }

    /// @dev Nothing left to take counts as no conviction: an operator without stake cannot use up its offences for free.
    function _convict(
        address operator,
        Offence offence,
        bytes32 key,
        bytes32 evidenceHash
    ) private returns (uint256 amount) {
        Convictions.Record storage record = _convictions[operator];
        (uint256 bonded, uint256 unbonding) = IRegistry(registry).stakeOf(operator);
        if (bonded + unbonding == 0 || record.has(key)) {
            emit AlreadyPunished(operator, msg.sender, offence, evidenceHash);
            return 0;
        }
        uint256 bps = _slashBps(record.count);
        record.add(key);
        amount = IRegistry(registry).slash(operator, bps, address(this));
        uint256 reward = (amount * rewardBps()) / BPS;
        _treasuryUnits += (amount - reward).toUint64();
        _credit(msg.sender, reward);
        emit Convicted(operator, msg.sender, offence, evidenceHash, amount, reward);
    }

    function _slashBps(uint256 earlier) private pure returns (uint256) {
        if (earlier == 0) return 500;
        return earlier == 1 ? 1_500 : 5_000;
    }

    /// @dev Whose key signed, if the key was still its operator's at `timestamp`: of a replaced one anybody may have got
    /// hold. (For the earlier of two offers that is asked of the later one's time: its own is not proven.)
    function _operatorOf(
        bytes32 digest,
        bytes calldata signature,
        uint256 timestamp
    ) private view returns (address operator) {
        (address hotKey, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, signature);
        if (problem != ECDSA.RecoverError.NoError) revert BadSignature();
        operator = IRegistry(registry).hotKeyOwner(hotKey);
        if (operator == address(0)) revert UnknownHotKey(hotKey);
        uint256 retiredAt = IRegistry(registry).hotKeyRetiredAt(hotKey);
        if (retiredAt != 0 && timestamp >= retiredAt) revert HotKeyRetired(hotKey, retiredAt);
    }

    function _freshTimestampOf(Offer calldata offer, bytes calldata header) private view returns (uint256 timestamp) {
        timestamp = _timestampOf(header, offer.blockNumber, offer.blockHash);
        if (block.timestamp - timestamp > maxEvidenceAge()) revert EvidenceTooOld(timestamp, maxEvidenceAge());
    }

    function _checkScope(address operator, bytes2 scope, uint256 timestamp) private view {
        (bytes2 region, uint256 since) = _regionAt(operator, timestamp);
        if (scope == 0) return;
        if (region != scope || timestamp < since + REGION_GRACE) revert OtherRegion(scope, region, since);
    }

    /// @dev Every node has a region from its first registration on, so none means that it was no node yet.
    function _regionAt(address operator, uint256 timestamp) private view returns (bytes2 region, uint256 since) {
        (region, since) = IRegistry(registry).regionAt(operator, timestamp);
        if (region == 0) revert NotANodeThen(operator, timestamp);
    }

    function _checkPrices(Offer calldata earlier, Offer calldata later) private view {
        bool comparable = earlier.root == later.root && earlier.client == later.client;
        if (!comparable || earlier.blockNumber > later.blockNumber) revert NotComparable();
        if (earlier.pricePerGib == later.pricePerGib) revert SamePrice();
        uint256 blocks = later.blockNumber - earlier.blockNumber;
        if (blocks > rateWindowBlocks()) revert OutsideRateWindow(blocks, rateWindowBlocks());
    }

    function _blacklistEvidence(bytes32 digest, bytes2 scope) private pure returns (bytes32) {
        return keccak256(abi.encode(Offence.BlacklistedOffer, digest, scope));
    }

    function _equivocationEvidence(bytes32 earlierDigest, bytes32 laterDigest) private pure returns (bytes32) {
        return keccak256(abi.encode(Offence.RateEquivocation, earlierDigest, laterDigest));
    }

    function _blacklistKey(bytes32 digest, uint256 timestamp) private pure returns (bytes32) {
        return keccak256(abi.encode(Offence.BlacklistedOffer, digest, timestamp / 1 days));
    }

    function _rateKey(uint256 timestamp) private pure returns (bytes32) {
        return keccak256(abi.encode(Offence.RateEquivocation, timestamp / 1 days));
    }
}
