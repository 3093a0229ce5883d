"""What a transaction would do, said before it is sent: to whom, which function with which arguments, what it costs.

For programs the same as an object, `transaction` in docs/json.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearcast.cli.hexwords import address_text
from nearcast.cli.money import ether_text

if TYPE_CHECKING:
    from nearcast.chain.abi import Contract
    from nearcast.chain.abi_types import AbiType

_LONG_BYTES = 32  # longer ones (signatures, calldata) are cut for people, not for programs


@dataclass(frozen=True)
class Plan:
    """One transaction as a command wants it. `effects` say in words what will be different afterwards."""

    contract: str  # the artifact's name, also whose address it goes to
    function: str
    arguments: tuple[Any, ...] = ()
    effects: tuple[str, ...] = ()
    value_wei: int = 0


@dataclass(frozen=True)
class ProposedCall:
    """One act of a proposal: a function of ours that only governance may call."""

    contract: str
    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Cost:
    """What a transaction is expected to take: `gas` at most, `fee_wei` at most."""

    gas: int
    fee_wei: int


def named_arguments(contract: "Contract", data: bytes) -> Any:
    """The function and its arguments out of calldata, ready for JSON; of a multicall, those of each call in it."""
    decoded = contract.decode_call(data)
    if decoded is None:
        return {"function": None, "arguments": {}}
    entry = contract.functions[bytes(data[:4])]
    if decoded.name == "multicall":
        calls = [named_arguments(contract, each) for each in decoded.arguments["data"]]
        return {"function": "multicall", "arguments": {}, "calls": calls}
    values = tuple(decoded.arguments.values())
    return {"function": decoded.name, "arguments": _fields(entry.inputs, values)}


def value_of(transaction: Mapping[str, Any]) -> dict[str, Any]:
    """The object that --dry-run --json prints."""
    return {"dry_run": True, "transaction": dict(transaction)}


def transaction_of(
    plan: Plan, contract: "Contract", data: bytes, *, network: str, chain_id: int, sender: bytes, to: bytes, cost: Cost
) -> dict[str, Any]:
    """The transaction for programs: addresses with capitals, numbers as numbers, bytes in hexadecimal."""
    return {
        "chain": network,
        "chain_id": chain_id,
        "from": address_text(sender),
        "to": address_text(to),
        "contract": plan.contract,
        **named_arguments(contract, data),
        "value_wei": plan.value_wei,
        "data": "0x" + data.hex(),
        "gas": cost.gas,
        "fee_wei": cost.fee_wei,
        "changes": list(plan.effects),
    }


def lines_of(transaction: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    rows = [
        ("From", transaction["from"]),
        ("To", f"{transaction['to']}, {transaction['contract']} on {transaction['chain']} ({transaction['chain_id']})"),
    ]
    for call in transaction.get("calls") or [transaction]:
        rows.append(("Calls", f"{call['function']}(" if call["arguments"] else f"{call['function']}()"))
        rows += [("", f"  {line}") for line in _argument_lines(call["arguments"])]
        if call["arguments"]:
            rows.append(("", ")"))
    rows += [
        ("Value", ether_text(transaction["value_wei"])),
        ("Gas", f"at most {transaction['gas']:,}"),
        ("Fee", f"at most {ether_text(transaction['fee_wei'])}"),
    ]
    rows += [("Changes" if not index else "", effect) for index, effect in enumerate(transaction["changes"])]
    return ["dry run: nothing is sent", *(f"  {name:<8} {value}" for name, value in rows)]


def _argument_lines(arguments: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in arguments.items():
        if isinstance(value, dict):
            lines += [f"{name}.{line}" for line in _argument_lines(value)]
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for index, item in enumerate(value):
                lines += _argument_lines({f"{name}[{index}]": item})
        else:
            lines.append(f"{name} = {_short(value)}")
    return lines


def _short(value: Any) -> str:
    if isinstance(value, str) and value.startswith("0x") and len(value) > 2 + 2 * _LONG_BYTES:
        return f"{value[:18]}… ({(len(value) - 2) // 2} bytes)"
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return repr(value) if isinstance(value, str) and not value.startswith("0x") else str(value)


def _fields(kind: "AbiType", values: Sequence[Any]) -> dict[str, Any]:
    names = [name or f"argument{index}" for index, name in enumerate(kind.names)]
    return {name: _plain(part, value) for name, part, value in zip(names, kind.parts, values, strict=True)}


def _plain(kind: "AbiType", value: Any) -> Any:
    match kind.kind:
        case "tuple":
            return _fields(kind, value)
        case "array":
            return [_plain(kind.parts[0], item) for item in value]
        case "address":
            return address_text(value)
        case "bytes":
            return "0x" + value.hex()
        case _:
            return value
