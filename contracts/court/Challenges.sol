// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BlockHashes} from "./BlockHashes.sol";
import {CourtTerms} from "./CourtTerms.sol";

/// @title Commitments, and the money of a challenge
/// @notice A commitment is kept under its sender: who copies one, or the reveal that follows, has nothing. This contract
/// holds open bonds, what could not be paid out, and the treasury's share, and pays nobody anything else.
/// @dev The token is one like USDC, fixed at deployment. Payments to a challenger that fail are owed instead, so a frozen
/// challenger stops no slash; the treasury is never paid on the way. Should the token freeze this contract, challenges stand
/// still until it thaws.
abstract contract Challenges is CourtTerms, BlockHashes, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    address public immutable bondToken;

    mapping(address challenger => mapping(bytes32 commitment => Commitment)) private _commitments;
    mapping(address account => uint256) public owed;
    uint256 public treasuryUnits;

    constructor(address bondToken_) {
        bondToken = _nonzero(bondToken_);
    }

    function commit(bytes32 commitment, uint64[] calldata blockNumbers) external nonReentrant {
        Commitment storage slot = _commitments[msg.sender][commitment];
        if (slot.bond != 0) revert AlreadyCommitted(commitment);
        _anchor(blockNumbers);
        uint256 bond = challengeBond();
        uint256 revealFrom = block.timestamp + revealDelay();
        uint256 revealUntil = block.timestamp + revealWindow();
        (slot.bond, slot.revealFrom, slot.revealUntil) = (bond.toUint64(), revealFrom.toUint40(), revealUntil.toUint40());
        emit Committed(msg.sender, commitment, bond, revealFrom, revealUntil);
        IERC20(bondToken).safeTransferFrom(msg.sender, address(this), bond);
    }

    function permit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        try IERC20Permit(bondToken).permit(owner, address(this), amount, deadline, v, r, s) {} catch {}
    }

    function forfeit(address challenger, bytes32 commitment) external {
        Commitment memory made = _commitments[challenger][commitment];
        if (made.bond == 0) revert NoCommitment(challenger, commitment);
        if (block.timestamp <= made.revealUntil) revert StillOpen(made.revealUntil);
        delete _commitments[challenger][commitment];
        treasuryUnits += made.bond;
        emit Forfeited(challenger, commitment, made.bond);
    }

    function withdrawOwed(address to) external nonReentrant returns (uint256 amount) {
        _nonzero(to);
        amount = owed[msg.sender];
        if (amount == 0) revert NothingOwed(msg.sender);
        owed[msg.sender] = 0;
        emit OwedWithdrawn(msg.sender, to, amount);
        IERC20(bondToken).safeTransfer(to, amount);
    }

    function collectTreasury() external nonReentrant returns (uint256 amount) {
        amount = treasuryUnits;
        if (amount == 0) revert NothingOwed(governance);
        treasuryUnits = 0;
        emit TreasuryCollected(amount);
        IERC20(bondToken).safeTransfer(governance, amount);
    }

    function commitments(address challenger, bytes32 commitment) external view returns (Commitment memory) {
        return _commitments[challenger][commitment];
    }

    function commitmentOf(address challenger, bytes32 evidenceHash, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(challenger, evidenceHash, salt));
    }

    /// @dev Use up the sender's commitment to this evidence, if its time is now.
    function _open(bytes32 evidenceHash, bytes32 salt) internal returns (uint256 bond) {
        bytes32 commitment = commitmentOf(msg.sender, evidenceHash, salt);
        Commitment memory made = _commitments[msg.sender][commitment];
        if (made.bond == 0) revert NoCommitment(msg.sender, commitment);
        if (block.timestamp < made.revealFrom) revert TooEarly(made.revealFrom);
        if (block.timestamp > made.revealUntil) revert TooLate(made.revealUntil);
        delete _commitments[msg.sender][commitment];
        return made.bond;
    }

    function _pay(address account, uint256 amount) internal {
        if (IERC20(bondToken).trySafeTransfer(account, amount)) return;
        owed[account] += amount;
        emit Owed(account, amount);
    }
}
