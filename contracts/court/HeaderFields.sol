// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Number and timestamp out of a block header
/// @notice Only for headers whose hash the chain has vouched for: then the fields are what the chain wrote, and nothing
/// else needs a check. Reads two of some twenty fields where OpenZeppelin's BlockHeader reads all, for a tenth of the gas.
library HeaderFields {
    /// @dev The seven fields from parentHash to logsBloom have one size in every header, the bytes before each included:
    /// five hashes, the coinbase, 256 bytes of bloom. After them come difficulty, number, gasLimit, gasUsed, timestamp.
    uint256 private constant FIXED_FIELDS_BYTES = 5 * 33 + 21 + 259;
    /// @dev RLP (yellow paper, appendix B): a string of up to 55 bytes has 0x80 + its size before it, a byte below 0x80
    /// nothing; a long list has 0xf7 + the size of its size.
    uint256 private constant STRING = 0x80;
    uint256 private constant LONG_LIST = 0xf7;

    error NotAHeader();

    function numberAndTimestamp(bytes calldata header) internal pure returns (uint256 number, uint256 timestamp) {
        uint256 head = uint8(header[0]);
        if (head <= LONG_LIST) revert NotAHeader();
        uint256 position = 1 + head - LONG_LIST + FIXED_FIELDS_BYTES;
        (, position) = _quantity(header, position);
        (number, position) = _quantity(header, position);
        (, position) = _quantity(header, position);
        (, position) = _quantity(header, position);
        (timestamp, ) = _quantity(header, position);
    }

    /// @return value The number at `position`, of at most 64 bits.
    /// @return end Where it ends.
    function _quantity(bytes calldata header, uint256 position) private pure returns (uint256 value, uint256 end) {
        uint256 head = uint8(header[position]);
        if (head < STRING) return (head, position + 1);
        uint256 sizeBytes = head - STRING;
        if (sizeBytes > 8) revert NotAHeader();
        end = position + 1 + sizeBytes;
        value = uint64(bytes8(header[position + 1:end])) >> (64 - 8 * sizeBytes);
    }
}
