"""An OpenAI-compatible server on loopback that answers by rule, and fails when it is told to."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[[int], str]
"""What becomes of the request of this number (from 0): '' or one of `Handler.FAULTS`."""


def echo(prompt: str, model: str) -> str:
    """Answer with the last words of the prompt, so that it shows which one was asked."""
    return f" [1] {' '.join(prompt.split()[-3:])}"


class FakeServer:
    """A server in a thread; use it in a `with` block.

    Attributes
    ----------
    seen : list of (path, body, headers)
        Every POST, in the order of their arrival.
    most : int
        Requests that were under way at once.
    """

    def __init__(self, answer=echo, **settings) -> None:
        self.answer, self.seen, self.most, self.under_way = answer, [], 0, 0
        self.models = [{"id": "fake", "created": 1, "max_model_len": 4096}]
        self.fault: Fault = lambda number: ""
        self.key, self.chat, self.completions = "", True, True
        self.refused: tuple[str, ...] = ()  # fields
        self.logprob, self.usage, self.streams, self.counts_tokens = -0.5, True, True, False
        self.pause = 0.0  # seconds before the first token
        self.unlisted = 404  # what a model that is not there gives
        vars(self).update(settings)
        self._lock, self.number = threading.Lock(), 0
        self.open = threading.Event()  # set: hanging requests are let go
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.fake = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def began(self) -> int:
        with self._lock:
            self.under_way, number = self.under_way + 1, self.number
            self.number, self.most = self.number + 1, max(self.most, self.under_way)
            return number

    def ended(self) -> None:
        with self._lock:
            self.under_way -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections that wait; of more the system resets some
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    FAULTS = ("500", "429", "drop", "half", "garbage", "slow", "html", "none", "error", "hang")
    """The last one only where the client does not wait for ever."""

    @property
    def fake(self) -> FakeServer:
        return self.server.fake

    def log_message(self, *_) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError):  # we or they hung up
            pass

    def reply(self, status: int, body, kind="application/json", **headers) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def locked(self) -> bool:
        if self.fake.key and self.headers["Authorization"] != f"Bearer {self.fake.key}":
            given = self.headers["Authorization"]
            self.reply(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
            return True
        return False

    def do_GET(self) -> None:
        if not self.locked():
            if self.path == "/v1/models" and self.fake.models is not None:
                self.reply(200, {"object": "list", "data": self.fake.models})
            else:
                self.reply(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.locked():
            return
        fake, number = self.fake, self.fake.began()
        fake.seen.append((self.path, body, dict(self.headers)))
        try:
            fault = fake.fault(number) if "Hello" not in json.dumps(body) else ""
            if not self.failed(fault):
                self.answered(body, fault)
        finally:
            fake.ended()

    def failed(self, fault: str) -> bool:
        if fault.isdigit():
            after = {"Retry_After": "0.01"} if fault == "429" else {}
            self.reply(int(fault), {"error": {"message": f"fault {fault}"}}, **after)
        elif fault == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault == "hang":
            self.fake.open.wait(30)
            self.close_connection = True
        elif fault == "html":
            self.reply(200, "<html>no API</html>", "text/html")
        elif fault == "none":
            self.reply(200, {"choices": []})
        elif fault == "slow":
            time.sleep(0.05)
            return False
        else:
            return False
        return True

    def answered(self, body: dict, fault: str) -> None:
        fake, chat = self.fake, "messages" in body
        if self.path == "/tokenize" and fake.counts_tokens:
            self.reply(200, {"count": len(self.text(body).split())})
            return
        status, why = self.refusal(body, chat)
        said = "" if status else fake.answer(self.text(body), body["model"])
        if isinstance(said, tuple):
            status, why = said
        if status:
            self.reply(status, {"error": {"message": why}})
            return
        time.sleep(fake.pause)
        self.stream(body, said, chat, fault) if fake.streams else self.once(body, said, chat)

    def refusal(self, body: dict, chat: bool) -> tuple[int, str]:
        fake = self.fake
        known = [card["id"] for card in fake.models or [{"id": body.get("model")}]]
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            return 404, "Not Found"
        if not (fake.chat if chat else fake.completions):
            return 400, "no chat template" if chat else "no completions"
        if body["model"] not in known:
            return fake.unlisted, f"The model {body['model']} does not exist."
        bad = [name for name in fake.refused if name in body]
        return (422, f"Unexpected fields: {bad}") if bad else (0, "")

    def text(self, body: dict) -> str:
        if "messages" in body:
            return "\n".join(turn["content"] for turn in body["messages"])
        return body["prompt"]

    def usage(self, body: dict, tokens: int) -> dict:
        count = {"prompt_tokens": len(self.text(body).split()), "completion_tokens": tokens}
        return {"usage": count} if self.fake.usage else {}

    def weighed(self, body: dict, token: str, chat: bool) -> dict:
        if not body.get("logprobs") or self.fake.logprob is None:
            return {}
        one = self.fake.logprob
        return {"logprobs": {"content": [{"token": token, "logprob": one}]} if chat else
                {"tokens": [token], "token_logprobs": [one]}}  # fmt: skip

    def once(self, body: dict, said: str, chat: bool) -> None:
        text = {"message": {"role": "assistant", "content": said}} if chat else {"text": said}
        choice = {"index": 0, "finish_reason": "stop", **text}
        self.reply(200, {"choices": [choice], **self.usage(body, len(said.split()) + 1)})

    def stream(self, body: dict, said: str, chat: bool, fault: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        tokens = [f" {word}" for word in said.split()][: body["max_tokens"]]
        if chat:
            self.event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        for place, token in enumerate(tokens):
            if fault == "half" and place == len(tokens) // 2:
                self.chunk(b"")  # a clean end, which is none of the answer
                return
            if fault == "garbage":
                self.chunk(b"data: {nonsense\n\n")
            if fault == "error":
                self.event({"error": {"message": "worker died", "code": 500}})
            part = {"delta": {"content": token}} if chat else {"text": token}
            self.event({"choices": [{"index": 0, **part, **self.weighed(body, token, chat)}]})
        end = "length" if len(tokens) == body["max_tokens"] else "stop"
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        if body.get("stream_options"):
            self.event({"choices": [], **self.usage(body, len(tokens) + (end == "stop"))})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, value: dict) -> None:
        self.chunk(b": a comment\n" + f"data: {json.dumps(value)}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()
