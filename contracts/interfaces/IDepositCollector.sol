// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title How BatchSettlement pulls a deposit
/// @notice One collector per way of paying in. The settlement contract checks afterwards that its balance grew by exactly `amount`, so
/// a collector can fail a deposit but not fake one.
interface IDepositCollector {
    /// @notice Moves `amount` units of `token` from `payer` to the settlement contract; anything less is an error.
    /// @param payer The channel's payer.
    /// @param token The channel's token.
    /// @param amount Token units.
    /// @param channelId The channel paid into.
    /// @param collectorData What this collector needs, opaque to the settlement contract.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData) external;
}
