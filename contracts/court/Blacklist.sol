// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Governed} from "../governance/Governed.sol";
import {ListingTerms} from "./ListingTerms.sol";
import {MultisetHash} from "./MultisetHash.sol";

/// @title The blacklist
/// @notice Governance lists and takes off; the guardian (a small body for emergencies) can only add, and what it adds
/// lapses unless governance ratifies it in time; a regional body lists for its own region and takes that off again.
/// Nobody else can write, nobody can stop it, and no entry counts for offers signed before it was added.
/// @dev Entries keep their record for ever, so what the court finds does not depend on who prunes the enumeration when.
contract Blacklist is ListingTerms {
    using SafeCast for uint256;
    using MultisetHash for MultisetHash.Sums;

    /// @param position Place in `_rows` plus one; zero when not there.
    struct Record {
        uint40 effectiveAt;
        uint40 lapsesAt;
        uint40 removedAt;
        uint8 reason;
        Source source;
        bool overruled;
        uint32 position;
    }

    struct Row {
        bytes32 digest;
        bytes2 scope;
    }

    address public guardian;
    mapping(bytes2 region => address) public regionalBody;
    mapping(address body => bytes2) public regionOfBody;
    uint256 public version;

    mapping(bytes32 digest => mapping(bytes2 scope => Record)) private _records;
    Row[] private _rows;
    MultisetHash.Sums private _sums;

    constructor(address governance_, address guardian_) Governed(governance_) {
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }

    function add(bytes32 digest, bytes2 scope, uint8 reason) external onlyGovernance {
        _checkScope(scope);
        _add(digest, scope, reason, Source.Governance, complianceWindow(), 0);
    }

    /// @dev What governance took off, or let lapse, is decided: the guardian cannot bring it back.
    function addEmergency(bytes32 digest, bytes2 scope, uint8 reason) external {
        if (msg.sender != guardian) revert OnlyGuardian(msg.sender);
        _checkScope(scope);
        Record storage record = _records[digest][scope];
        if (record.overruled || _lapsed(record)) revert Overruled(digest, scope);
        uint256 lapse = reason < SEVERE_REASON_MIN ? emergencyLapse() : severeLapse();
        _add(digest, scope, reason, Source.Guardian, emergencyWindow(), lapse);
    }

    function addRegional(bytes32 digest, bytes2 region, uint8 reason) external {
        _onlyBodyOf(region);
        if (_records[digest][region].overruled) revert Overruled(digest, region);
        _add(digest, region, reason, Source.Region, complianceWindow(), 0);
    }

    function remove(bytes32 digest, bytes2 scope) external onlyGovernance {
        _remove(digest, scope, Source.Governance);
        _records[digest][scope].overruled = true;
    }

    function removeRegional(bytes32 digest, bytes2 region) external {
        _onlyBodyOf(region);
        if (_existing(digest, region).source != Source.Region) revert NotTheirs(digest, region);
        _remove(digest, region, Source.Region);
    }

    /// @dev Not after it lapsed: that would forbid after the fact what was offered in between.
    function ratify(bytes32 digest, bytes2 scope) external onlyGovernance {
        Record storage record = _existing(digest, scope);
        if (_lapsed(record)) revert NotListed(digest, scope);
        if (record.lapsesAt == 0) revert NeverLapses(digest, scope);
        _sums.remove(_hashOf(digest, scope, record));
        record.lapsesAt = 0;
        _sums.add(_hashOf(digest, scope, record));
        emit Ratified(digest, scope, ++version);
    }

    function prune(bytes32 digest, bytes2 scope) external {
        Record storage record = _existing(digest, scope);
        if (!_lapsed(record)) revert NotLapsed(digest, scope);
        if (record.position == 0) revert NotListed(digest, scope);
        _drop(digest, scope, record);
        emit Pruned(digest, scope, ++version);
    }

    function setGuardian(address guardian_) external onlyGovernance {
        bytes2 region = regionOfBody[guardian_];
        if (region != 0) revert BodyHasRegion(guardian_, region);
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }

    function setRegionalBody(bytes2 region, address body) external onlyGovernance {
        if (!_isRegion(region)) revert BadScope(region);
        bytes2 other = regionOfBody[body];
        if (body != address(0) && (other != 0 || body == guardian)) revert BodyHasRegion(body, other);
        delete regionOfBody[regionalBody[region]];
        regionalBody[region] = body;
        if (body != address(0)) regionOfBody[body] = region;
        emit RegionalBodySet(region, body);
    }

    function entry(bytes32 digest, bytes2 scope) external view returns (Entry memory) {
        Record storage record = _records[digest][scope];
        return
            Entry({
                effectiveAt: record.effectiveAt,
                lapsesAt: record.lapsesAt,
                removedAt: record.removedAt,
                reason: record.reason,
                source: record.source,
                overruled: record.overruled
            });
    }

    function countsAt(bytes32 digest, bytes2 scope, uint256 timestamp) external view returns (bool) {
        return _countsAt(_records[digest][scope], timestamp);
    }

    function listedAt(bytes32 digest, bytes2 region, uint256 timestamp) external view returns (bool) {
        if (_countsAt(_records[digest][0], timestamp)) return true;
        return region != 0 && _countsAt(_records[digest][region], timestamp);
    }

    function count() public view returns (uint256) {
        return _rows.length;
    }

    function entries(uint256 start, uint256 count_) external view returns (Listing[] memory listings) {
        uint256 length = _rows.length;
        if (start > length) start = length;
        if (count_ > length - start) count_ = length - start;
        listings = new Listing[](count_);
        for (uint256 index = 0; index < count_; ++index) {
            Row storage row = _rows[start + index];
            listings[index] = _listing(row.digest, row.scope, _records[row.digest][row.scope]);
        }
    }

    function snapshot() external view returns (uint256 version_, bytes32 root, uint256 count_) {
        return (version, _sums.root(), _rows.length);
    }

    function listingHash(Listing calldata listing) external pure returns (bytes32) {
        return keccak256(abi.encode(listing));
    }

    /// @dev The lapse runs from the time the entry counts.
    function _add(
        bytes32 digest,
        bytes2 scope,
        uint8 reason,
        Source source,
        uint256 window,
        uint256 lapse
    ) private {
        if (digest == 0) revert ZeroDigest();
        if (reason == 0) revert BadReason(reason);
        Record storage record = _records[digest][scope];
        if (_exists(record)) {
            if (!_lapsed(record)) revert AlreadyListed(digest, scope);
            if (record.position != 0) _drop(digest, scope, record);
        }
        uint256 effectiveAt = block.timestamp + window;
        uint256 lapsesAt = lapse == 0 ? 0 : effectiveAt + lapse;
        _rows.push(Row(digest, scope));
        _records[digest][scope] = Record({
            effectiveAt: effectiveAt.toUint40(),
            lapsesAt: lapsesAt.toUint40(),
            removedAt: 0,
            reason: reason,
            source: source,
            overruled: false,
            position: _rows.length.toUint32()
        });
        _sums.add(_hashOf(digest, scope, record));
        emit Added(digest, scope, reason, source, effectiveAt.toUint40(), lapsesAt.toUint40(), ++version);
    }

    function _remove(bytes32 digest, bytes2 scope, Source by) private {
        Record storage record = _existing(digest, scope);
        if (record.position != 0) _drop(digest, scope, record);
        record.removedAt = block.timestamp.toUint40();
        emit Removed(digest, scope, by, ++version);
    }

    /// @dev Out of the enumeration; the last row takes its place.
    function _drop(bytes32 digest, bytes2 scope, Record storage record) private {
        _sums.remove(_hashOf(digest, scope, record));
        uint32 position = record.position;
        Row memory last = _rows[_rows.length - 1];
        _rows[position - 1] = last;
        _records[last.digest][last.scope].position = position;
        _rows.pop();
        record.position = 0;
    }

    function _existing(bytes32 digest, bytes2 scope) private view returns (Record storage record) {
        record = _records[digest][scope];
        if (!_exists(record)) revert NotListed(digest, scope);
    }

    function _onlyBodyOf(bytes2 region) private view {
        if (region == 0 || regionOfBody[msg.sender] != region) revert OnlyRegionalBody(region, msg.sender);
    }

    function _exists(Record storage record) private view returns (bool) {
        return record.effectiveAt != 0 && record.removedAt == 0;
    }

    function _lapsed(Record storage record) private view returns (bool) {
        return _exists(record) && record.lapsesAt != 0 && record.lapsesAt <= block.timestamp;
    }

    function _countsAt(Record storage record, uint256 timestamp) private view returns (bool) {
        if (!_exists(record) || timestamp < record.effectiveAt) return false;
        return record.lapsesAt == 0 || timestamp < record.lapsesAt;
    }

    function _hashOf(bytes32 digest, bytes2 scope, Record storage record) private view returns (bytes32) {
        return keccak256(abi.encode(_listing(digest, scope, record)));
    }

    function _listing(bytes32 digest, bytes2 scope, Record storage record) private view returns (Listing memory) {
        return Listing(digest, scope, record.effectiveAt, record.lapsesAt, record.reason, record.source);
    }

    function _checkScope(bytes2 scope) private pure {
        if (scope != 0 && !_isRegion(scope)) revert BadScope(scope);
    }

    function _isRegion(bytes2 scope) private pure returns (bool) {
        return _isCapital(scope[0]) && _isCapital(scope[1]);
    }

    function _isCapital(bytes1 letter) private pure returns (bool) {
        return letter >= "A" && letter <= "Z";
    }
}
