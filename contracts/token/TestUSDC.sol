// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {SignedTransfers} from "./SignedTransfers.sol";

/// @title The dollar of the dev chain: behaves like USDC, worth nothing
/// @notice Same decimals, domain, signatures, freezing and error words as FiatToken 2.2. Units come from the constructor and from the
/// faucet, and from nowhere else. How it can be stopped: the blacklister freezes single addresses, as on the real one.
contract TestUSDC is SignedTransfers, IERC20Metadata {
    /// @notice What the faucet gives: 1,000 dollars to an address a day.
    uint256 public constant FAUCET_UNITS = 1_000e6;
    uint256 public constant FAUCET_INTERVAL = 1 days;

    string public constant name = "USDC";
    string public constant symbol = "USDC";
    string public constant version = "2";
    string public constant currency = "USD";
    uint8 public constant decimals = 6;

    address public blacklister;
    mapping(address account => uint256 timestamp) public faucetAvailableAt;

    event BlacklisterChanged(address indexed newBlacklister);

    error FaucetTooSoon(uint256 availableAt);

    /// @param blacklister_ Who may freeze addresses.
    /// @param holders Who holds `unitsEach` from the start.
    constructor(address blacklister_, address[] memory holders, uint256 unitsEach) EIP712("USDC", "2") {
        _setBlacklister(blacklister_);
        for (uint256 i = 0; i < holders.length; ++i) {
            _mint(holders[i], unitsEach);
        }
    }

    modifier onlyBlacklister() {
        require(msg.sender == blacklister, "Blacklistable: caller is not the blacklister");
        _;
    }

    /// @notice Gives the caller FAUCET_UNITS, once in FAUCET_INTERVAL.
    function faucet() external notBlacklisted(msg.sender) {
        uint256 availableAt = faucetAvailableAt[msg.sender];
        if (block.timestamp < availableAt) revert FaucetTooSoon(availableAt);
        faucetAvailableAt[msg.sender] = block.timestamp + FAUCET_INTERVAL;
        _mint(msg.sender, FAUCET_UNITS);
    }

    function blacklist(address account) external onlyBlacklister {
        _setBlacklisted(account, true);
    }

    function unBlacklist(address account) external onlyBlacklister {
        _setBlacklisted(account, false);
    }

    function updateBlacklister(address newBlacklister) external onlyBlacklister {
        _setBlacklister(newBlacklister);
    }

    function _setBlacklister(address newBlacklister) private {
        require(newBlacklister != address(0), "Blacklistable: new blacklister is the zero address");
        blacklister = newBlacklister;
        emit BlacklisterChanged(newBlacklister);
    }
}
