// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Governed} from "../governance/Governed.sol";
import {IOrigins} from "../interfaces/IOrigins.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title Origins of namespaces
/// @notice Publishers propose, governance recognises or revokes, publishers may give up. Holds no money; nobody can stop it.
contract Origins is IOrigins, Governed {
    uint256 public constant LABEL_BYTES_MAX = 64;

    /// @param position Place in the namespace's list plus one; zero when not there.
    struct Standing {
        Status status;
        uint32 position;
    }

    address public immutable registry;

    Namespace[] private _namespaces;
    mapping(bytes32 namespaceId => bool) private _opened;
    mapping(bytes32 namespaceId => address[]) private _operators;
    mapping(bytes32 namespaceId => mapping(address operator => Standing)) private _standings;

    constructor(address registry_, address governance_) Governed(governance_) {
        registry = _nonzero(registry_);
    }

    /// @dev A proposal for an inactive node is let through: it may become active before it is recognised.
    function propose(string calldata label, address operator) external returns (bytes32 namespaceId) {
        if (bytes(label).length == 0 || bytes(label).length > LABEL_BYTES_MAX) revert BadLabel();
        _nonzero(operator);
        namespaceId = namespaceOf(msg.sender, label);
        if (!_opened[namespaceId]) {
            _opened[namespaceId] = true;
            _namespaces.push(Namespace(namespaceId, msg.sender, label));
            emit NamespaceOpened(namespaceId, msg.sender, label);
        }
        Standing storage standing = _standings[namespaceId][operator];
        if (standing.status == Status.None) {
            _operators[namespaceId].push(operator);
            standing.position = uint32(_operators[namespaceId].length);
        } else if (standing.status != Status.Revoked) {
            revert WrongStatus(namespaceId, operator, standing.status);
        }
        _set(namespaceId, operator, Status.Proposed);
    }

    function withdrawProposal(string calldata label, address operator) external {
        _end(namespaceOf(msg.sender, label), operator, Status.Proposed);
    }

    function renounce(string calldata label, address operator) external {
        _end(namespaceOf(msg.sender, label), operator, Status.Recognised);
    }

    function recognise(bytes32 namespaceId, address operator) external onlyGovernance {
        Status status = statusOf(namespaceId, operator);
        if (status != Status.Proposed) revert WrongStatus(namespaceId, operator, status);
        if (!_isActive(operator)) revert InactiveNode(operator);
        _set(namespaceId, operator, Status.Recognised);
    }

    function revoke(bytes32 namespaceId, address operator) external onlyGovernance {
        Status status = statusOf(namespaceId, operator);
        if (status != Status.Recognised && status != Status.Proposed) revert WrongStatus(namespaceId, operator, status);
        _set(namespaceId, operator, Status.Revoked);
    }

    function namespaceOf(address publisher, string calldata label) public pure returns (bytes32) {
        return keccak256(abi.encode(publisher, label));
    }

    function statusOf(bytes32 namespaceId, address operator) public view returns (Status) {
        return _standings[namespaceId][operator].status;
    }

    function isRecognised(bytes32 namespaceId, address operator) external view returns (bool) {
        return statusOf(namespaceId, operator) == Status.Recognised && _isActive(operator);
    }

    function namespaceCount() external view returns (uint256) {
        return _namespaces.length;
    }

    function namespaces(uint256 start, uint256 count) external view returns (Namespace[] memory page) {
        (start, count) = _clip(start, count, _namespaces.length);
        page = new Namespace[](count);
        for (uint256 index = 0; index < count; ++index) page[index] = _namespaces[start + index];
    }

    function originCount(bytes32 namespaceId) external view returns (uint256) {
        return _operators[namespaceId].length;
    }

    function origins(bytes32 namespaceId, uint256 start, uint256 count) external view returns (Origin[] memory page) {
        address[] storage operators = _operators[namespaceId];
        (start, count) = _clip(start, count, operators.length);
        page = new Origin[](count);
        for (uint256 index = 0; index < count; ++index) {
            address operator = operators[start + index];
            page[index] = Origin(operator, statusOf(namespaceId, operator), _isActive(operator));
        }
    }

    /// @dev Back to None, out of the list; the last of the list takes the place.
    function _end(bytes32 namespaceId, address operator, Status expected) private {
        Standing storage standing = _standings[namespaceId][operator];
        if (standing.status != expected) revert WrongStatus(namespaceId, operator, standing.status);
        address[] storage operators = _operators[namespaceId];
        address last = operators[operators.length - 1];
        uint32 position = standing.position;
        operators[position - 1] = last;
        _standings[namespaceId][last].position = position;
        operators.pop();
        standing.position = 0;
        _set(namespaceId, operator, Status.None);
    }

    function _set(bytes32 namespaceId, address operator, Status status) private {
        _standings[namespaceId][operator].status = status;
        emit OriginStatus(namespaceId, operator, status);
    }

    function _isActive(address operator) private view returns (bool) {
        return IRegistry(registry).isActive(operator);
    }

    /// @dev The part of a page that exists.
    function _clip(uint256 start, uint256 count, uint256 length) private pure returns (uint256, uint256) {
        if (start > length) start = length;
        return (start, count > length - start ? length - start : count);
    }
}
