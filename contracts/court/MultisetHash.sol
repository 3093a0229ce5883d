// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The hash of a set that anyone can compute again in any order
/// @notice Four sums modulo 2^256. An element is added to sum i as keccak256(abi.encode(element, i)), i = 0 to 3, and taken
/// away by subtracting; the root is keccak256(abi.encode(sum0, sum1, sum2, sum3)). The empty set has four zeros.
/// @dev What it assumes: that nobody finds other elements with the same four sums. For one sum that is not hard for who may
/// choose many elements (Wagner's generalised birthday takes about 2^(2 sqrt(n)) steps, 2^32 for n = 256 bits); for the
/// 1,024 bits of four it is 2^64, and more where the number of elements is known too. That is enough to check one RPC's
/// list against another's root; who controls the listing itself needs no collision to list what it likes.
library MultisetHash {
    struct Sums {
        uint256[4] lanes;
    }

    function add(Sums storage self, bytes32 element) internal {
        unchecked {
            for (uint256 lane = 0; lane < 4; ++lane) self.lanes[lane] += _image(element, lane);
        }
    }

    function remove(Sums storage self, bytes32 element) internal {
        unchecked {
            for (uint256 lane = 0; lane < 4; ++lane) self.lanes[lane] -= _image(element, lane);
        }
    }

    function root(Sums storage self) internal view returns (bytes32) {
        return keccak256(abi.encode(self.lanes));
    }

    function _image(bytes32 element, uint256 lane) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(element, lane)));
    }
}
