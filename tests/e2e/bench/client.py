"""A small client of the API server, as administrator: kubectl takes 50 ms to start, this one nothing."""

from __future__ import annotations

import base64
import concurrent.futures
import http.client
import json
import ssl
import tempfile
import threading
import time
from typing import Any, Callable, Iterable, Optional
from urllib.parse import quote, urlsplit

import yaml


RETRY_SECONDS = 30


class ApiError(OSError):
    """Not a success. An OSError, so that a condition that meets one is "not yet"."""

    def __init__(self, method: str, path: str, code: int, body: bytes):
        super().__init__(f"{method} {path}: {code} {body[:300].decode(errors='replace')}")
        self.code = code


class ApiClient:
    """One connection for each thread that uses it.

    Only for requests that may be made twice: waits while the server is throttled or restarts.
    """

    def __init__(self, kubeconfig):
        document = yaml.safe_load(kubeconfig.read_text())
        server = urlsplit(document["clusters"][0]["cluster"]["server"])
        user = document["users"][0]["user"]
        self._address = (server.hostname, server.port)
        decode = lambda text: base64.b64decode(text).decode()  # noqa: E731
        self._tls = ssl.create_default_context(
            cadata=decode(document["clusters"][0]["cluster"]["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:  # the library reads certificates from files only
            pem.write(decode(user["client-certificate-data"]) + decode(user["client-key-data"]))
            pem.flush()
            self._tls.load_cert_chain(pem.name)
        self._local = threading.local()

    def request(self, method: str, path: str, body: Optional[Any] = None,
                content_type: str = "application/json") -> dict:
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._request_once(method, path, body, content_type)
            except (OSError, http.client.HTTPException) as error:
                final = isinstance(error, ApiError) and error.code not in (429, 500, 503)
                if final or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)  # between two looks at whether the server is back

    def _request_once(self, method: str, path: str, body: Optional[Any], content_type: str) -> dict:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(*self._address, context=self._tls, timeout=60)
            self._local.connection = connection
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body),
                               headers={"Content-Type": content_type, "Accept": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._local.connection = None
            raise
        if reply.status >= 300:
            raise ApiError(method, path, reply.status, text)
        return json.loads(text)

    def list(self, path: str, label_selector: str = "", field_selector: str = "") -> list[dict]:
        query = "&".join(f"{name}={quote(value)}" for name, value in
                         (("labelSelector", label_selector), ("fieldSelector", field_selector)) if value)
        return self.request("GET", path + ("?" + query if query else ""))["items"]

    def merge(self, path: str, patch: dict) -> dict:
        return self.request("PATCH", path, patch, "application/merge-patch+json")

    def apply(self, path: str, document: dict) -> dict:
        return self.request("PATCH", path + "?fieldManager=test&force=true", document, "application/apply-patch+yaml")

    def delete(self, path: str) -> None:
        """No error when it is not there."""
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.code != 404:
                raise

    def resource_paths(self) -> dict[str, str]:
        """Path of each kind as "plural.group" (core: "plural"), for cluster scope or all namespaces."""
        paths = {r["name"]: f"/api/v1/{r['name']}" for r in self.request("GET", "/api/v1")["resources"]}
        for group in self.request("GET", "/apis")["groups"]:
            version = group["preferredVersion"]["groupVersion"]
            for r in self.request("GET", f"/apis/{version}")["resources"]:
                paths[f"{r['name']}.{group['name']}"] = f"/apis/{version}/{r['name']}"
        return paths

    def parallel(self, function: Callable[[Any], Any], items: Iterable[Any], threads: int = 8) -> list:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, items))


def in_namespace(path: str, namespace: str) -> str:
    """/apis/apps/v1/daemonsets -> /apis/apps/v1/namespaces/<namespace>/daemonsets"""
    if not namespace:
        return path
    prefix, _, plural = path.rpartition("/")
    return f"{prefix}/namespaces/{namespace}/{plural}"
