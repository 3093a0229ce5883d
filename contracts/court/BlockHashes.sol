// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {ICourt} from "../interfaces/ICourt.sol";

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

    /// @dev Reverts unless `header` is the very header of the canonical block `number` and `blockHash` its hash. Its fields
    /// need no further checks then: the chain made them.
    function _timestampOf(bytes memory header, uint256 number, bytes32 blockHash) internal view returns (uint256) {
        bytes32 headerHash = keccak256(header);
        if (headerHash != blockHash) revert HeaderMismatch(headerHash, blockHash);
        bytes32 known = Blockhash.blockHash(number);
        if (known == 0) known = anchorOf[number];
        if (known != blockHash) revert NotCanonical(number, blockHash);
        Memory.Slice[] memory fields = BlockHeader.parseHeader(header);
        uint256 inHeader = BlockHeader.getNumber(fields);
        if (inHeader != number) revert WrongBlockNumber(inHeader, number);
        return BlockHeader.getTimestamp(fields);
    }
}
