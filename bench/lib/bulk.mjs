// Large bodies over HTTP/1.1, on sockets with one buffer each, so that the load costs little beside what is measured.
import { connect } from "node:net";

const bufferBytes = 1 << 20;
const filler = Buffer.alloc(bufferBytes, "0123456789abcdef");

/** Sends a head, then hands each piece of the answer to `onBytes(count)`, which returns whether to go on reading. */
function exchange(url, method, headers, onHead, onBytes) {
  const { hostname, port, pathname, search } = new URL(url);
  const lines = Object.entries({ host: `${hostname}:${port}`, ...headers }).map((field) => `${field.join(": ")}\r\n`);
  let head = "";
  let headRead = false;
  const callback = (count, buffer) => {
    if (headRead) return onBytes(count, buffer.subarray(0, count));
    head += buffer.latin1Slice(0, count);
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) return true;
    headRead = true;
    onHead(head.slice(0, end));
    const rest = Buffer.from(head.slice(end + 4), "latin1");
    return rest.length === 0 || onBytes(rest.length, rest);
  };
  const target = { host: hostname, port: Number(port), onread: { buffer: Buffer.alloc(bufferBytes), callback } };
  const socket = connect(target);
  socket.write(`${method} ${pathname}${search} HTTP/1.1\r\n${lines.join("")}\r\n`);
  return socket;
}

const expectOk = (head) => {
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`unexpected answer: ${head}`);
};

/** Reads an answer of `bytes` to its end, and resolves with bytes a second. */
export function download(url, headers, bytes) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    let read = 0;
    const socket = exchange(url, "GET", headers, checked(reject, expectOk), (count) => {
      read += count;
      if (read === bytes) resolve((bytes * 1_000) / (performance.now() - begin));
      if (read >= bytes) socket.destroy();
      return true;
    });
    settleOnEnd(socket, reject, () => `${read} of ${bytes} bytes`);
  });
}

/** Reads an answer at `bytesPerSecond` for `forMs`, then goes away; resolves with the number of bytes. */
export function downloadSlowly(url, headers, bytesPerSecond, forMs) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    let read = 0;
    const socket = exchange(url, "GET", headers, checked(reject, expectOk), (count) => {
      read += count;
      const aheadMs = (read / bytesPerSecond) * 1_000 - (performance.now() - begin);
      if (aheadMs <= 1) return true;
      setTimeout(() => socket.resume(), aheadMs);
      return false;
    });
    settleOnEnd(socket, reject, () => `${read} bytes`);
    setTimeout(() => {
      resolve(read);
      socket.destroy();
    }, forMs);
  });
}

/** Sends a body of `bytes`; resolves with bytes a second until the answer, which must begin with their number. */
export function upload(url, headers, bytes) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const fields = { ...headers, "content-length": String(bytes) };
    const socket = exchange(url, "POST", fields, checked(reject, expectOk), (count, buffer) => {
      const answer = buffer.latin1Slice(0, count);
      if (answer.includes(String(bytes))) resolve((bytes * 1_000) / (performance.now() - begin));
      else reject(new Error(`the provider got ${answer} of ${bytes} bytes`));
      socket.destroy();
      return true;
    });
    settleOnEnd(socket, reject, () => "the answer");
    feed(socket, bytes);
  });
}

/** Sends a body without end for `forMs`, then goes away; resolves with the bytes that were taken from it. */
export function uploadFor(url, headers, forMs) {
  return new Promise((resolve, reject) => {
    const socket = exchange(
      url,
      "POST",
      { ...headers, "content-length": String(2 ** 40) },
      () => {},
      () => true,
    );
    settleOnEnd(socket, reject, () => "the end of the time");
    feed(socket, 2 ** 40);
    setTimeout(() => {
      resolve(socket.bytesWritten);
      socket.destroy();
    }, forMs);
  });
}

function feed(socket, bytes) {
  let left = bytes;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      const part = left >= bufferBytes ? filler : filler.subarray(0, left);
      left -= part.length;
      if (!socket.write(part)) return;
    }
  };
  socket.on("drain", more);
  more();
}

const checked = (reject, check) => (head) => {
  try {
    check(head);
  } catch (error) {
    reject(error);
  }
};

function settleOnEnd(socket, reject, seen) {
  socket.once("error", reject);
  socket.once("close", () => reject(new Error(`the connection was closed after ${seen()}`)));
}
