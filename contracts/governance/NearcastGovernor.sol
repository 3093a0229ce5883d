// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorPreventLateQuorum} from "@openzeppelin/contracts/governance/extensions/GovernorPreventLateQuorum.sol";
import {GovernorTimelockControl} from "@openzeppelin/contracts/governance/extensions/GovernorTimelockControl.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {VotingTerms} from "./VotingTerms.sol";

/// @title Votes of bonded operators become calls of the timelock
/// @notice OpenZeppelin's governor: propose, wait, vote, queue, wait, execute. No person has a special right here; a
/// proposer may withdraw a proposal before its vote starts.
contract NearcastGovernor is VotingTerms, GovernorCountingSimple, GovernorPreventLateQuorum, GovernorTimelockControl {
    /// @dev A quorum reached in the last moment leaves the others this long to answer. At most the shortest vote.
    uint256 public constant LATE_QUORUM_VOTE_EXTENSION_MIN = 1 hours;
    uint256 public constant LATE_QUORUM_VOTE_EXTENSION_MAX = VOTING_PERIOD_MIN;

    error TimelockIsFixed();

    constructor(
        IRegistry registry_,
        TimelockController timelock_,
        uint256 quorumFloorUnits_
    )
        Governor("Nearcast Governor")
        VotingTerms(registry_, quorumFloorUnits_)
        GovernorPreventLateQuorum(1 days)
        GovernorTimelockControl(timelock_)
    {}

    /// @notice The other contracts obey one timelock for ever; a governor with another one would decide nothing. A new
    /// governor is a role the timelock gives and takes.
    function updateTimelock(TimelockController) public pure override {
        revert TimelockIsFixed();
    }

    function proposalDeadline(
        uint256 proposalId
    ) public view override(Governor, GovernorPreventLateQuorum) returns (uint256) {
        return super.proposalDeadline(proposalId);
    }

    function proposalThreshold() public view override(Governor, VotingTerms) returns (uint256) {
        return super.proposalThreshold();
    }

    function state(uint256 proposalId) public view override(Governor, GovernorTimelockControl) returns (ProposalState) {
        return super.state(proposalId);
    }

    function proposalNeedsQueuing(
        uint256 proposalId
    ) public view override(Governor, GovernorTimelockControl) returns (bool) {
        return super.proposalNeedsQueuing(proposalId);
    }

    /// @dev Called by the constructor and by the setter, which only governance may call.
    function _setLateQuorumVoteExtension(uint48 newVoteExtension) internal override {
        _bounded(newVoteExtension, LATE_QUORUM_VOTE_EXTENSION_MIN, LATE_QUORUM_VOTE_EXTENSION_MAX);
        super._setLateQuorumVoteExtension(newVoteExtension);
    }

    function _tallyUpdated(uint256 proposalId) internal override(Governor, GovernorPreventLateQuorum) {
        super._tallyUpdated(proposalId);
    }

    function _queueOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint48) {
        return super._queueOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _executeOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) {
        super._executeOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _cancel(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint256) {
        return super._cancel(targets, values, calldatas, descriptionHash);
    }

    function _executor() internal view override(Governor, GovernorTimelockControl) returns (address) {
        return super._executor();
    }
}
