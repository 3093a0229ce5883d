"""The questions with objects for parameters: calls, gas estimates, logs, and which block is meant."""

from typing import Any, Final

from nearcast.chain.devchain import blocks
from nearcast.chain.devchain import quantities as q
from nearcast.chain.devchain.blocks import Block
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.quantities import RpcFault
from nearcast.chain.devchain.views import View, event_view
from nearcast.errors import NotFoundError

LIMIT_EXCEEDED: Final = -32005
LOGS_MAX: Final = 10_000  # what public endpoints give at once
FILTER_WORDS_MAX: Final = 1_000  # addresses, or topics in one place
TOPICS_MAX: Final = 4
BLOCK_NOT_FOUND: Final = -32001  # EIP-1474: resource not found
_NEWEST: Final = ("latest", "pending", "safe", "finalized")  # nothing is ever undone here unless one asks for it
_CALL_FIELDS: Final = {"from", "to", "gas", "value", "data", "input", "accessList"} | {
    "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "nonce", "type", "chainId",  # taken and not needed: no fee here
}  # fmt: skip


def block_at(chain: DevChain, which: Any) -> Block | None:
    """The block of a tag, a number, or an object of EIP-1898; None if there is none. Default: the newest."""
    if which is None or which in _NEWEST:
        return chain.engine.head
    try:
        if which == "earliest":
            return chain.engine.block(0)
        if isinstance(which, dict):
            return _block_by_object(chain, which)
        if isinstance(which, str) and len(which) == 66:
            return chain.engine.block(q.data(which, "hash", size_bytes=32))
        return chain.engine.block(q.quantity(which, "block"))
    except NotFoundError:
        return None


def number_at(chain: DevChain, which: Any) -> int:
    """The number of that block; raises RpcFault if there is none."""
    block = block_at(chain, which)
    if block is None:
        raise RpcFault(BLOCK_NOT_FOUND, "header not found")
    return block.number


def call(chain: DevChain, fields: Any, which: Any) -> str:
    """eth_call."""
    wanted = _call_fields(fields)
    number = number_at(chain, which)
    return q.hex_data(
        chain.engine.call(
            wanted["to"], wanted["data"], sender=wanted["from"], value=wanted["value"], gas=wanted["gas"], number=number
        )
    )


def estimate_gas(chain: DevChain, fields: Any, which: Any) -> str:
    """eth_estimateGas."""
    wanted = _call_fields(fields)
    return q.hex_quantity(
        chain.engine.estimate_gas(
            wanted["to"],
            wanted["data"],
            sender=wanted["from"],
            value=wanted["value"],
            gas_max=wanted["gas"],
            number=number_at(chain, which),
            access_list=wanted["accessList"],
        )
    )


def logs(chain: DevChain, fields: Any) -> list[View]:
    """eth_getLogs."""
    if not isinstance(fields, dict):
        raise q.bad("the filter is an object")
    unknown = set(fields) - {"fromBlock", "toBlock", "blockHash", "address", "topics"}
    if unknown:
        raise q.bad(f"unknown fields of the filter: {', '.join(sorted(map(str, unknown)))[:100]}")
    first, last = _range(chain, fields)
    words = [_words(row, f"topics[{place}]", 32) for place, row in enumerate(_rows(fields.get("topics")))]
    found = chain.engine.get_logs(first, last, _words(fields.get("address"), "address", 20), words)
    if len(found) > LOGS_MAX:
        raise RpcFault(LIMIT_EXCEEDED, f"query returned more than {LOGS_MAX} results")
    return [event_view(event, chain.engine.block(event.receipt.block_number)) for event in found]


def _range(chain: DevChain, fields: dict[str, Any]) -> tuple[int, int]:
    if fields.get("blockHash") is not None:
        if fields.get("fromBlock") is not None or fields.get("toBlock") is not None:
            raise q.bad("blockHash excludes fromBlock and toBlock")
        number = number_at(chain, {"blockHash": fields["blockHash"]})
        return number, number
    first, last = (_edge(chain, fields.get(name)) for name in ("fromBlock", "toBlock"))
    if first > last:
        raise q.bad(f"the block range {first} to {last} is the wrong way round")
    return first, last


def _edge(chain: DevChain, which: Any) -> int:
    """A range may end above the newest block."""
    if isinstance(which, str) and which.startswith("0x"):
        return q.quantity(which, "block")
    return number_at(chain, which)


def _rows(topics: Any) -> list[Any]:
    if topics is None:
        return []
    if not isinstance(topics, list) or len(topics) > TOPICS_MAX:
        raise q.bad(f"topics is a list of at most {TOPICS_MAX}")
    return topics


def _words(value: Any, name: str, size_bytes: int) -> list[bytes]:
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    if len(values) > FILTER_WORDS_MAX:
        raise q.bad(f"{name} has at most {FILTER_WORDS_MAX} alternatives")
    return [q.data(one, name, size_bytes=size_bytes) for one in values]


def _block_by_object(chain: DevChain, which: dict[str, Any]) -> Block:
    if set(which) - {"blockHash", "blockNumber", "requireCanonical"} or ("blockHash" in which) == (
        "blockNumber" in which
    ):
        raise q.bad("a block is {blockHash} or {blockNumber}")
    if "blockHash" in which:
        return chain.engine.block(q.data(which["blockHash"], "blockHash", size_bytes=32))
    return chain.engine.block(q.quantity(which["blockNumber"], "blockNumber"))


def _call_fields(fields: Any) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise q.bad("the call is an object")
    unknown = set(fields) - _CALL_FIELDS
    if unknown:
        raise q.bad(f"unknown fields of the call: {', '.join(sorted(map(str, unknown)))[:100]}")
    given = {name: value for name, value in fields.items() if value is not None}
    inputs = {q.data(given[name], name) for name in ("data", "input") if name in given}
    if len(inputs) > 1:
        raise q.bad("data and input differ")
    gas = q.quantity(given["gas"], "gas") if "gas" in given else blocks.GAS_LIMIT
    return {
        "from": q.address(given["from"], "from") if "from" in given else blocks.ZERO_ADDRESS,
        "to": q.address(given["to"], "to") if "to" in given else None,
        "value": q.quantity(given["value"], "value", bits=256) if "value" in given else 0,
        "data": next(iter(inputs), b""),
        "gas": min(gas, blocks.GAS_LIMIT),
        "accessList": [_access(row) for row in given.get("accessList", [])] if _is_rows(given) else [],
    }


def _is_rows(given: dict[str, Any]) -> bool:
    rows = given.get("accessList", [])
    if not isinstance(rows, list) or len(rows) > FILTER_WORDS_MAX:
        raise q.bad(f"accessList is a list of at most {FILTER_WORDS_MAX}")
    return True


def _access(row: Any) -> tuple[bytes, tuple[int, ...]]:
    if not isinstance(row, dict) or set(row) != {"address", "storageKeys"} or not isinstance(row["storageKeys"], list):
        raise q.bad("accessList has rows of {address, storageKeys}")
    keys = tuple(int.from_bytes(q.data(key, "storageKeys", size_bytes=32), "big") for key in row["storageKeys"])
    return q.address(row["address"]), keys
