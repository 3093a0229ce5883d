// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title bond = k * Mbps^(p/5), in exact integers
/// @notice The fifth root of an integer below 2^256 is below 2^51.2, so Newton's method needs no fixed-point numbers.
/// With k <= 2.5e6, p <= 9 and Mbps <= 1e5 the radicand is at most 9.77e76 < 2^256 = 1.16e77.
library BondCurve {
    /// @return The largest whole number of units whose fifth power is at most factor^5 * mbps^exponentFifths.
    function units(uint256 mbps, uint256 factor, uint256 exponentFifths) internal pure returns (uint256) {
        return fifthRoot(factor ** 5 * mbps ** exponentFifths);
    }

    /// @return root floor(value^(1/5)).
    /// @dev Starts at a power of two above the root and falls; the first step that does not fall stands at the floor.
    function fifthRoot(uint256 value) internal pure returns (uint256 root) {
        if (value == 0) return 0;
        root = 1 << (Math.log2(value) / 5 + 1);
        while (true) {
            uint256 next = (4 * root + value / root ** 4) / 5;
            if (next >= root) return root;
            root = next;
        }
    }
}
