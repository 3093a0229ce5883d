// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";

import {IBatchSettlement} from "../interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "../interfaces/IDepositCollector.sol";
import {DepositCollector} from "./DepositCollector.sol";

/// @title Deposits from an allowance, called by the payer himself
/// @notice The payer approves this contract and calls `deposit`. Nobody else can use his allowance: an allowance names no channel, so
/// the only word for which channel it is meant is the payer's own call. How it can be stopped: it cannot. No owner, no units held.
contract AllowanceDepositCollector is DepositCollector {
    using SafeERC20 for IERC20;
    using TransientSlot for *;

    /// @dev keccak256("nearcast.AllowanceDepositCollector.expected")
    bytes32 private constant EXPECTED = keccak256("nearcast.AllowanceDepositCollector.expected");

    error NotThePayer();
    error NotAskedByThePayer();

    constructor(address settlement) DepositCollector(settlement) {}

    /// @notice Pays `amount` units of the caller's allowance into a channel whose payer he is.
    function deposit(IBatchSettlement.ChannelConfig calldata config, uint128 amount) external {
        if (msg.sender != config.payer) revert NotThePayer();
        IBatchSettlement settlement = IBatchSettlement(x402BatchSettlement);
        bytes32 channelId = settlement.getChannelId(config);
        EXPECTED.asBytes32().tstore(_noteOf(config.payer, config.token, amount, channelId));
        settlement.deposit(config, amount, address(this), "");
    }

    /// @inheritdoc IDepositCollector
    /// @dev Takes the note back before it pays: one call of the payer, one deposit.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata)
        external
        override
        onlySettlement
    {
        if (EXPECTED.asBytes32().tload() != _noteOf(payer, token, amount, channelId)) revert NotAskedByThePayer();
        EXPECTED.asBytes32().tstore(0);
        IERC20(token).safeTransferFrom(payer, x402BatchSettlement, amount);
    }

    function _noteOf(address payer, address token, uint256 amount, bytes32 channelId) private pure returns (bytes32) {
        return keccak256(abi.encode(payer, token, amount, channelId));
    }
}
