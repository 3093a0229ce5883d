// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What an operator was punished for
/// @notice The first three offences lie beside their number in one slot, as the first 80 bits of their keys; later ones
/// have a slot each. No operator chooses what is listed or on which day it is caught, and 2^80 tries would be needed to
/// make one offence look like another. The number stays at its greatest: an operator cannot convict itself of trifles
/// until it overflows and nobody can convict it any more.
library Convictions {
    struct Record {
        uint16 count;
        bytes10 first;
        bytes10 second;
        bytes10 third;
        mapping(bytes32 key => bool) later;
    }

    function add(Record storage self, bytes32 key) internal {
        uint16 count = self.count;
        if (count == 0) self.first = bytes10(key);
        else if (count == 1) self.second = bytes10(key);
        else if (count == 2) self.third = bytes10(key);
        else self.later[key] = true;
        if (count < type(uint16).max) self.count = count + 1;
    }

    function has(Record storage self, bytes32 key) internal view returns (bool) {
        bytes10 short = bytes10(key);
        if (self.first == short || self.second == short || self.third == short) return true;
        return self.count > 3 && self.later[key];
    }
}
