// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Who signed a digest
/// @dev Answers yes or no, never reverts, and a signer that is a contract cannot use up the gas of the caller: it is asked with a
/// bounded amount, and one word of its answer is looked at. Signatures of keys are 65 bytes with a low s (ECDSA of OpenZeppelin).
library Signatures {
    /// @dev Enough for a passkey (P-256 in Solidity costs about 200,000) or a wallet of several owners.
    uint256 internal constant CONTRACT_GAS = 300_000;

    /// @dev By the key of `signer`.
    function isByKey(address signer, bytes32 digest, bytes calldata signature) internal pure returns (bool) {
        (address recovered, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(digest, signature);
        return fault == ECDSA.RecoverError.NoError && recovered == signer;
    }

    /// @dev By the key of `signer`, or accepted by the contract at that address (ERC-1271). The key comes first: whoever delegates
    /// his account to code (EIP-7702) cannot take back with it what his key has signed.
    function isBy(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        if (isByKey(signer, digest, signature)) return true;
        if (signer.code.length == 0) return false;
        bytes memory question = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        uint256 answered;
        bytes32 answer;
        assembly ("memory-safe") {
            let ok := staticcall(CONTRACT_GAS, signer, add(question, 0x20), mload(question), 0x00, 0x20)
            answered := and(ok, gt(returndatasize(), 0x1f))
            answer := mload(0x00)
        }
        return answered != 0 && answer == bytes32(IERC1271.isValidSignature.selector);
    }
}
