// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Governed} from "../governance/Governed.sol";
import {ICourt} from "../interfaces/ICourt.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title What a challenge costs, how long it takes and what it brings
/// @notice A commitment keeps the bond and the times it was made with.
abstract contract CourtTerms is ICourt, Governed {
    using SafeCast for uint256;

    /// @dev In units of the token: 1 to 1,000 USDC.
    uint256 public constant CHALLENGE_BOND_MIN = 1e6;
    uint256 public constant CHALLENGE_BOND_MAX = 1_000e6;
    /// @dev Long enough that a copied reveal comes too late: several blocks everywhere.
    uint256 public constant REVEAL_DELAY_MIN = 30 seconds;
    uint256 public constant REVEAL_DELAY_MAX = 1 hours;
    uint256 public constant REVEAL_WINDOW_MIN = 1 hours;
    uint256 public constant REVEAL_WINDOW_MAX = 7 days;
    uint256 public constant MAX_EVIDENCE_AGE_MIN = 1 days;
    uint256 public constant MAX_EVIDENCE_AGE_MAX = 30 days;
    /// @notice Honest nodes keep RATE_WINDOW_BLOCKS_MAX between two prices, whatever is set.
    uint256 public constant RATE_WINDOW_BLOCKS_MIN = 1;
    uint256 public constant RATE_WINDOW_BLOCKS_MAX = 300;
    /// @dev Never more than half, so that who slashes itself loses at least the other half.
    uint256 public constant REWARD_BPS_MIN = 0;
    uint256 public constant REWARD_BPS_MAX = 5_000;

    address public immutable registry;

    uint32 private _challengeBond;
    uint24 private _revealDelay;
    uint24 private _revealWindow;
    uint24 private _maxEvidenceAge;
    uint16 private _rateWindowBlocks;
    uint16 private _rewardBps;
    /// @dev Beside the terms because every reveal reads them: no slot of its own to load and write.
    uint64 internal _treasuryUnits;

    /// @dev The registry is not asked here, it may not stand yet: five days are below the least unbonding period.
    constructor(address registry_) {
        registry = _nonzero(registry_);
        _setChallengeBond(10e6);
        _setRevealDelay(60 seconds);
        _setRevealWindow(1 days);
        _setMaxEvidenceAge(5 days);
        _setRateWindowBlocks(15);
        _setRewardBps(5_000);
    }

    function setChallengeBond(uint256 value) external onlyGovernance {
        _setChallengeBond(value);
    }

    function setRevealDelay(uint256 value) external onlyGovernance {
        _setRevealDelay(value);
    }

    function setRevealWindow(uint256 value) external onlyGovernance {
        _setRevealWindow(value);
    }

    /// @notice Evidence must be too old before the stake can leave; the registry checks the same from its side.
    function setMaxEvidenceAge(uint256 value) external onlyGovernance {
        _setMaxEvidenceAge(value);
        uint256 unbonding = IRegistry(registry).unbondingPeriod();
        if (value >= unbonding) revert EvidenceOutlivesUnbonding(value, unbonding);
    }

    function setRateWindowBlocks(uint256 value) external onlyGovernance {
        _setRateWindowBlocks(value);
    }

    function setRewardBps(uint256 value) external onlyGovernance {
        _setRewardBps(value);
    }

    function challengeBond() public view returns (uint256) {
        return _challengeBond;
    }

    function revealDelay() public view returns (uint256) {
        return _revealDelay;
    }

    function revealWindow() public view returns (uint256) {
        return _revealWindow;
    }

    function maxEvidenceAge() public view returns (uint256) {
        return _maxEvidenceAge;
    }

    function rateWindowBlocks() public view returns (uint256) {
        return _rateWindowBlocks;
    }

    function rewardBps() public view returns (uint256) {
        return _rewardBps;
    }

    function _setChallengeBond(uint256 value) private {
        _challengeBond = _bounded(value, CHALLENGE_BOND_MIN, CHALLENGE_BOND_MAX).toUint32();
        emit ChallengeBondSet(value);
    }

    function _setRevealDelay(uint256 value) private {
        _revealDelay = _bounded(value, REVEAL_DELAY_MIN, REVEAL_DELAY_MAX).toUint24();
        emit RevealDelaySet(value);
    }

    function _setRevealWindow(uint256 value) private {
        _revealWindow = _bounded(value, REVEAL_WINDOW_MIN, REVEAL_WINDOW_MAX).toUint24();
        emit RevealWindowSet(value);
    }

    function _setMaxEvidenceAge(uint256 value) private {
        _maxEvidenceAge = _bounded(value, MAX_EVIDENCE_AGE_MIN, MAX_EVIDENCE_AGE_MAX).toUint24();
        emit MaxEvidenceAgeSet(value);
    }

    function _setRateWindowBlocks(uint256 value) private {
        _rateWindowBlocks = _bounded(value, RATE_WINDOW_BLOCKS_MIN, RATE_WINDOW_BLOCKS_MAX).toUint16();
        emit RateWindowBlocksSet(value);
    }

    function _setRewardBps(uint256 value) private {
        _rewardBps = _bounded(value, REWARD_BPS_MIN, REWARD_BPS_MAX).toUint16();
        emit RewardBpsSet(value);
    }
}
