// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A contract whose parameters governance may move, each within hard bounds
/// @notice `governance` is the timelock and can never be replaced. By convention a parameter `x` has a getter `x()`, a
/// setter `setX(uint256)` and the constants `X_MIN` and `X_MAX`; tests/contracts/test_bounds.py walks all of them.
abstract contract Governed {
    /// @notice The timelock: the only address that may call the setters.
    address public immutable governance;

    error OutOfBounds(uint256 value, uint256 low, uint256 high);
    error OnlyGovernance(address sender);
    error ZeroAddress();

    modifier onlyGovernance() {
        _onlyGovernance();
        _;
    }

    constructor(address governance_) {
        governance = _nonzero(governance_);
    }

    function _onlyGovernance() private view {
        if (msg.sender != governance) revert OnlyGovernance(msg.sender);
    }

    function _nonzero(address account) internal pure returns (address) {
        if (account == address(0)) revert ZeroAddress();
        return account;
    }

    /// @dev Returns `value`, or reverts when it is outside `[low, high]`.
    function _bounded(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value < low || value > high) revert OutOfBounds(value, low, high);
        return value;
    }
}
