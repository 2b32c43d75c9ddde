// A fake mail relay (RFC 5321, STARTTLS, AUTH PLAIN and LOGIN), without dependencies. It takes mail as a real one does and misbehaves as its script says.
//
//   const relay = await startSmtp({ script: [{ rcpt: "451 4.7.1 Greylisted, try again later" }, {}] });
//   relay.port; relay.mails: [{from, to, raw, headers, text, user, isEncrypted}]; relay.sessions: [[lines of the client]]; relay.play([...]); await relay.close();
//
// Connection n is answered by step n of the script, later ones by the last step. A step:
//
//   greeting, ehlo, mail, rcpt, data, message, quit    the whole answer there ("452 4.3.1 Full"; lines joined by \n are one answer of several lines)
//   stall: "greeting" | "ehlo" | ... | "quit"          silence from there on              drop: "..."     the connection is reset instead of that answer
//   slow_ms                                            before every answer
//
// Of the relay: user and password (it asks for them), starttls, implicit (TLS from the first byte), certificate: "localhost" | "other", size (its limit).
import { createServer } from "node:net";
import { createServer as createTlsServer, TLSSocket } from "node:tls";

// Made for these tests and for nothing else: an authority, a certificate for localhost and 127.0.0.1, and one for another name.
export const AUTHORITY = `-----BEGIN CERTIFICATE-----
MIIBlzCCAT2gAwIBAgIUIht2PJqN7DMtBzgXDPEk4Q1EyAIwCgYIKoZIzj0EAwIw
IDEeMBwGA1UEAwwVVHJvdXBlIHRlc3QgYXV0aG9yaXR5MCAXDTI2MTEyMTEwNTEx
M1oYDzIxMjYxMDI4MTA1MTEzWjAgMR4wHAYDVQQDDBVUcm91cGUgdGVzdCBhdXRo
b3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARUMpiUc5AecNyMFI6bwtNm
Nq1OadHBKKz0hwgdd8abi6siXE+zpRjdF8bNJ7OwSbV6t+tRqSxV44G3mEpvQFrE
o1MwUTAdBgNVHQ4EFgQU7r5FG5qKtFOAdlbbjKLplMKpQPowHwYDVR0jBBgwFoAU
7r5FG5qKtFOAdlbbjKLplMKpQPowDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQD
AgNIADBFAiEA7SWTcTk+546dgiVv5M2XemYFOgt6yMJoq7RhXq/fzpMCID32k9Jw
NBsmf7+gX1C8YBo5E4EdwhYKKI5yycAHti/s
-----END CERTIFICATE-----
`;
const CERTIFICATES = {
  localhost: { key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIQMY46my94G9/FHT
20SSeqjughu7Qz1oS6WAV/8c+7uhRANCAATvQpiAEYy1GJsw/BqUbz2ybq5F+L7+
y/NE5ZD/Gu7u7AZ3AcUP+1uuOzadfpjwxju2zO+IvINQmuw1eeOQLPNi
-----END PRIVATE KEY-----
`, cert: `-----BEGIN CERTIFICATE-----
MIIBljCCATygAwIBAgIUQRG+u5iV4N2m7CU9+OniE+tXFAgwCgYIKoZIzj0EAwIw
IDEeMBwGA1UEAwwVVHJvdXBlIHRlc3QgYXV0aG9yaXR5MCAXDTI2MTEyMTEwNTEx
M1oYDzIxMjYxMDI4MTA1MTEzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAATvQpiAEYy1GJsw/BqUbz2ybq5F+L7+y/NE5ZD/
Gu7u7AZ3AcUP+1uuOzadfpjwxju2zO+IvINQmuw1eeOQLPNio14wXDAaBgNVHREE
EzARgglsb2NhbGhvc3SHBH8AAAEwHQYDVR0OBBYEFKqpycPrxJ3tZShocZcRi/cu
Rv/aMB8GA1UdIwQYMBaAFO6+RRuairRTgHZW24yi6ZTCqUD6MAoGCCqGSM49BAMC
A0gAMEUCIQDbG3YwEqAjxo5ZXQ8ejP9v7wMhNaM8ij3zGK/wnEqJCAIgA58x5rV+
eg+7DbwE8Z3OKsdz84+aWT0jgxoHsI3BwCo=
-----END CERTIFICATE-----
` },
  other: { key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgN9grqLx8Ab+6N5iD
4qEk+p24w6ew7tSt67FQRH1bmlWhRANCAAT723b2y9EvwYWQvBJCjlfCaOgKqyXE
yXwRh1MT3tKlocBWE+cHX9K1U+8hdhL0EAi0+abnSTbIsH9vwmIM4XPI
-----END PRIVATE KEY-----
`, cert: `-----BEGIN CERTIFICATE-----
MIIBjjCCATOgAwIBAgIUQRG+u5iV4N2m7CU9+OniE+tXFAkwCgYIKoZIzj0EAwIw
IDEeMBwGA1UEAwwVVHJvdXBlIHRlc3QgYXV0aG9yaXR5MCAXDTI2MTEyMTEwNTEx
M1oYDzIxMjYxMDI4MTA1MTEzWjAQMQ4wDAYDVQQDDAVvdGhlcjBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABPvbdvbL0S/BhZC8EkKOV8Jo6AqrJcTJfBGHUxPe0qWh
wFYT5wdf0rVT7yF2EvQQCLT5pudJNsiwf2/CYgzhc8ijWTBXMBUGA1UdEQQOMAyC
Cm90aGVyLnRlc3QwHQYDVR0OBBYEFDYhX+00v9IF487d2yFuqX2i2hVXMB8GA1Ud
IwQYMBaAFO6+RRuairRTgHZW24yi6ZTCqUD6MAoGCCqGSM49BAMCA0kAMEYCIQCv
qPdqA6PFk5UwN4NJLc9UMohhP1a3LXnJq7mAqb3kBgIhALdP1gwyXGgefWBVCcrS
FxVlubkZcpr2LwZETYC71Y19
-----END CERTIFICATE-----
` },
};

