// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {Governed} from "../governance/Governed.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title Bonded stake through time, and the votes it carries
/// @notice votes(t) = min(bonded * min(age, ramp) / ramp, total bonded * cap), everything as it was at t: the stake, its
/// age, the total and the two rules, so that no later change moves a vote that was counted or is still to be cast.
/// @dev Only bonded stake votes. Stake that unbonds leaves the votes and the total at once. A cap per operator is
/// friction, not a wall: whoever splits a stake over operators passes it, at the price of a key and a node for each.
abstract contract StakeVotes is IRegistry, Governed {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    /// @dev One slot, so that entering the registry writes no history: the past is written when it becomes the past.
    /// 2^56 units are 72 billion USDC. `changes` counts the points of the past; strangers can add some by topping up, so
    /// it must not run out: 2^32 of them cost more gas than a chain has in years.
    struct Stake {
        uint56 bonded;
        uint56 required;
        uint40 since;
        uint40 changedAt;
        uint32 changes;
        uint32 nonce;
    }

    struct StakePoint {
        uint56 bonded;
        uint40 since;
        uint40 from;
    }

    /// @dev 180 days: 6 months is what deCDN's votes take to age.
    uint256 public constant VOTE_AGE_RAMP_MIN = 30 days;
    uint256 public constant VOTE_AGE_RAMP_MAX = 720 days;
    uint256 public constant VOTE_CAP_BPS_MIN = 100;
    uint256 public constant VOTE_CAP_BPS_MAX = 2_500;

    uint256 internal constant BPS = 10_000;

    mapping(address operator => Stake) internal _stakes;
    mapping(address operator => mapping(uint256 index => StakePoint)) private _pastStakes;
    Checkpoints.Trace208 private _totals;
    /// @dev Key: since when; value: ramp << 16 | cap. The first rule holds since ever.
    Checkpoints.Trace208 private _rules;

    constructor() {
        _setRules(0, 180 days, 500);
        emit VoteAgeRampSet(180 days);
        emit VoteCapBpsSet(500);
    }

    function setVoteAgeRamp(uint256 value) external onlyGovernance {
        _setRules(clock(), _bounded(value, VOTE_AGE_RAMP_MIN, VOTE_AGE_RAMP_MAX), voteCapBps());
        emit VoteAgeRampSet(value);
    }

    function setVoteCapBps(uint256 value) external onlyGovernance {
        _setRules(clock(), voteAgeRamp(), _bounded(value, VOTE_CAP_BPS_MIN, VOTE_CAP_BPS_MAX));
        emit VoteCapBpsSet(value);
    }

    function voteAgeRamp() public view returns (uint256) {
        return _rules.latest() >> 16;
    }

    function voteCapBps() public view returns (uint256) {
        return uint16(_rules.latest());
    }

    function totalBonded() external view returns (uint256) {
        return _totals.latest();
    }

    function getVotes(address account) external view returns (uint256) {
        return _votesAt(account, clock());
    }

    function getPastVotes(address account, uint256 timepoint) external view returns (uint256) {
        return _votesAt(account, _past(timepoint));
    }

    /// @notice All bonded stake at that time, without age or cap: what a quorum is a share of.
    function getPastTotalSupply(uint256 timepoint) external view returns (uint256) {
        return _totals.upperLookupRecent(_past(timepoint));
    }

    function clock() public view returns (uint48) {
        return uint48(block.timestamp);
    }

    function CLOCK_MODE() external pure returns (string memory) {
        return "mode=timestamp";
    }

    /// @dev New stake enters with no age: what the old stake has counts for the sum. Age beyond the ramp is forgotten
    /// first, else a dust of very old stake would carry a large new one over the ramp at once.
    function _addStake(address operator, uint256 amount) internal returns (uint256 bonded) {
        Stake storage stake = _stakes[operator];
        bonded = stake.bonded;
        uint256 oldest = block.timestamp - Math.min(block.timestamp, voteAgeRamp());
        uint256 since = Math.max(stake.since, oldest);
        since = (bonded * since + amount * block.timestamp) / (bonded + amount);
        bonded += amount;
        _setStake(operator, bonded, since);
    }

    function _removeStake(address operator, uint256 amount) internal {
        _setStake(operator, _stakes[operator].bonded - amount, _stakes[operator].since);
    }

    function _restartAge(address operator, uint256 bonded) internal {
        _setStake(operator, bonded, block.timestamp);
    }

    function _setStake(address operator, uint256 bonded, uint256 since) private {
        Stake storage stake = _stakes[operator];
        uint256 before = stake.bonded;
        if (stake.changedAt != 0 && stake.changedAt < block.timestamp) {
            _pastStakes[operator][stake.changes++] = StakePoint(stake.bonded, stake.since, stake.changedAt);
        }
        (stake.bonded, stake.since, stake.changedAt) = (bonded.toUint56(), since.toUint40(), block.timestamp.toUint40());
        if (bonded != before) {
            uint256 total = _totals.latest() + bonded - before;
            _totals.push(clock(), total.toUint208());
        }
    }

    function _setRules(uint48 from, uint256 ramp, uint256 cap) private {
        _rules.push(from, ((ramp << 16) | cap).toUint208());
    }

    /// @dev The present can still change within its second, so only what lies before it can be asked.
    function _past(uint256 timepoint) private view returns (uint48) {
        if (timepoint >= clock()) revert ERC5805FutureLookup(timepoint, clock());
        return uint48(timepoint);
    }

    function _votesAt(address operator, uint48 timepoint) private view returns (uint256) {
        (uint256 bonded, uint256 since) = _stakeAt(operator, timepoint);
        if (bonded == 0) return 0;
        uint256 rules = _rules.upperLookupRecent(timepoint);
        uint256 ramp = rules >> 16;
        uint256 aged = (bonded * Math.min(timepoint - since, ramp)) / ramp;
        return Math.min(aged, (_totals.upperLookupRecent(timepoint) * uint16(rules)) / BPS);
    }

    function _stakeAt(address operator, uint256 timepoint) private view returns (uint256 bonded, uint256 since) {
        Stake storage stake = _stakes[operator];
        if (stake.changedAt <= timepoint) return (stake.bonded, stake.since);
        mapping(uint256 index => StakePoint) storage points = _pastStakes[operator];
        uint256 low = 0;
        uint256 high = stake.changes;
        while (low < high) {
            uint256 middle = Math.average(low, high);
            if (points[middle].from <= timepoint) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? (0, 0) : (points[low - 1].bonded, points[low - 1].since);
    }
}
