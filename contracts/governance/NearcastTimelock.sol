// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title The delay between a decision and its effect, and the treasury
/// @notice The `governance` of every other contract. Only the governor proposes and cancels, anyone executes, and nobody
/// administers it but itself, through the governor.
contract NearcastTimelock is TimelockController {
    /// @dev 48 hours at first, as deCDN's. The floor leaves a day to leave; the ceiling keeps governance able to act.
    uint256 public constant MIN_DELAY_MIN = 1 days;
    uint256 public constant MIN_DELAY_MAX = 30 days;

    error OutOfBounds(uint256 value, uint256 low, uint256 high);
    error ZeroAddress();

    constructor(address governor) TimelockController(2 days, _only(governor), _only(address(0)), address(0)) {
        if (governor == address(0)) revert ZeroAddress();
    }

    /// @inheritdoc TimelockController
    function updateDelay(uint256 newDelay) public override {
        if (newDelay < MIN_DELAY_MIN || newDelay > MIN_DELAY_MAX) {
            revert OutOfBounds(newDelay, MIN_DELAY_MIN, MIN_DELAY_MAX);
        }
        super.updateDelay(newDelay);
    }

    function _only(address account) private pure returns (address[] memory accounts) {
        accounts = new address[](1);
        accounts[0] = account;
    }
}
