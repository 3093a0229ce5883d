// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Governed} from "../governance/Governed.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {BondCurve} from "./BondCurve.sol";

/// @dev What the registry asks of the court: how old its evidence may be.
interface IEvidenceAge {
    function maxEvidenceAge() external view returns (uint256);
}

/// @title What a bond costs and how long it takes to leave
/// @notice A change reaches existing nodes only when they declare another capacity (both ways) or take stake out (only
/// downwards); stake that already unbonds keeps its time.
abstract contract BondTerms is IRegistry, Governed {
    using SafeCast for uint256;

    uint256 public constant MBPS_MIN = 1;
    uint256 public constant MBPS_MAX = 100_000;

    /// @dev In units of the token: 0.05 to 2.5 USDC, a fifth and ten times the default of 0.25 with which 1 Gbps takes
    /// 995.27 USDC. Above 2.5 the radicand of the curve would not fit 256 bits.
    uint256 public constant BOND_FACTOR_MIN = 50_000;
    uint256 public constant BOND_FACTOR_MAX = 2_500_000;
    /// @dev alpha from 1 to 9/5, the range deCDN uses; 6/5 at first.
    uint256 public constant BOND_EXPONENT_FIFTHS_MIN = 5;
    uint256 public constant BOND_EXPONENT_FIFTHS_MAX = 9;
    uint256 public constant UNBONDING_PERIOD_MIN = 7 days;
    uint256 public constant UNBONDING_PERIOD_MAX = 60 days;

    /// @notice The only address that may slash; fixed.
    address public immutable court;

    uint64 private _bondFactor;
    uint8 private _bondExponentFifths;
    uint40 private _unbondingPeriod;

    constructor(address court_) {
        court = _nonzero(court_);
        _setBondFactor(250_000);
        _setBondExponentFifths(6);
        _setUnbondingPeriod(14 days);
    }

    function setBondFactor(uint256 value) external onlyGovernance {
        _setBondFactor(value);
    }

    function setBondExponentFifths(uint256 value) external onlyGovernance {
        _setBondExponentFifths(value);
    }

    /// @notice Stake must not leave before evidence against it is too old; the court checks the same from its side.
    function setUnbondingPeriod(uint256 value) external onlyGovernance {
        _setUnbondingPeriod(value);
        uint256 age = IEvidenceAge(court).maxEvidenceAge();
        if (age >= value) revert EvidenceOutlivesUnbonding(age, value);
    }

    function bondFactor() public view returns (uint256) {
        return _bondFactor;
    }

    function bondExponentFifths() public view returns (uint256) {
        return _bondExponentFifths;
    }

    function unbondingPeriod() public view returns (uint256) {
        return _unbondingPeriod;
    }

    function bondFor(uint256 mbps) public view returns (uint256) {
        return BondCurve.units(_bounded(mbps, MBPS_MIN, MBPS_MAX), _bondFactor, _bondExponentFifths);
    }

    function _setBondFactor(uint256 value) private {
        _bondFactor = _bounded(value, BOND_FACTOR_MIN, BOND_FACTOR_MAX).toUint64();
        emit BondFactorSet(value);
    }

    function _setBondExponentFifths(uint256 value) private {
        _bondExponentFifths = _bounded(value, BOND_EXPONENT_FIFTHS_MIN, BOND_EXPONENT_FIFTHS_MAX).toUint8();
        emit BondExponentFifthsSet(value);
    }

    function _setUnbondingPeriod(uint256 value) private {
        _unbondingPeriod = _bounded(value, UNBONDING_PERIOD_MIN, UNBONDING_PERIOD_MAX).toUint40();
        emit UnbondingPeriodSet(value);
    }
}
