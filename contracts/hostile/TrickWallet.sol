// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A wallet with many answers to whether it signed something (ERC-1271)
contract TrickWallet {
    enum Answer {
        Yes,
        No,
        Revert,
        BurnAllGas,
        ReturnMuch,
        ReturnLittle
    }

    Answer public answer;

    constructor(Answer answer_) {
        answer = answer_;
    }

    /// @notice So that it can do what a payer does.
    function forward(address to, bytes calldata data) external returns (bytes memory) {
        (bool ok, bytes memory result) = to.call(data);
        require(ok);
        return result;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        Answer given = answer;
        if (given == Answer.No) return 0xffffffff;
        if (given == Answer.Revert) revert();
        if (given == Answer.BurnAllGas) while (true) {}
        if (given == Answer.ReturnMuch) {
            assembly {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 100000)
            }
        }
        if (given == Answer.ReturnLittle) {
            assembly {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 4)
            }
        }
        return 0x1626ba7e;
    }
}
