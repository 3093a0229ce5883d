// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title When a proposal is made, voted on and carried
/// @notice Every number is a parameter within hard bounds; shares are of all bonded stake, at the time of the snapshot.
abstract contract VotingTerms is Governor {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    uint256 public constant VOTING_DELAY_MIN = 1 hours;
    uint256 public constant VOTING_DELAY_MAX = 7 days;
    uint256 public constant VOTING_PERIOD_MIN = 3 days;
    uint256 public constant VOTING_PERIOD_MAX = 30 days;
    uint256 public constant PROPOSAL_THRESHOLD_BPS_MIN = 1;
    uint256 public constant PROPOSAL_THRESHOLD_BPS_MAX = 500;
    uint256 public constant QUORUM_BPS_MIN = 100;
    uint256 public constant QUORUM_BPS_MAX = 2_000;
    /// @dev A million USDC, guess: beyond it a slip at deployment would leave a network that nobody can govern.
    uint256 public constant QUORUM_FLOOR_UNITS_MAX = 1e12;

    uint256 private constant BPS = 10_000;

    /// @notice Where stake is bonded and votes come from; fixed.
    IRegistry public immutable registry;
    /// @notice Votes a proposal needs whatever the total is, so that the first nodes of a young network do not own it.
    uint256 public immutable quorumFloorUnits;

    uint48 private _votingDelay;
    uint32 private _votingPeriod;
    uint16 private _thresholdBps;
    Checkpoints.Trace208 private _quorumBps;

    event VotingDelaySet(uint256 value);
    event VotingPeriodSet(uint256 value);
    event ProposalThresholdBpsSet(uint256 value);
    event QuorumBpsSet(uint256 value);

    error OutOfBounds(uint256 value, uint256 low, uint256 high);
    error ZeroAddress();

    /// @dev First values as deCDN's: one day, seven days, 0.1 % and 4 %.
    constructor(IRegistry registry_, uint256 quorumFloorUnits_) {
        if (address(registry_) == address(0)) revert ZeroAddress();
        registry = registry_;
        quorumFloorUnits = _bounded(quorumFloorUnits_, 0, QUORUM_FLOOR_UNITS_MAX);
        _setVotingDelay(1 days);
        _setVotingPeriod(7 days);
        _setProposalThresholdBps(10);
        _setQuorumBps(0, 400);
    }

    function setVotingDelay(uint256 value) external onlyGovernance {
        _setVotingDelay(value);
    }

    function setVotingPeriod(uint256 value) external onlyGovernance {
        _setVotingPeriod(value);
    }

    function setProposalThresholdBps(uint256 value) external onlyGovernance {
        _setProposalThresholdBps(value);
    }

    function setQuorumBps(uint256 value) external onlyGovernance {
        _setQuorumBps(clock(), value);
    }

    function votingDelay() public view override returns (uint256) {
        return _votingDelay;
    }

    function votingPeriod() public view override returns (uint256) {
        return _votingPeriod;
    }

    function proposalThresholdBps() external view returns (uint256) {
        return _thresholdBps;
    }

    function quorumBps() external view returns (uint256) {
        return _quorumBps.latest();
    }

    /// @notice Votes needed to propose now.
    function proposalThreshold() public view virtual override returns (uint256) {
        return (registry.getPastTotalSupply(clock() - 1) * _thresholdBps) / BPS;
    }

    /// @dev With the share that was in force at the snapshot: a new one does not decide an old vote.
    function quorum(uint256 timepoint) public view override returns (uint256) {
        uint256 share = (registry.getPastTotalSupply(timepoint) * _quorumBps.upperLookupRecent(timepoint.toUint48())) / BPS;
        return share > quorumFloorUnits ? share : quorumFloorUnits;
    }

    function clock() public view override returns (uint48) {
        return registry.clock();
    }

    function CLOCK_MODE() public view override returns (string memory) {
        return registry.CLOCK_MODE();
    }

    function _getVotes(address account, uint256 timepoint, bytes memory) internal view override returns (uint256) {
        return registry.getPastVotes(account, timepoint);
    }

    function _setVotingDelay(uint256 value) private {
        _votingDelay = _bounded(value, VOTING_DELAY_MIN, VOTING_DELAY_MAX).toUint48();
        emit VotingDelaySet(value);
    }

    function _setVotingPeriod(uint256 value) private {
        _votingPeriod = _bounded(value, VOTING_PERIOD_MIN, VOTING_PERIOD_MAX).toUint32();
        emit VotingPeriodSet(value);
    }

    function _setProposalThresholdBps(uint256 value) private {
        _thresholdBps = _bounded(value, PROPOSAL_THRESHOLD_BPS_MIN, PROPOSAL_THRESHOLD_BPS_MAX).toUint16();
        emit ProposalThresholdBpsSet(value);
    }

    function _setQuorumBps(uint48 from, uint256 value) private {
        _quorumBps.push(from, _bounded(value, QUORUM_BPS_MIN, QUORUM_BPS_MAX).toUint208());
        emit QuorumBpsSet(value);
    }

    function _bounded(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value < low || value > high) revert OutOfBounds(value, low, high);
        return value;
    }
}
