// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BlockHashes} from "./BlockHashes.sol";
import {CourtTerms} from "./CourtTerms.sol";

/// @title Commitments, and the money of a challenge
/// @notice A commitment is kept under its sender: who copies one, or the reveal that follows, has nothing. What this contract
/// holds is what challengers have paid in and earned and the treasury's share; each takes out its own, and nobody is paid
/// on the way of a slash, so no frozen account stops one.
/// @dev The token is one like USDC, fixed at deployment, below 2^56 units (72 billion) in all. Should it freeze this
/// contract, slashes and payments stand still until it thaws.
abstract contract Challenges is CourtTerms, BlockHashes, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev One slot, which stays in use from challenge to challenge. 104 bits of the commitment are enough: to reveal
    /// under another's or an empty commitment somebody would have to hit it within the reveal window, 2^104 tries.
    struct Account {
        uint56 units;
        uint32 bond;
        uint40 revealFrom;
        uint24 revealSeconds;
        bytes13 commitment;
    }

    /// @notice At least so long a reveal is open, even if the delay takes all of the window.
    uint256 public constant REVEAL_SECONDS_MIN = 30 minutes;

    address public immutable bondToken;

    mapping(address challenger => Account) private _accounts;

    constructor(address bondToken_) {
        bondToken = _nonzero(bondToken_);
    }

    function deposit(uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _credit(msg.sender, amount);
        emit Deposited(msg.sender, amount);
        IERC20(bondToken).safeTransferFrom(msg.sender, address(this), amount);
    }

    function commit(bytes32 commitment, uint64[] calldata blockNumbers) external nonReentrant {
        Account memory account = _accounts[msg.sender];
        if (account.bond != 0) {
            uint256 until = _revealUntil(account);
            if (block.timestamp <= until) revert AlreadyCommitted(until);
            _forfeit(msg.sender, account);
        }
        _anchor(blockNumbers);
        uint256 bond = challengeBond();
        uint256 missing = bond > account.units ? bond - account.units : 0;
        account.units = (account.units + missing - bond).toUint56();
        account.bond = bond.toUint32();
        account.revealFrom = (block.timestamp + revealDelay()).toUint40();
        account.revealSeconds = Math.max(revealWindow() - revealDelay(), REVEAL_SECONDS_MIN).toUint24();
        account.commitment = bytes13(commitment);
        _accounts[msg.sender] = account;
        emit Committed(msg.sender, commitment, bond, account.revealFrom, _revealUntil(account));
        if (missing != 0) IERC20(bondToken).safeTransferFrom(msg.sender, address(this), missing);
    }

    function permit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        try IERC20Permit(bondToken).permit(owner, address(this), amount, deadline, v, r, s) {} catch {}
    }

    function forfeit(address challenger) external {
        Account memory account = _accounts[challenger];
        if (account.bond == 0) revert NoCommitment(challenger);
        uint256 until = _revealUntil(account);
        if (block.timestamp <= until && msg.sender != challenger) revert StillOpen(until);
        _forfeit(challenger, account);
        _accounts[challenger] = account;
    }

    function withdraw(address to) external nonReentrant returns (uint256 amount) {
        _nonzero(to);
        amount = _accounts[msg.sender].units;
        if (amount == 0) revert NothingToWithdraw();
        _accounts[msg.sender].units = 0;
        emit Withdrawn(msg.sender, to, amount);
        IERC20(bondToken).safeTransfer(to, amount);
    }

    function collectTreasury() external nonReentrant returns (uint256 amount) {
        amount = _treasuryUnits;
        if (amount == 0) revert NothingToWithdraw();
        _treasuryUnits = 0;
        emit TreasuryCollected(amount);
        IERC20(bondToken).safeTransfer(governance, amount);
    }

    function docketOf(address challenger) external view returns (Docket memory) {
        Account memory account = _accounts[challenger];
        return
            Docket({
                units: account.units,
                bond: account.bond,
                revealFrom: account.revealFrom,
                revealUntil: _revealUntil(account),
                commitment: account.commitment
            });
    }

    function treasuryUnits() external view returns (uint256) {
        return _treasuryUnits;
    }

    function commitmentOf(address challenger, bytes32 evidenceHash, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(challenger, evidenceHash, salt));
    }

    /// @dev Close the sender's commitment to this evidence, if its time is now; its bond is free again.
    function _close(bytes32 evidenceHash, bytes32 salt) internal {
        Account memory account = _accounts[msg.sender];
        bytes32 commitment = commitmentOf(msg.sender, evidenceHash, salt);
        if (account.bond == 0 || account.commitment != bytes13(commitment)) revert NoCommitment(msg.sender);
        if (block.timestamp < account.revealFrom) revert TooEarly(account.revealFrom);
        uint256 until = _revealUntil(account);
        if (block.timestamp > until) revert TooLate(until);
        account.units += account.bond;
        _clear(account);
        _accounts[msg.sender] = account;
    }

    function _credit(address challenger, uint256 amount) internal {
        _accounts[challenger].units += amount.toUint56();
    }

    function _forfeit(address challenger, Account memory account) private {
        emit Forfeited(challenger, account.bond);
        _treasuryUnits += account.bond;
        _clear(account);
    }

    function _clear(Account memory account) private pure {
        account.bond = 0;
        account.revealFrom = 0;
        account.revealSeconds = 0;
        account.commitment = 0;
    }

    function _revealUntil(Account memory account) private pure returns (uint256) {
        return uint256(account.revealFrom) + account.revealSeconds;
    }
}
