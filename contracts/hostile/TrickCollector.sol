// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IDepositCollector} from "../interfaces/IDepositCollector.sol";

/// @title A collector that pays from its own pocket: what its data says, after a call of its choice to the one who asks
contract TrickCollector is IDepositCollector {
    bool public called;

    /// @param collectorData abi.encode(uint256 pays, bytes call): what it sends, and what it calls the settlement contract with before.
    function collect(address, address token, uint256, bytes32, bytes calldata collectorData) external override {
        (uint256 pays, bytes memory call_) = abi.decode(collectorData, (uint256, bytes));
        if (call_.length != 0) {
            (bool ok, bytes memory answer) = msg.sender.call(call_);
            called = ok;
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(answer, 0x20), mload(answer))
                }
            }
        }
        require(IERC20(token).transfer(msg.sender, pays));
    }
}
