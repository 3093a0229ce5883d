// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Governed} from "../governance/Governed.sol";
import {BondTerms} from "./BondTerms.sol";
import {Records} from "./Records.sol";
import {StakeVotes} from "./StakeVotes.sol";
import {Unbonding} from "./Unbonding.sol";

/// @title The registry of nodes and their bonds
/// @notice Nobody can stop it. Governance can eject an operator and move parameters within bounds; the court can slash,
/// at most half at a time; neither can send stake anywhere else, and nobody but the operator can take its bond out.
/// @dev Bonded stake exists only where an operator is registered; whatever ends a registration moves all of it to
/// unbonding. The token's balance here is at least the sum of both. The token is one like USDC: fixed at deployment,
/// plain, at most 2^56 units with one operator. If it freezes this contract everything here stands still; if it freezes an operator, the
/// operator withdraws to another address.
contract Registry is StakeVotes, BondTerms, Records, ReentrancyGuardTransient, Multicall {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using Unbonding for Unbonding.Queue;

    /// @notice No slash takes more than half, whatever the court says.
    uint256 public constant SLASH_BPS_MAX = 5_000;

    address public immutable bondToken;

    mapping(address operator => Unbonding.Queue) private _queues;

    modifier onlyCourt() {
        if (msg.sender != court) revert OnlyCourt(msg.sender);
        _;
    }

    constructor(address bondToken_, address governance_, address court_) Governed(governance_) BondTerms(court_) {
        bondToken = _nonzero(bondToken_);
    }

    function register(
        Registration calldata registration,
        bytes calldata operatorSignature,
        bytes calldata hotKeySignature,
        bytes calldata endpointSignature
    ) external nonReentrant {
        address operator = registration.operator;
        Profile storage profile = _profiles[operator];
        if (profile.ejected) revert OperatorEjected(operator);
        if (profile.registered) revert AlreadyRegistered(operator);
        _record(registration, _useNonce(operator), operatorSignature, hotKeySignature, endpointSignature);
        profile.registered = true;
        uint256 required = bondFor(registration.mbps);
        _setRequired(operator, required);
        _bond(operator, operator, required);
    }

    /// @dev The requirement is asked anew only with another capacity: a change of the price must not pull a bond that
    /// governance has made dearer meanwhile.
    function update(
        Registration calldata registration,
        bytes calldata operatorSignature,
        bytes calldata hotKeySignature,
        bytes calldata endpointSignature
    ) external nonReentrant {
        address operator = registration.operator;
        _onlyRegistered(operator);
        bool same = _profiles[operator].mbps == registration.mbps;
        _record(registration, _useNonce(operator), operatorSignature, hotKeySignature, endpointSignature);
        if (same) return;
        uint256 before = _stakes[operator].required;
        uint256 bonded = _stakes[operator].bonded;
        uint256 required = bondFor(registration.mbps);
        _setRequired(operator, required);
        if (bonded < required) _bond(operator, operator, required - bonded);
        else if (required < before && bonded > required) _unbond(operator, bonded - required);
    }

    function topUp(address operator, uint256 amount) external nonReentrant {
        _onlyRegistered(operator);
        if (amount == 0) revert ZeroAmount();
        _bond(operator, msg.sender, amount);
    }

    /// @dev A cheaper curve is adopted here, a dearer one is not: what was asked at the declaration is enough.
    function unbond(uint256 amount) external nonReentrant {
        _onlyRegistered(msg.sender);
        if (amount == 0) revert ZeroAmount();
        Stake storage stake = _stakes[msg.sender];
        uint256 required = Math.min(stake.required, bondFor(_profiles[msg.sender].mbps));
        uint256 left = Math.saturatingSub(stake.bonded, amount); // no requirement is zero, so none is met by nothing
        if (left < required) revert BondTooLow(left, required);
        if (required != stake.required) _setRequired(msg.sender, required);
        _unbond(msg.sender, amount);
    }

    function deregister() external nonReentrant {
        _onlyRegistered(msg.sender);
        _end(msg.sender);
    }

    function withdraw(address to) external nonReentrant returns (uint256 amount) {
        _nonzero(to);
        Unbonding.Queue storage queue = _queues[msg.sender];
        amount = queue.takeMatured();
        if (amount == 0) revert NothingToWithdraw(queue.nextAvailableAt());
        emit Withdrawn(msg.sender, to, amount);
        IERC20(bondToken).safeTransfer(to, amount);
    }

    function permit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        try IERC20Permit(bondToken).permit(owner, address(this), amount, deadline, v, r, s) {} catch {}
    }

    function slash(
        address operator,
        uint256 amountBps,
        address beneficiary
    ) external onlyCourt nonReentrant returns (uint256 amount) {
        _nonzero(beneficiary);
        _bounded(amountBps, 0, SLASH_BPS_MAX);
        Unbonding.Queue storage queue = _queues[operator];
        uint256 bonded = _stakes[operator].bonded;
        amount = ((bonded + queue.total) * amountBps) / BPS;
        uint256 fromBonded = Math.min(amount, bonded);
        _restartAge(operator, bonded - fromBonded);
        if (amount > fromBonded) queue.slash(amount - fromBonded);
        emit Slashed(operator, amount, bonded - fromBonded, queue.total);
        if (_profiles[operator].registered && (bonded - fromBonded) * 2 < _stakes[operator].required) _end(operator);
        if (amount > 0) IERC20(bondToken).safeTransfer(beneficiary, amount);
    }

    function eject(address operator) external onlyGovernance {
        Profile storage profile = _profiles[operator];
        if (profile.ejected) revert OperatorEjected(operator);
        profile.ejected = true;
        emit Ejected(operator);
        if (profile.registered) _end(operator);
    }

    function unEject(address operator) external onlyGovernance {
        Profile storage profile = _profiles[operator];
        if (!profile.ejected) revert NotEjected(operator);
        profile.ejected = false;
        emit UnEjected(operator);
    }

    function isActive(address operator) public view returns (bool) {
        return _profiles[operator].registered && _stakes[operator].bonded >= _stakes[operator].required;
    }

    function node(address operator) external view returns (Node memory) {
        Profile storage profile = _profiles[operator];
        Stake storage stake = _stakes[operator];
        return
            Node({
                hotKey: profile.hotKey,
                mbps: profile.mbps,
                region: profile.region,
                regionSince: profile.regionSince,
                registered: profile.registered,
                ejected: profile.ejected,
                active: isActive(operator),
                bonded: stake.bonded,
                required: stake.required,
                unbonding: _queues[operator].total,
                voteSince: stake.since,
                nonce: stake.nonce
            });
    }

    function stakeOf(address operator) external view returns (uint256 bonded, uint256 unbonding) {
        return (_stakes[operator].bonded, _queues[operator].total);
    }

    function unbondings(
        address operator
    ) external view returns (uint256[] memory amounts, uint256[] memory availableAt) {
        return _queues[operator].open();
    }

    function withdrawable(address operator) external view returns (uint256) {
        return _queues[operator].matured();
    }

    function nonces(address operator) external view returns (uint256) {
        return _stakes[operator].nonce;
    }

    function _onlyRegistered(address operator) private view {
        if (!_profiles[operator].registered) revert NotRegistered(operator);
    }

    function _useNonce(address operator) private returns (uint256) {
        return _stakes[operator].nonce++;
    }

    function _setRequired(address operator, uint256 required) private {
        _stakes[operator].required = required.toUint56();
        emit BondRequired(operator, required);
    }

    /// @dev Books first, then pulls; a token that hands over less than it was asked for ends the whole call.
    function _bond(address operator, address payer, uint256 amount) private {
        emit Bonded(operator, amount, _addStake(operator, amount));
        IERC20 token = IERC20(bondToken);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(payer, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert TransferMismatch(amount, received);
    }

    function _unbond(address operator, uint256 amount) private {
        _removeStake(operator, amount);
        uint256 availableAt = _queues[operator].add(amount, block.timestamp + unbondingPeriod());
        emit UnbondingStarted(operator, amount, availableAt);
    }

    function _end(address operator) private {
        _profiles[operator].registered = false;
        _retireHotKey(_profiles[operator].hotKey);
        emit Deactivated(operator);
        uint256 bonded = _stakes[operator].bonded;
        if (bonded > 0) _unbond(operator, bonded);
    }
}
