#!/usr/bin/env python3
# ruff: noqa: ASYNC230, E401, E741, I001, SIM115
"""TLS front for loopback federation tests, with a wire log.

    front.py --cert leaf.pem --key leaf.key [--listen 127.0.20.1:443] [--log wire.jsonl] \
             gts.test=127.0.0.1:18080 snac.test=127.0.0.1:18081 ...

Terminates TLS, picks the backend by Host header, forwards plain HTTP/1.1 with the Host header, all
header names' case and order, and the body unchanged (so HTTP signatures stay valid), and adds
X-Forwarded-For/Proto/Host. Every exchange becomes one JSON line in --log: request line, headers,
body, status, response headers and body (each body at most 64 KiB, text when it is UTF-8).
Accept-Encoding is dropped so that bodies in the log are readable. One request per connection.
Upgrade requests (WebSocket) are piped through unlogged. Standard library only.
"""

import argparse, asyncio, base64, itertools, json, ssl, time

CAP = 64 * 1024
seq = itertools.count(1)


def show(b: bytes):
    b = b[:CAP]
    try:
        return b.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(b).decode()}


def parse_head(raw: bytes):
    lines = raw.decode("latin-1").split("\r\n")
    return lines[0], [tuple(x.strip() for x in l.split(":", 1)) for l in lines[1:] if ":" in l]


def get(headers, name):
    return next((v for k, v in headers if k.lower() == name), None)


async def read_chunked(r):
    out = bytearray()
    while True:
        size = int((await r.readline()).split(b";")[0], 16)
        out += await r.readexactly(size)
        await r.readline()
        if size == 0:
            return bytes(out)


async def read_body(r, headers):
    if (get(headers, "transfer-encoding") or "").lower() == "chunked":
        return await read_chunked(r)
    n = int(get(headers, "content-length") or 0)
    return await r.readexactly(n) if n else b""


async def pipe(r, w):
    try:
        while data := await r.read(65536):
            w.write(data)
            await w.drain()
    except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
        pass
    finally:
        w.close()


class Front:
    def __init__(self, backends, log):
        self.backends, self.log = backends, log

    async def handle(self, r, w):
        try:
            await self.one(r, w)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, OSError, ValueError):
            pass
        finally:
            w.close()

    async def one(self, r, w):
        raw = await r.readuntil(b"\r\n\r\n")
        line, headers = parse_head(raw)
        host = (get(headers, "host") or "").split(":")[0].lower()
        back = self.backends.get(host)
        if not back:
            w.write(b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return await w.drain()
        upgrade = get(headers, "upgrade")
        body = b"" if upgrade else await read_body(r, headers)
        peer = w.get_extra_info("peername")
        drop = {
            "accept-encoding",
            "transfer-encoding",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
        }
        if not upgrade:
            drop |= {"connection", "keep-alive"}
        fwd = [(k, v) for k, v in headers if k.lower() not in drop]
        if body and not get(fwd, "content-length"):
            fwd.append(("Content-Length", str(len(body))))
        fwd += [("X-Forwarded-For", peer[0]), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", host)]
        if not upgrade:
            fwd.append(("Connection", "close"))
        t0 = time.time()
        rec = {
            "n": next(seq),
            "t": round(t0, 3),
            "host": host,
            "request": line,
            "headers": headers,
            "body": show(body),
        }
        try:
            br, bw = await asyncio.open_connection(*back)
        except OSError:
            w.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await w.drain()
            rec["status"] = "502 (backend down)"
            return self.write(rec)
        bw.write((line + "\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fwd) + "\r\n").encode("latin-1") + body)
        await bw.drain()
        if upgrade:
            return await asyncio.gather(pipe(r, bw), pipe(br, w))
        try:
            rhead = await br.readuntil(b"\r\n\r\n")
            while rhead.split(b" ", 2)[1].startswith(b"1"):  # 100 Continue
                rhead = await br.readuntil(b"\r\n\r\n")
            rline, rheaders = parse_head(rhead)
            no_body = line.startswith("HEAD ") or rline.split(" ")[1] in ("204", "304")
            if no_body:
                data = b""
            elif (get(rheaders, "transfer-encoding") or "").lower() == "chunked":
                data = await read_chunked(br)
            elif get(rheaders, "content-length") is not None:
                data = await br.readexactly(int(get(rheaders, "content-length")))
            else:
                data = await br.read(-1)
            out = [
                (k, v)
                for k, v in rheaders
                if k.lower() not in ("transfer-encoding", "connection", "keep-alive", "content-length")
            ]
            out += [
                (
                    "Content-Length",
                    get(rheaders, "content-length") if no_body and get(rheaders, "content-length") else str(len(data)),
                ),
                ("Connection", "close"),
            ]
            w.write((rline + "\r\n" + "".join(f"{k}: {v}\r\n" for k, v in out) + "\r\n").encode("latin-1") + data)
            await w.drain()
            rec |= {
                "status": rline,
                "response_headers": rheaders,
                "response_body": show(data),
                "ms": round((time.time() - t0) * 1000),
            }
        finally:
            self.write(rec)
            bw.close()

    def write(self, rec):
        if self.log:
            print(json.dumps(rec, ensure_ascii=False), file=self.log, flush=True)


async def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--cert", required=True)
    ap.add_argument("--key", required=True)
    ap.add_argument("--listen", default="127.0.20.1:443")
    ap.add_argument("--log")
    ap.add_argument("map", nargs="+")
    a = ap.parse_args()
    backends = {}
    for m in a.map:
        name, addr = m.split("=")
        h, p = addr.rsplit(":", 1)
        backends[name.lower()] = (h, int(p))
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(a.cert, a.key)
    ctx.set_alpn_protocols(["http/1.1"])
    host, port = a.listen.rsplit(":", 1)
    front = Front(backends, open(a.log, "a") if a.log else None)
    srv = await asyncio.start_server(front.handle, host, int(port), ssl=ctx, limit=1 << 20)
    print("front on", a.listen, "for", ", ".join(backends), flush=True)
    async with srv:
        await srv.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
