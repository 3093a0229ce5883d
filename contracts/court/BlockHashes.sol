// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {ICourt} from "../interfaces/ICourt.sol";
import {HeaderFields} from "./HeaderFields.sol";

/// @title When a block was
/// @notice Block hashes from the chain itself: the last 256 by opcode, the last 8,191 where EIP-2935 stands, older ones if
/// somebody anchored them in time.
abstract contract BlockHashes is ICourt {
    /// @notice Blocks per call of `anchor` or `commit`.
    uint256 public constant ANCHORS_MAX = 4;

    mapping(uint256 blockNumber => bytes32) public anchorOf;

    function anchor(uint64[] calldata blockNumbers) external {
        _anchor(blockNumbers);
    }

    function _anchor(uint64[] calldata blockNumbers) internal {
        if (blockNumbers.length > ANCHORS_MAX) revert TooManyBlocks(blockNumbers.length, ANCHORS_MAX);
        for (uint256 index = 0; index < blockNumbers.length; ++index) {
            uint256 number = blockNumbers[index];
            if (anchorOf[number] != 0) continue;
            bytes32 found = Blockhash.blockHash(number);
            if (found == 0) revert BlockUnavailable(number);
            anchorOf[number] = found;
            emit Anchored(number, found);
        }
    }

    /// @dev Reverts unless `header` is the very header of the canonical block `number` and `blockHash` its hash.
    function _timestampOf(
        bytes calldata header,
        uint256 number,
        bytes32 blockHash
    ) internal view returns (uint256 timestamp) {
        bytes32 headerHash = keccak256(header);
        if (headerHash != blockHash) revert HeaderMismatch(headerHash, blockHash);
        bytes32 known = Blockhash.blockHash(number);
        if (known == 0) known = anchorOf[number];
        if (known != blockHash) revert NotCanonical(number, blockHash);
        uint256 inHeader;
        (inHeader, timestamp) = HeaderFields.numberAndTimestamp(header);
        if (inHeader != number) revert WrongBlockNumber(inHeader, number);
    }
}
