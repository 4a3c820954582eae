import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { inCell, patienceMs } from "../long/router-matrix/cell.js";
import { type Cell, contentTypes, everyKind, isStream, message } from "../long/router-matrix/kinds.js";
import { within } from "../support/http-server.js";

const versions = ["1.1", "2"] as const;
const cells = versions.flatMap((from) => versions.map((to) => ({ in: from, out: to, kind: "http" }) as const));

/** Collects what comes, and tells when it holds a text. */
function collect(body: NodeJS.ReadableStream): (wanted: string) => Promise<string> {
  let text = "";
  let check = (): void => {};
  body.on("data", (part: Buffer) => {
    text += part;
    check();
  });
  return (wanted) =>
    within(
      patienceMs,
      JSON.stringify(wanted),
      new Promise((resolve) => {
        check = () => {
          if (text.includes(wanted)) resolve(text);
        };
        check();
      }),
    );
}

describe.each(cells)("HTTP/$in in, HTTP/$out out", (cell) => {
  test("bytes of both directions go on as they come, one by one", () =>
    inCell(
      cell,
      (served) => {
        served.respond(200);
        served.body.on("data", (part: Buffer) => {
          served.write(`<${part}>`);
        });
        served.body.on("end", () => served.end());
      },
      async ({ caller }) => {
        const call = caller.start();
        if ("flushHeaders" in call.request) call.request.flushHeaders();
        // The head comes though neither body has begun.
        const { body } = await within(patienceMs, "the head", call.head);
        const saw = collect(body);
        for (const byte of "abc") {
          call.request.write(byte);
          await saw(`<${byte}>`);
        }
        const ended = once(body, "end");
        call.request.end();
        await within(patienceMs, "the end", ended);
      },
    ));

  test("events of a server come through one by one", () =>
    inCell(
      cell,
      (served) => {
        served.body.resume();
        served.respond(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
        let count = 0;
        const send = (): void => {
          served.write(`id: ${++count}\ndata: tick\n\n`);
          if (count === 3) served.end();
        };
        send();
        serverTurn = send;
      },
      async ({ caller }) => {
        const call = caller.start({ method: "GET", headers: { accept: "text/event-stream" } });
        call.request.end();
        const { headers, body } = await within(patienceMs, "the head", call.head);
        expect(headers["content-type"]).toBe("text/event-stream");
        const ended = once(body, "end");
        const saw = collect(body);
        await saw("id: 1\ndata: tick\n\n");
        serverTurn();
        await saw("id: 2\ndata: tick\n\n");
        serverTurn();
        await saw("id: 3\ndata: tick\n\n");
        await within(patienceMs, "the end", ended);
      },
    ));

  test("trailers go both ways, after a body and after none", () =>
    inCell(
      cell,
      (served) => {
        let bytes = 0;
        served.body.on("data", (part: Buffer) => {
          bytes += part.length;
        });
        served.body.on("end", () => {
          served.respond(200, { trailer: "x-sum" });
          if (bytes > 0) served.write("body");
          served.end({ "x-sum": `${bytes} and ${served.trailers()["x-check"]}` });
        });
      },
      async ({ caller }) => {
        for (const text of ["four", ""]) {
          const call = caller.start({ headers: { trailer: "x-check" }, trailers: { "x-check": "7" } });
          call.request.end(text);
          const answer = await within(patienceMs, "the answer", call.answer());
          expect(answer.text).toBe(text === "" ? "" : "body");
          expect(answer.trailers["x-sum"]).toBe(`${text.length} and 7`);
        }
      },
    ));

  test("a body with its length keeps it, and one without has none", () =>
    inCell(
      cell,
      (served) => {
        const chunks: Buffer[] = [];
        served.body.on("data", (part: Buffer) => chunks.push(part));
        served.body.on("end", () => {
          const body = Buffer.concat(chunks);
          const length = served.headers["content-length"];
          const own = length === undefined ? {} : { "content-length": String(body.length) };
          served.respond(200, {
            "x-length": String(length),
            "x-coding": String(served.headers["transfer-encoding"]),
            ...own,
          });
          served.write(body);
          served.end();
        });
      },
      async ({ caller }) => {
        for (const length of ["4", undefined]) {
          const call = caller.start(length === undefined ? {} : { headers: { "content-length": length } });
          call.request.write("fo");
          call.request.end("ur");
          const { headers, text } = await within(patienceMs, "the answer", call.answer());
          expect(text).toBe("four");
          expect(headers["x-length"]).toBe(String(length));
          expect(headers["content-length"]).toBe(length);
          // A length and chunks in one request would be an invitation to smuggle.
          if (length !== undefined) expect(headers["x-coding"]).toBe("undefined");
        }
      },
    ));

  test("HEAD gets the fields of a body, and no body, and the connection serves on", () =>
    inCell(
      cell,
      (served) => {
        served.body.resume();
        if (cell.out === "2") served.respondOnly(200, { "content-length": "12345" });
        else {
          served.respond(200, { "content-length": "12345" });
          served.end();
        }
      },
      async ({ caller, stillServes, event }) => {
        for (let count = 0; count < 3; count++) {
          const call = caller.start({ method: "HEAD" });
          call.request.end();
          const answer = await within(patienceMs, "the answer", call.answer());
          expect([answer.status, answer.headers["content-length"], answer.text]).toEqual([200, "12345", ""]);
        }
        await stillServes();
        expect(caller.connections()).toBe(1);
        expect(await event()).toMatchObject({ outcome: "completed", responseBytes: 0 });
      },
    ));

  test.each(everyKind.filter((kind) => kind !== "grpc" || (cell.in === "2" && cell.out === "2")))(
    "the host can end a call, before its answer and within it: %s",
    async (kind) => {
      const own: Cell = { ...cell, kind };
      await inCell(
        own,
        (served) => {
          served.body.resume();
          if (served.path === "/x") return;
          served.respond(200, { "content-type": contentTypes[kind] });
          served.write(message(kind, "one"));
        },
        async (open) => {
          const begun = open.caller.start({ path: "/services/logger/any/begun" });
          begun.request.end("x");
          const { body } = await within(patienceMs, "the head", begun.head);
          await within(patienceMs, "the first bytes", once(body, "data"));
          const waiting = open.caller.start();
          waiting.request.end("x");
          const both = Promise.all([open.seen(waiting), open.seen(begun)]);
          await within(patienceMs, "both calls", bothInFlight(open.inFlight));
          open.inFlight.abortAll(new Error("the plugin is drained"));
          const [early, late] = await both;
          expect(early).toMatchObject({ status: isStream(kind) ? 200 : 503, code: "unavailable", cut: false });
          expect(late).toMatchObject(
            isStream(kind) ? { code: "unavailable", cut: false } : { code: "none", cut: true },
          );
          await open.event(2);
          expect(open.host.events.map(({ outcome }) => outcome)).toEqual(["aborted", "aborted"]);
        },
      );
    },
  );
});

let serverTurn = (): void => {};

function bothInFlight(inFlight: { readonly count: number; onChange: (() => void) | undefined }): Promise<void> {
  return new Promise((resolve) => {
    inFlight.onChange = () => {
      if (inFlight.count === 2) resolve();
    };
    inFlight.onChange();
  });
}
