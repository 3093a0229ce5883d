// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IBatchSettlement} from "../interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "../interfaces/IDepositCollector.sol";
import {Signatures} from "./Signatures.sol";

/// @title Payment channels of the x402 scheme `batch-settlement`, with batches that no bad row can stop
/// @notice How it can be stopped: it cannot. There is no owner, no pause, no upgrade and no fee. What a token does to an address it
/// freezes stays with that address: a frozen receiver cannot be settled, a frozen payer cannot be refunded, nobody else notices.
///
/// @dev Money: for every token, balanceOf(this) >= sum over its channels of (balance - totalClaimed) + sum over its receivers of
/// (totalClaimed - totalSettled). Claims only move units from the first sum to the second.
contract BatchSettlement is IBatchSettlement, EIP712, Multicall, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev One slot, so that a refund writes one. `balance` counts what was claimed as well, so both only need to be compared.
    /// 112 bits hold 5e33 units; a deposit that would exceed them is refused.
    struct Channel {
        uint112 balance;
        uint112 totalClaimed;
        uint32 refundNonce;
    }

    struct Withdrawal {
        uint128 amount;
        uint40 initiatedAt;
    }

    struct Receiver {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    uint40 public constant MIN_WITHDRAW_DELAY = 15 minutes;
    uint40 public constant MAX_WITHDRAW_DELAY = 30 days;

    bytes32 public constant CHANNEL_CONFIG_TYPEHASH = keccak256(
        "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
    );
    bytes32 public constant VOUCHER_TYPEHASH = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
    bytes32 public constant REFUND_TYPEHASH = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
    bytes32 public constant CLAIM_ENTRY_TYPEHASH =
        keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)");
    bytes32 public constant CLAIM_BATCH_TYPEHASH = keccak256(
        "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
    );

    /// @dev The reason of a row that is good: no error has this selector.
    bytes4 private constant NONE = 0;

    mapping(bytes32 channelId => Channel) private _channels;
    mapping(bytes32 channelId => Withdrawal) public pendingWithdrawals;
    mapping(address receiver => mapping(address token => Receiver)) public receivers;

    constructor() EIP712("x402 Batch Settlement", "1") {}

    // ------------------------------------------------------------------------------------------------------- paying in

    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external
        nonReentrant
    {
        _checkConfig(config);
        if (amount == 0) revert ZeroDeposit();
        if (collector == address(0)) revert InvalidCollector();

        bytes32 channelId = getChannelId(config);
        Channel storage channel = _channels[channelId];
        uint112 before = channel.balance;
        if (amount > type(uint112).max - before) revert DepositOverflow();
        uint112 balance = before + uint112(amount);
        channel.balance = balance;

        if (before == 0) emit ChannelCreated(channelId, config);
        emit Deposited(channelId, msg.sender, amount, balance);

        IERC20 token = IERC20(config.token);
        uint256 held = token.balanceOf(address(this));
        IDepositCollector(collector).collect(config.payer, config.token, amount, channelId, collectorData);
        if (token.balanceOf(address(this)) != held + amount) revert DepositCollectionFailed();
    }

    // ------------------------------------------------------------------------------------------------ claim and settle

    function claim(VoucherClaim[] calldata voucherClaims) external nonReentrant {
        if (voucherClaims.length == 0) revert EmptyBatch();
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            VoucherClaim calldata row = voucherClaims[i];
            bool allowed = _isReceiverSide(row.voucher.channel);
            _claimOrSkip(row, allowed ? NONE : NotAuthorizedToClaim.selector);
        }
    }

    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature)
        external
        nonReentrant
    {
        if (voucherClaims.length == 0) revert EmptyBatch();
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        if (!Signatures.isBy(authorizer, getClaimBatchDigest(voucherClaims), authorizerSignature)) {
            revert InvalidSignature();
        }
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            VoucherClaim calldata row = voucherClaims[i];
            bool allowed = row.voucher.channel.receiverAuthorizer == authorizer;
            _claimOrSkip(row, allowed ? NONE : NotReceiverAuthorizer.selector);
        }
    }

    function settle(address receiver, address token) external nonReentrant {
        Receiver storage account = receivers[receiver][token];
        uint128 claimed = account.totalClaimed;
        uint128 amount = claimed - account.totalSettled;
        if (amount == 0) return;
        account.totalSettled = claimed;
        emit Settled(receiver, token, msg.sender, amount);
        IERC20(token).safeTransfer(receiver, amount);
    }

    // ------------------------------------------------------------------------------------------------- the payer leaves

    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        if (!_isPayerSide(config)) revert InvalidChannel();
        if (amount == 0) revert NothingToWithdraw();

        bytes32 channelId = getChannelId(config);
        Withdrawal storage leaving = pendingWithdrawals[channelId];
        if (leaving.initiatedAt != 0) revert WithdrawalAlreadyPending();
        if (amount > _unclaimed(_channels[channelId])) revert WithdrawAmountExceedsAvailable();

        uint40 now_ = uint40(block.timestamp);
        leaving.amount = amount;
        leaving.initiatedAt = now_;
        emit WithdrawInitiated(channelId, amount, now_ + config.withdrawDelay);
    }

    function finalizeWithdraw(ChannelConfig calldata config) external nonReentrant {
        if (!_isPayerSide(config)) revert NotAuthorizedToFinalizeWithdraw();

        bytes32 channelId = getChannelId(config);
        Withdrawal storage leaving = pendingWithdrawals[channelId];
        uint128 amount = leaving.amount;
        uint40 since = leaving.initiatedAt;
        if (since == 0) revert WithdrawalNotPending();
        if (block.timestamp < uint256(since) + config.withdrawDelay) revert WithdrawDelayNotElapsed();

        leaving.amount = 0;
        leaving.initiatedAt = 0;
        Channel storage channel = _channels[channelId];
        uint112 unclaimed = _unclaimed(channel);
        if (amount > unclaimed) amount = unclaimed;
        emit WithdrawFinalized(channelId, msg.sender, amount);
        _payBack(config, channelId, channel, uint112(amount));
    }

    // ---------------------------------------------------------------------------------------- the receiver gives it back

    function refund(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        if (!_isReceiverSide(config)) revert NotAuthorizedToRefund();
        _refund(config, getChannelId(config), amount);
    }

    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external nonReentrant {
        bytes32 channelId = getChannelId(config);
        if (nonce != _channels[channelId].refundNonce) revert InvalidRefundNonce();
        bytes32 digest = getRefundDigest(channelId, nonce, amount);
        if (!Signatures.isBy(config.receiverAuthorizer, digest, receiverAuthorizerSignature)) revert InvalidSignature();
        _refund(config, channelId, amount);
    }

    // ------------------------------------------------------------------------------------------------------------ views

    function getChannelId(ChannelConfig calldata config) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CHANNEL_CONFIG_TYPEHASH, config)));
    }

    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, maxClaimableAmount)));
    }

    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(REFUND_TYPEHASH, channelId, nonce, amount)));
    }

    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) public view returns (bytes32) {
        bytes32[] memory entries = new bytes32[](voucherClaims.length);
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            VoucherClaim calldata row = voucherClaims[i];
            bytes32 channelId = getChannelId(row.voucher.channel);
            entries[i] = keccak256(
                abi.encode(CLAIM_ENTRY_TYPEHASH, channelId, row.voucher.maxClaimableAmount, row.totalClaimed)
            );
        }
        bytes32 claims = keccak256(abi.encodePacked(entries));
        return _hashTypedDataV4(keccak256(abi.encode(CLAIM_BATCH_TYPEHASH, claims)));
    }

    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed) {
        Channel storage channel = _channels[channelId];
        return (channel.balance, channel.totalClaimed);
    }

    function refundNonce(bytes32 channelId) external view returns (uint256) {
        return _channels[channelId].refundNonce;
    }

    // -------------------------------------------------------------------------------------------------------- internals

    /// @dev A channel nobody could be paid from, or leave, is not opened.
    function _checkConfig(ChannelConfig calldata config) private pure {
        if (
            config.payer == address(0) || config.receiver == address(0) || config.receiverAuthorizer == address(0)
                || config.token == address(0)
        ) revert InvalidChannel();
        if (config.withdrawDelay < MIN_WITHDRAW_DELAY || config.withdrawDelay > MAX_WITHDRAW_DELAY) {
            revert WithdrawDelayOutOfRange();
        }
    }

    /// @dev Books one row, or says why not. `reason` is what is already known against it. Nothing here reverts, whatever the row's
    /// payer and token are up to: sums are checked first, and a signer that is a contract gets bounded gas (Signatures).
    function _claimOrSkip(VoucherClaim calldata row, bytes4 reason) private {
        ChannelConfig calldata config = row.voucher.channel;
        bytes32 channelId = getChannelId(config);
        Channel storage channel = _channels[channelId];
        uint112 claimed = channel.totalClaimed;
        uint128 wanted = row.totalClaimed;

        Receiver storage account = receivers[config.receiver][config.token];

        if (reason == NONE) reason = _faultOf(row, channelId, claimed, channel.balance);
        if (reason == NONE && wanted - claimed > type(uint128).max - account.totalClaimed) reason = ClaimOverflow.selector;
        if (reason != NONE) {
            emit ClaimSkipped(channelId, reason);
            return;
        }
        uint128 amount = wanted - claimed;
        channel.totalClaimed = uint112(wanted); // at most the balance
        account.totalClaimed += amount;
        emit Claimed(channelId, msg.sender, amount, wanted);
    }

    function _faultOf(VoucherClaim calldata row, bytes32 channelId, uint128 claimed, uint128 balance)
        private
        view
        returns (bytes4)
    {
        uint128 wanted = row.totalClaimed;
        uint128 ceiling = row.voucher.maxClaimableAmount;
        if (wanted <= claimed) return NothingNewToClaim.selector;
        if (wanted > ceiling) return ClaimExceedsCeiling.selector;
        if (wanted > balance) return ClaimExceedsBalance.selector;

        bytes32 digest = getVoucherDigest(channelId, ceiling);
        address authorizer = row.voucher.channel.payerAuthorizer;
        bool signed = authorizer != address(0)
            ? Signatures.isByKey(authorizer, digest, row.signature)
            : Signatures.isBy(row.voucher.channel.payer, digest, row.signature);
        return signed ? NONE : InvalidSignature.selector;
    }

    /// @dev A pending withdrawal shrinks by what is refunded: it was announced of the same units.
    function _refund(ChannelConfig calldata config, bytes32 channelId, uint128 wanted) private {
        if (wanted == 0) revert ZeroRefund();
        Channel storage channel = _channels[channelId];
        ++channel.refundNonce;

        uint112 amount = _unclaimed(channel);
        if (wanted < amount) amount = uint112(wanted);
        if (amount == 0) return;

        Withdrawal storage leaving = pendingWithdrawals[channelId];
        if (leaving.initiatedAt != 0) {
            uint128 announced = leaving.amount;
            leaving.amount = amount < announced ? announced - amount : 0;
            if (amount >= announced) leaving.initiatedAt = 0;
        }
        emit Refunded(channelId, msg.sender, amount);
        _payBack(config, channelId, channel, amount);
    }

    /// @dev The only way money goes to a payer, for both ways of ending. The transfer comes last.
    function _payBack(ChannelConfig calldata config, bytes32 channelId, Channel storage channel, uint112 amount) private {
        uint112 left = channel.balance - amount;
        channel.balance = left;
        if (left == 0) emit ChannelClosed(channelId, config);
        if (amount != 0) IERC20(config.token).safeTransfer(config.payer, amount);
    }

    function _unclaimed(Channel storage channel) private view returns (uint112) {
        return channel.balance - channel.totalClaimed;
    }

    function _isReceiverSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.receiverAuthorizer || msg.sender == config.receiver;
    }

    function _isPayerSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.payer || msg.sender == config.payerAuthorizer;
    }
}
