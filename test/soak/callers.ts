import http, { type OutgoingHttpHeaders } from "node:http";
import http2, { type ClientHttp2Session } from "node:http2";
import { type Answer, agentOf, type Call, callOn, startCall, type TestServer, within } from "../support/http-server.js";

export type CallUnderWay = Omit<Call, typeof Symbol.dispose>;

/** Where calls go out, with many connections of one kind. */
export interface Callers {
  start(path: string, headers: Record<string, string>): CallUnderWay;
  /** Ends some connection with all calls on it; only where calls share one. */
  readonly destroySome: (() => void) | undefined;
  close(): Promise<void>;
}

/** Calls over HTTP/1.1: as many connections as calls at once, kept and used again. */
export function http1Callers(server: TestServer): Callers {
  const agent = new http.Agent({ keepAlive: true });
  agent.createConnection = agentOf(server).createConnection;
  return {
    start: (path, headers) => startCall(server, "1.1", { path, headers, agent }),
    destroySome: undefined,
    close: async () => agent.destroy(),
  };
}

/** Calls over a few HTTP/2 sessions in turn. */
export function http2Callers(server: TestServer, count: number): Callers {
  const sessions: ClientHttp2Session[] = [];
  const open = (): ClientHttp2Session => {
    const session = http2.connect(server.url);
    session.on("error", () => {});
    return session;
  };
  for (let index = 0; index < count; index++) sessions.push(open());
  let turn = 0;
  return {
    start(path, headers) {
      turn = (turn + 1) % count;
      let session = sessions[turn] as ClientHttp2Session;
      if (session.destroyed || session.closed) session = sessions[turn] = open();
      return callOn(session, { ":path": path, ":method": "POST", ...headers } as OutgoingHttpHeaders);
    },
    destroySome: () => void sessions[turn]?.destroy(),
    close: async () => {
      for (const session of sessions) session.destroy();
    },
  };
}

/** The caller's side of a call is over for good. */
export const ended = (call: CallUnderWay): Promise<void> =>
  call.request.closed ? Promise.resolve() : new Promise((resolve) => call.request.once("close", () => resolve()));

/** The whole answer, or what went wrong instead. */
export const outcome = (call: CallUnderWay): Promise<Answer | "broken off"> =>
  within(
    20_000,
    "an answer",
    call.answer().catch(() => "broken off" as const),
  );