const unquote = (text) => Buffer.from(text.replace(/=\r\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))), "latin1").toString("utf8");
const unword = (text) => text.replace(/\?=\r\n =\?/g, "?==?").replace(/=\?UTF-8\?B\?([^?]*)\?=/g, (_, word) => Buffer.from(word, "base64").toString("utf8"));

/** A message as it came: headers by lower-case name (unfolded, decoded), the text decoded. */
export function parseMail(raw) {
  const end = raw.indexOf("\r\n\r\n");
  const headers = {};
  for (const line of raw.slice(0, end).replace(/\r\n[ \t]+/g, (fold) => (/\?=$/.test(fold) ? "" : " ")).split("\r\n")) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).toLowerCase();
    (headers[name] ??= []).push(unword(line.slice(at + 1).trim().replace(/\?= =\?/g, "?==?")));
  }
  return { headers, text: unquote(raw.slice(end + 4)) };
}

class Session {
  constructor(relay, socket, step) {
    Object.assign(this, { relay, step, user: null, lines: [], buffer: "", inData: false, auth: null, isEncrypted: relay.options.implicit ?? false });
    relay.sessions.push(this.lines);
    this.attach(socket);
    this.answer("greeting", "220 fake.test ready");
  }

  attach(socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (bytes) => { this.buffer += bytes.toString("latin1"); this.read(); });
  }

  answer(place, usual) {
    if (this.isOver) return;
    if (this.step.stall === place) { this.isOver = true; return; }
    if (this.step.drop === place) { this.isOver = true; this.socket.destroy(); return; }
    const lines = (this.step[place] ?? usual).split("\n");
    const code = lines[0].slice(0, 3);
    const text = lines.map((line, i) => `${code}${i + 1 < lines.length ? "-" : " "}${i === 0 ? line.slice(4) : line}\r\n`).join("");
    const say = () => { if (!this.socket.destroyed) { this.socket.write(text); if (code === "421" || place === "quit") this.socket.end(); } };
    if (this.step.slow_ms) setTimeout(say, this.step.slow_ms);
    else say();
  }

  read() {
    for (;;) {
      if (this.inData) {
        const end = this.buffer.startsWith(".\r\n") ? 0 : this.buffer.indexOf("\r\n.\r\n");
        if (end < 0) return;
        const raw = end === 0 ? "" : this.buffer.slice(0, end + 2);
        this.buffer = this.buffer.slice(end === 0 ? 3 : end + 5);
        this.inData = false;
        this.keep(raw);
        continue;
      }
      const end = this.buffer.indexOf("\r\n");
      if (end < 0) return;
      const line = this.buffer.slice(0, end);
      this.buffer = this.buffer.slice(end + 2);
      this.lines.push(line);
      this.command(line);
    }
  }

  keep(raw) {
    const wire = raw;
    raw = raw.replace(/^\.\./gm, ".");
    if (/[^\r]\n|\r[^\n]/.test(wire)) return this.answer("message", "550 5.6.0 Bare line ends");
    if (!/^2/.test(this.step.message ?? "250")) return this.answer("message", "");
    this.relay.mails.push({ from: this.from, to: this.to, raw, user: this.user, isEncrypted: this.isEncrypted, ...parseMail(raw) });
    this.answer("message", "250 2.0.0 Taken");
  }

  features() {
    const { options } = this.relay;
    return ["fake.test", "PIPELINING", `SIZE ${options.size ?? 1000000}`, ...(options.starttls && !this.isEncrypted ? ["STARTTLS"] : []),
      ...(options.user && (this.isEncrypted || !options.starttls) ? ["AUTH PLAIN LOGIN"] : []), "8BITMIME"].join("\n");
  }

  signIn(user, password) {
    const { options } = this.relay;
    const isRight = user === options.user && password === options.password;
    if (isRight) this.user = user;
    this.answer("auth", isRight ? "235 2.7.0 Welcome" : "535 5.7.8 Authentication credentials invalid");
  }

  command(line) {
    const { options } = this.relay;
    const word = line.split(" ")[0].toUpperCase();
    if (this.auth) {
      const given = Buffer.from(line, "base64").toString("utf8");
      const auth = this.auth;
      this.auth = null;
      if (auth.plain) return this.signIn(...given.split("\0").slice(1));
      if (auth.user === undefined) { this.auth = { user: given }; return this.answer("", "334 UGFzc3dvcmQ6"); }
      return this.signIn(auth.user, given);
    }
    if (word === "EHLO" || word === "HELO") return this.answer("ehlo", `250 ${this.features()}`);
    if (word === "STARTTLS" && options.starttls) {
      this.socket.write("220 2.0.0 Go ahead\r\n");
      this.socket.removeAllListeners("data");
      this.isEncrypted = true;
      return this.attach(new TLSSocket(this.socket, { isServer: true, ...CERTIFICATES[options.certificate ?? "localhost"] }));
    }
    if (word === "AUTH" && / PLAIN /.test(line)) return this.signIn(...Buffer.from(line.split(" ")[2], "base64").toString("utf8").split("\0").slice(1));
    if (word === "AUTH") { this.auth = / PLAIN/.test(line) ? { plain: true } : {}; return this.answer("", /PLAIN/.test(line) ? "334 " : "334 VXNlcm5hbWU6"); }
    if (word === "MAIL") {
      this.from = line.match(/<([^>]*)>/)?.[1];
      const size = Number(line.match(/SIZE=(\d+)/)?.[1] ?? 0);
      if (options.user && !this.user) return this.answer("mail", "530 5.7.0 Authentication required");
      return this.answer("mail", size > (options.size ?? 1000000) ? "552 5.3.4 Message size exceeds fixed limit" : "250 2.1.0 Ok");
    }
    if (word === "RCPT") { this.to = line.match(/<([^>]*)>/)?.[1]; return this.answer("rcpt", "250 2.1.5 Ok"); }
    if (word === "DATA") {
      this.inData = /^3/.test(this.step.data ?? "354");
      return this.answer("data", "354 End with a dot");
    }
    if (word === "QUIT") return this.answer("quit", "221 2.0.0 Bye");
    if (word === "RSET" || word === "NOOP") return this.answer("", "250 Ok");
    this.answer("", "502 5.5.2 Not known");
  }
}

export async function startSmtp(options = {}) {
  const relay = { options, mails: [], sessions: [], script: options.script ?? [{}], served: 0 };
  const sockets = new Set();
  const serve = (socket) => {
    sockets.add(socket);
    socket.unref();
    socket.on("close", () => sockets.delete(socket));
    new Session(relay, socket, relay.script[Math.min(relay.served++, relay.script.length - 1)] ?? {});
  };
  const server = options.implicit ? createTlsServer(CERTIFICATES[options.certificate ?? "localhost"], serve) : createServer(serve);
  server.on("tlsClientError", () => {});
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref(); // a test that failed must not be held up by its relay
  relay.port = server.address().port;
  relay.url = `${options.implicit ? "smtps" : "smtp"}://127.0.0.1:${relay.port}`;
  relay.play = (script) => { relay.script = script; relay.served = 0; };
  relay.close = () => new Promise((resolve) => { sockets.forEach((socket) => socket.destroy()); server.close(resolve); });
  return relay;
}
