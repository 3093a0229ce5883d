// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Stake on its way out
/// @notice Tranches in the order they mature. A tranche keeps the time it was given; a later change of the period does
/// not touch it. `total` is the sum of all open tranches: what a slash can still reach.
library Unbonding {
    using SafeCast for uint256;

    struct Tranche {
        uint64 amount;
        uint40 availableAt;
    }

    struct Queue {
        uint64 total;
        uint32 head;
        Tranche[] tranches;
    }

    /// @dev Bounds every loop here. The next tranche joins the newest one and both wait for the later time.
    uint256 internal constant TRANCHES_MAX = 16;

    /// @return The time it matures: never before an older tranche, so that the order holds.
    function add(Queue storage self, uint256 amount, uint256 availableAt) internal returns (uint256) {
        self.total += amount.toUint64();
        uint256 length = self.tranches.length;
        if (length > self.head) {
            Tranche storage newest = self.tranches[length - 1];
            if (availableAt < newest.availableAt) availableAt = newest.availableAt;
            if (availableAt == newest.availableAt || length - self.head == TRANCHES_MAX) {
                newest.amount += amount.toUint64();
                newest.availableAt = availableAt.toUint40();
                return availableAt;
            }
        }
        self.tranches.push(Tranche(amount.toUint64(), availableAt.toUint40()));
        return availableAt;
    }

    /// @notice Remove everything that has matured.
    function takeMatured(Queue storage self) internal returns (uint256 amount) {
        uint256 length = self.tranches.length;
        uint256 index = self.head;
        for (; index < length && self.tranches[index].availableAt <= block.timestamp; ++index) {
            amount += self.tranches[index].amount;
            delete self.tranches[index];
        }
        self.head = index.toUint32();
        self.total -= amount.toUint64();
    }

    /// @notice Take `amount`, at most `total`, newest tranches first.
    function slash(Queue storage self, uint256 amount) internal {
        self.total -= amount.toUint64();
        while (amount > 0) {
            Tranche storage newest = self.tranches[self.tranches.length - 1];
            if (newest.amount > amount) {
                newest.amount -= amount.toUint64();
                return;
            }
            amount -= newest.amount;
            self.tranches.pop();
        }
    }

    function matured(Queue storage self) internal view returns (uint256 amount) {
        uint256 length = self.tranches.length;
        for (uint256 index = self.head; index < length; ++index) {
            if (self.tranches[index].availableAt > block.timestamp) break;
            amount += self.tranches[index].amount;
        }
    }

    /// @return Zero when nothing is open.
    function nextAvailableAt(Queue storage self) internal view returns (uint256) {
        return self.tranches.length > self.head ? self.tranches[self.head].availableAt : 0;
    }

    function open(Queue storage self) internal view returns (uint256[] memory amounts, uint256[] memory availableAt) {
        uint256 count = self.tranches.length - self.head;
        amounts = new uint256[](count);
        availableAt = new uint256[](count);
        for (uint256 index = 0; index < count; ++index) {
            Tranche storage tranche = self.tranches[self.head + index];
            (amounts[index], availableAt[index]) = (tranche.amount, tranche.availableAt);
        }
    }
}
