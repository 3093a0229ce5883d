// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Governed} from "../governance/Governed.sol";
import {IBlacklist} from "../interfaces/IBlacklist.sol";

/// @title How long after it is added an entry counts, and for how long
/// @notice In seconds. Both times are stamped into the entry; a later change of a window does not touch it.
abstract contract ListingTerms is IBlacklist, Governed {
    using SafeCast for uint256;

    /// @dev At least the hour that an honest node may go on with what it last read; at most the week in which a court's
    /// order would be called slow.
    uint256 public constant COMPLIANCE_WINDOW_MIN = 1 hours;
    uint256 public constant COMPLIANCE_WINDOW_MAX = 7 days;
    uint256 public constant EMERGENCY_WINDOW_MIN = 1 hours;
    uint256 public constant EMERGENCY_WINDOW_MAX = 7 days;
    /// @dev From the time it counts. A proposal takes 10 days to execution by default (1 + 7 + 2), so 14 leave four.
    uint256 public constant EMERGENCY_LAPSE_MIN = 1 days;
    uint256 public constant EMERGENCY_LAPSE_MAX = 30 days;
    uint256 public constant SEVERE_LAPSE_MIN = 14 days;
    uint256 public constant SEVERE_LAPSE_MAX = 180 days;
    /// @notice Reasons from here on are severe: they lapse later.
    uint8 public constant SEVERE_REASON_MIN = 128;

    uint40 private _complianceWindow;
    uint40 private _emergencyWindow;
    uint40 private _emergencyLapse;
    uint40 private _severeLapse;

    constructor() {
        _setComplianceWindow(24 hours);
        _setEmergencyWindow(2 hours);
        _setEmergencyLapse(14 days);
        _setSevereLapse(90 days);
    }

    function setComplianceWindow(uint256 value) external onlyGovernance {
        _setComplianceWindow(value);
    }

    function setEmergencyWindow(uint256 value) external onlyGovernance {
        _setEmergencyWindow(value);
    }

    function setEmergencyLapse(uint256 value) external onlyGovernance {
        _setEmergencyLapse(value);
    }

    function setSevereLapse(uint256 value) external onlyGovernance {
        _setSevereLapse(value);
    }

    function complianceWindow() public view returns (uint256) {
        return _complianceWindow;
    }

    function emergencyWindow() public view returns (uint256) {
        return _emergencyWindow;
    }

    function emergencyLapse() public view returns (uint256) {
        return _emergencyLapse;
    }

    function severeLapse() public view returns (uint256) {
        return _severeLapse;
    }

    function _setComplianceWindow(uint256 value) private {
        _complianceWindow = _bounded(value, COMPLIANCE_WINDOW_MIN, COMPLIANCE_WINDOW_MAX).toUint40();
        emit ComplianceWindowSet(value);
    }

    function _setEmergencyWindow(uint256 value) private {
        _emergencyWindow = _bounded(value, EMERGENCY_WINDOW_MIN, EMERGENCY_WINDOW_MAX).toUint40();
        emit EmergencyWindowSet(value);
    }

    function _setEmergencyLapse(uint256 value) private {
        _emergencyLapse = _bounded(value, EMERGENCY_LAPSE_MIN, EMERGENCY_LAPSE_MAX).toUint40();
        emit EmergencyLapseSet(value);
    }

    function _setSevereLapse(uint256 value) private {
        _severeLapse = _bounded(value, SEVERE_LAPSE_MIN, SEVERE_LAPSE_MAX).toUint40();
        emit SevereLapseSet(value);
    }
}
