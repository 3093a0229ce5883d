"""An endpoint between a command and the chain, that answers as an honest one until it is told otherwise."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Twist = Callable[[Any, Any], Any]  # (request, honest answer) -> answer


@dataclass
class Proxy:
    """What it does to requests. `sent` is set when a transaction was handed to it."""

    chain_url: str
    url: str = ""
    garbage: bytes | None = None  # the body of every answer
    twists: dict[str, Twist] = field(default_factory=dict)  # by method
    holds_transactions: bool = False  # hands them on, and never says so
    swallows_transactions: bool = False  # neither hands them on nor answers
    holds_after_receipt: bool = False  # says that a transaction is done, and nothing from then on
    sent: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, body: bytes) -> bytes | None:
        """The answer to a request; None: never."""
        if self.garbage is not None:
            return self.garbage
        request = json.loads(body)
        each = request if isinstance(request, list) else [request]
        has_transaction = any(one["method"] == "eth_sendRawTransaction" for one in each)
        if has_transaction and self.swallows_transactions:
            self.sent.set()
            return None
        if self.holds_after_receipt and self.sent.is_set():
            return None
        answers = json.loads(self._honest(body))
        if self.holds_after_receipt and any(_is_receipt(one, answers) for one in each):
            self.sent.set()
        if has_transaction and self.holds_transactions:
            self.sent.set()
            return None
        return json.dumps(self._twisted(request, answers)).encode()

    def _twisted(self, request: Any, answer: Any) -> Any:
        if isinstance(request, list):
            by_id = {each["id"]: each for each in answer}
            return [self._twisted(one, by_id[one["id"]]) for one in request]
        twist = self.twists.get(request["method"])
        return answer if twist is None else answer | {"result": twist(request, answer.get("result"))}

    def _honest(self, body: bytes) -> bytes:
        request = urllib.request.Request(self.chain_url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())


def _is_receipt(request: Any, answers: Any) -> bool:
    mine = answers if isinstance(answers, dict) else next(one for one in answers if one["id"] == request["id"])
    return request["method"] == "eth_getTransactionReceipt" and mine.get("result") is not None


@contextmanager
def running_proxy(chain_url: str) -> Iterator[Proxy]:
    """A proxy on a free port."""
    proxy = Proxy(chain_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = proxy.answer(self.rfile.read(int(self.headers["content-length"])))
            if answer is None:
                proxy.over.wait(60)  # until the test is over; whoever asked is dead by then
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            server.shutdown()
            thread.join()
