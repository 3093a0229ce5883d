"""JSON-RPC 2.0 from the bytes of a request to the bytes of its answer. Never raises: whatever comes gets an answer.

Codes are those of EIP-1474 and geth: 3 with `data` when a contract reverts, -32000 when a transaction cannot be taken.
"""

import json
import logging
from typing import Any, Final

from nearcast.chain.devchain.engine import EvmRevert
from nearcast.chain.devchain.methods import METHODS
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.quantities import RpcFault, hex_data
from nearcast.chain.devchain.telling import error_text
from nearcast.errors import NearcastError, NotFoundError

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INTERNAL = -32700, -32600, -32601, -32603
SERVER_ERROR, NOT_FOUND, REVERTED = -32000, -32001, 3
BATCH_MAX: Final = 100  # requests in one body

_log = logging.getLogger(__name__)
Answer = dict[str, Any]


def answer(chain: DevChain, body: bytes) -> bytes:
    """The answer to one request or batch; b"" when nothing in it wants one."""
    try:
        request = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _encoded(_error(None, RpcFault(PARSE_ERROR, "parse error")))
    if not isinstance(request, list):
        one = _answer_one(chain, request)
        return b"" if one is None else _encoded(one)
    if not 1 <= len(request) <= BATCH_MAX:
        return _encoded(_error(None, RpcFault(INVALID_REQUEST, f"a batch has 1 to {BATCH_MAX} requests")))
    answers = [one for one in (_answer_one(chain, part) for part in request) if one is not None]
    return _encoded(answers) if answers else b""


def _answer_one(chain: DevChain, request: Any) -> Answer | None:
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str):
        return _error(None, RpcFault(INVALID_REQUEST, "invalid request"))
    request_id = request.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        return _error(None, RpcFault(INVALID_REQUEST, "invalid request: the id is a string or a number"))
    try:
        result = {"jsonrpc": "2.0", "id": request_id, "result": _run(chain, request)}
    except RpcFault as fault:
        result = _error(request_id, fault)
    return result if "id" in request else None


def _run(chain: DevChain, request: dict[str, Any]) -> Any:
    method = METHODS.get(request["method"])
    if method is None:
        raise RpcFault(NO_METHOD, f"the method {request['method'][:64]} does not exist/is not available")
    params = [] if request.get("params") is None else request["params"]
    if not isinstance(params, list):
        raise RpcFault(INVALID_REQUEST, "params is a list")
    try:
        return method(chain, params)
    except EvmRevert as revert:
        text = error_text(revert.data)
        raise RpcFault(
            REVERTED, "execution reverted" + (f": {text}" if text else ""), hex_data(revert.data)
        ) from revert
    except NotFoundError as error:
        raise RpcFault(NOT_FOUND, error.message) from error
    except NearcastError as error:
        raise RpcFault(SERVER_ERROR, error.message) from error
    except OSError as error:
        raise RpcFault(INTERNAL, f"the chain cannot be written: {error.strerror}") from error
    except RpcFault:
        raise
    except Exception as error:
        _log.exception("a request failed: %s", request["method"])
        raise RpcFault(INTERNAL, "internal error") from error


def _error(request_id: Any, fault: RpcFault) -> Answer:
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
