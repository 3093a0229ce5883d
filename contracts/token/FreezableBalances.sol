// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title ERC-20 whose accounts can be frozen, as USDC's can
/// @dev The freeze is the top bit of the balance's slot, as in FiatToken 2.2, so that a transfer costs what it costs there, and the
/// words of the errors are those of FiatToken, so that what is tested against this token holds for the real one.
abstract contract FreezableBalances is IERC20 {
    uint256 private constant FROZEN = 1 << 255;

    uint256 public totalSupply;
    mapping(address account => uint256) private _balances;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    event Blacklisted(address indexed _account);
    event UnBlacklisted(address indexed _account);

    modifier notBlacklisted(address account) {
        require(!isBlacklisted(account), "Blacklistable: account is blacklisted");
        _;
    }

    function balanceOf(address account) public view returns (uint256) {
        return _balances[account] & ~FROZEN;
    }

    function isBlacklisted(address account) public view returns (bool) {
        return _balances[account] & FROZEN != 0;
    }

    function transfer(address to, uint256 value)
        external
        notBlacklisted(msg.sender)
        notBlacklisted(to)
        returns (bool)
    {
        _transfer(msg.sender, to, value);
        return true;
    }

    /// @dev An allowance always shrinks, also the largest one.
    function transferFrom(address from, address to, uint256 value)
        external
        notBlacklisted(msg.sender)
        notBlacklisted(from)
        notBlacklisted(to)
        returns (bool)
    {
        uint256 allowed = allowance[from][msg.sender];
        require(value <= allowed, "ERC20: transfer amount exceeds allowance");
        allowance[from][msg.sender] = allowed - value;
        _transfer(from, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        _approve(msg.sender, spender, value);
        return true;
    }

    function increaseAllowance(address spender, uint256 increment) external returns (bool) {
        _approve(msg.sender, spender, allowance[msg.sender][spender] + increment);
        return true;
    }

    function decreaseAllowance(address spender, uint256 decrement) external returns (bool) {
        uint256 allowed = allowance[msg.sender][spender];
        require(decrement <= allowed, "ERC20: decreased allowance below zero");
        _approve(msg.sender, spender, allowed - decrement);
        return true;
    }

    function _approve(address owner, address spender, uint256 value) internal {
        require(owner != address(0), "ERC20: approve from the zero address");
        require(spender != address(0), "ERC20: approve to the zero address");
        allowance[owner][spender] = value;
        emit Approval(owner, spender, value);
    }

    /// @dev Neither side is frozen when this is called, so a slot is a balance.
    function _transfer(address from, address to, uint256 value) internal {
        require(from != address(0), "ERC20: transfer from the zero address");
        require(to != address(0), "ERC20: transfer to the zero address");
        uint256 balance = _balances[from];
        require(value <= balance, "ERC20: transfer amount exceeds balance");
        unchecked {
            _balances[from] = balance - value;
            _balances[to] += value; // all balances together are the supply
        }
        emit Transfer(from, to, value);
    }

    function _mint(address to, uint256 value) internal {
        require(value < FROZEN - totalSupply, "FiatTokenV2_2: Balance exceeds (2^255 - 1)");
        totalSupply += value;
        _balances[to] += value;
        emit Transfer(address(0), to, value);
    }

    function _setBlacklisted(address account, bool frozen) internal {
        _balances[account] = frozen ? balanceOf(account) | FROZEN : balanceOf(account);
        if (frozen) emit Blacklisted(account);
        else emit UnBlacklisted(account);
    }
}
