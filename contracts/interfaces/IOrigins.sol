// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Which nodes a publisher has named as origins of its content, and which of them are recognised
/// @notice A namespace is a publisher and a label of its own choice, so nobody can take another's. The publisher proposes
/// a node, governance recognises it; either can end it.
interface IOrigins {
    enum Status {
        None,
        Proposed,
        Recognised,
        Revoked
    }

    struct Namespace {
        bytes32 id;
        address publisher;
        string label;
    }

    /// @param active Whether the node is active in the registry now. Recognised but inactive does not count.
    struct Origin {
        address operator;
        Status status;
        bool active;
    }

    event NamespaceOpened(bytes32 indexed namespaceId, address indexed publisher, string label);
    event OriginStatus(bytes32 indexed namespaceId, address indexed operator, Status status);

    error BadLabel();
    error WrongStatus(bytes32 namespaceId, address operator, Status status);
    error InactiveNode(address operator);

    /// @notice Publisher (the sender): propose a node; also one that was revoked.
    function propose(string calldata label, address operator) external returns (bytes32 namespaceId);

    /// @notice Publisher: take a proposal back.
    function withdrawProposal(string calldata label, address operator) external;

    /// @notice Publisher: give up a recognised origin.
    function renounce(string calldata label, address operator) external;

    /// @notice Governance: recognise a proposed node, which must be active.
    function recognise(bytes32 namespaceId, address operator) external;

    /// @notice Governance: end a recognition, or refuse a proposal.
    function revoke(bytes32 namespaceId, address operator) external;

    /// @notice keccak256(abi.encode(publisher, label))
    function namespaceOf(address publisher, string calldata label) external pure returns (bytes32);
    function statusOf(bytes32 namespaceId, address operator) external view returns (Status);
    /// @notice Recognised, and active in the registry now.
    function isRecognised(bytes32 namespaceId, address operator) external view returns (bool);

    function namespaceCount() external view returns (uint256);
    /// @notice Namespaces in the order they were opened.
    function namespaces(uint256 start, uint256 count) external view returns (Namespace[] memory);
    function originCount(bytes32 namespaceId) external view returns (uint256);
    /// @notice Nodes of a namespace whose status is not None, in no lasting order: read all pages of one block.
    function origins(bytes32 namespaceId, uint256 start, uint256 count) external view returns (Origin[] memory);
}
