// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Payment channels of the x402 scheme `batch-settlement`
/// @notice One payer, one receiver, one token per channel. The payer escrows a deposit and signs cumulative vouchers off chain; the
/// receiver claims what was signed and settles the sum of many claims in one transfer; the payer may leave after a delay. There is
/// no owner, no fee, no pause and no dispute: what is signed and claimed is due, the rest is the payer's.
///
/// Selectors, events, errors, EIP-712 domain and types are those of x402's own contract, so its clients work unmodified. One thing
/// differs: a bad row of a claim batch is skipped and reported, and never undoes the other rows.
interface IBatchSettlement {
    /// @notice What a channel is. Its EIP-712 hash is the channel's id, so nothing in it can change.
    /// @param payer Who pays in and gets refunds and withdrawals.
    /// @param payerAuthorizer The key that signs vouchers; zero: the payer itself does, also as a contract (ERC-1271).
    /// @param receiver Who is paid.
    /// @param receiverAuthorizer May claim and refund for the receiver, also by signature.
    /// @param token An ERC-20 that moves exactly what it is told to.
    /// @param withdrawDelay Seconds between the payer's notice and his withdrawal, MIN_WITHDRAW_DELAY to MAX_WITHDRAW_DELAY.
    /// @param salt Any value, to tell channels of the same parties apart.
    struct ChannelConfig {
        address payer;
        address payerAuthorizer;
        address receiver;
        address receiverAuthorizer;
        address token;
        uint40 withdrawDelay;
        bytes32 salt;
    }

    /// @notice The payer's promise: the receiver may have claimed up to `maxClaimableAmount` units in all from this channel.
    struct Voucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount;
    }

    /// @notice One row of a batch: a voucher, its signature, and the cumulative amount the receiver wants of it.
    struct VoucherClaim {
        Voucher voucher;
        bytes signature;
        uint128 totalClaimed;
    }

    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    /// @notice A row of a batch had no effect. `reason` is the selector of the error that says why.
    event ClaimSkipped(bytes32 indexed channelId, bytes4 reason);
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    error InvalidChannel();
    error ZeroDeposit();
    /// @notice A channel holds 2^112 - 1 units at most.
    error DepositOverflow();
    error InvalidSignature();
    error NotReceiverAuthorizer();
    error NotAuthorizedToClaim();
    error NotAuthorizedToRefund();
    error ClaimExceedsCeiling();
    error ClaimExceedsBalance();
    /// @notice The reason of a skipped row that asks for no more than was claimed before, such as a replay.
    error NothingNewToClaim();
    /// @notice The reason of a row that would make a receiver's sum too large; only a token without a real supply gets there.
    error ClaimOverflow();
    error WithdrawalAlreadyPending();
    error WithdrawalNotPending();
    error NotAuthorizedToFinalizeWithdraw();
    error WithdrawDelayNotElapsed();
    error NothingToWithdraw();
    error WithdrawAmountExceedsAvailable();
    error WithdrawDelayOutOfRange();
    error EmptyBatch();
    error DepositCollectionFailed();
    error InvalidCollector();
    error InvalidRefundNonce();
    error ZeroRefund();

    /// @notice Pays `amount` units into a channel, which is opened by its first deposit. Anyone may call; what can be taken from the
    /// payer is what the collector has his word for.
    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData) external;

    /// @notice Books vouchers for the receiver. A row counts if the caller is its receiver or receiverAuthorizer; see ClaimSkipped.
    function claim(VoucherClaim[] calldata voucherClaims) external;

    /// @notice The same by anyone, with the signature over the whole batch of the receiverAuthorizer that its rows share.
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;

    /// @notice Transfers all that is claimed and not yet paid out to a receiver. Anyone may call; does nothing if there is nothing.
    function settle(address receiver, address token) external;

    /// @notice Announces the payer's withdrawal of unclaimed units; by payer or payerAuthorizer. The receiver has `withdrawDelay`
    /// seconds to claim what he holds vouchers for.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;

    /// @notice After the delay: pays the payer what was announced, or what is still unclaimed if that is less.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    /// @notice The receiver's side gives unclaimed units back at once; more than there is means all.
    function refund(ChannelConfig calldata config, uint128 amount) external;

    /// @notice The same by anyone, with the receiverAuthorizer's signature over channel, nonce and amount.
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external;

    /// @notice The EIP-712 hash of the config under this contract's domain.
    function getChannelId(ChannelConfig calldata config) external view returns (bytes32);

    /// @notice What the payer signs.
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);

    /// @notice What the receiverAuthorizer signs for refundWithSignature.
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);

    /// @notice What the receiverAuthorizer signs for claimWithSignature.
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);

    /// @notice Units escrowed and not refunded or withdrawn, and how many of them are claimed, ever.
    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);

    /// @notice The announced withdrawal; `initiatedAt` 0: none.
    function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);

    /// @notice The nonce the next refund signature must carry; every refund moves it on.
    function refundNonce(bytes32 channelId) external view returns (uint256);

    /// @notice Units claimed for a receiver over all his channels, and paid out to him.
    function receivers(address receiver, address token) external view returns (uint128 totalClaimed, uint128 totalSettled);
}
