// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one function of ERC-3009 that deposits use, in the form with a signature of any kind (USDC since version 2.2)
interface IERC3009 {
    /// @notice Moves `value` from `from` to `to`, which must be the caller, with a signed authorization that counts once.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}
