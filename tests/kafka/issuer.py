"""Gives tokens to clients, as an identity provider does: client credentials (RFC 6749, section 4.4) over HTTPS, tokens signed with RS256, and the
key by which a broker knows them (JWKS).

It can be stopped and started again under its address, and keeps whom it gave tokens.
"""

import base64
import json
import ssl
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def base64url(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class Issuer:
    """`clients` are by id: (secret, seconds for which a token is good). Use it in a `with`."""

    def __init__(self, folder, certificate, clients, port):
        folder.mkdir()
        self.folder, self.certificate, self.clients, self.port = folder, certificate, clients, port
        for name in ("known", "unknown"):
            command = ["openssl", "genrsa", "-out", str(self.key(name)), "2048"]
            subprocess.run(command, check=True, capture_output=True)
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [self.public_key()]}))
        # Clients whose tokens are signed with a key that no broker knows.
        self.forgers = set()
        self.given = []
        self.tokens = []
        self.server = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/token"

    def key(self, name):
        return self.folder / f"{name}.key"

    def public_key(self):
        command = ["openssl", "rsa", "-in", str(self.key("known")), "-noout", "-modulus"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        modulus = bytes.fromhex(said.strip().removeprefix("Modulus="))
        return {"kty": "RSA", "kid": "known", "use": "sig", "alg": "RS256", "n": base64url(modulus), "e": "AQAB"}

    def start(self):
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                issuer.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def answer(self, request):
        asked = urllib.parse.parse_qs(request.rfile.read(int(request.headers["content-length"])).decode())
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        client, _, secret = base64.b64decode(credentials).decode().partition(":")
        known, seconds = self.clients.get(client, (None, 0))
        if kind != "Basic" or secret != known:
            return self.say(request, 401, {"error": "invalid_client", "error_description": "Invalid client or secret"})
        if asked.get("grant_type") != ["client_credentials"]:
            return self.say(request, 400, {"error": "unsupported_grant_type"})
        scope = asked.get("scope", ["none"])[0]
        token = self.signed({"sub": client, "scope": scope, "iat": int(time.time()), "exp": int(time.time()) + seconds})
        self.given.append(client)
        self.tokens.append(token)
        return self.say(request, 200, {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": scope})

    def say(self, request, status, answer):
        body = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def signed(self, claims):
        header = {"alg": "RS256", "typ": "JWT", "kid": "known"}
        text = ".".join(base64url(json.dumps(it).encode()) for it in (header, claims))
        key = self.key("unknown" if claims["sub"] in self.forgers else "known")
        command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
        signature = subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{base64url(signature)}"
