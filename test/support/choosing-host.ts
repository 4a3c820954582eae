import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type UnaryRequest, type UnaryResponse } from "@connectrpc/connect";
import { throughHost } from "../../src/plugin/interceptors/through-host.js";
import { SayResponseSchema } from "./gen/echo/v1/echo_pb.js";
import { unaryRequest } from "./intercepted.js";

/** What a provider does with a call: answers, or throws. */
export type Provider = (request: UnaryRequest) => void | Promise<void>;

/** A host that gives calls to its providers in turn, as far as callers do not avoid them, and says to whom. */
export interface ChoosingHost {
  readonly providers: Map<string, Provider>;
  /** Who was asked so far; empty for a call that nobody got. */
  readonly asked: string[];
  /** What callers have sent as those they avoid. */
  readonly avoided: (string | null)[];
  /** Whether it says who was asked. @default true */
  tells: boolean;
  /** Makes a call through an interceptor, as a plugin's client does. Resolves with who has answered. */
  call(interceptor: Interceptor, header?: Record<string, string>): Promise<string>;
}

export function choosingHost(providers: Record<string, Provider> = {}): ChoosingHost {
  const all = new Map(Object.entries(providers));
  let turn = 0;
  const host: ChoosingHost = {
    providers: all,
    asked: [],
    avoided: [],
    tells: true,
    async call(interceptor, header = {}) {
      const next = (request: unknown) => answer(request as UnaryRequest);
      const response = await throughHost(interceptor(next as never))(unaryRequest({ header }));
      return (response as UnaryResponse).header.get("x-answered-by") ?? "";
    },
  };
  const answer = async (request: UnaryRequest): Promise<UnaryResponse> => {
    const list = request.header.get("x-plugin-avoid");
    host.avoided.push(list);
    const avoided = new Set((list ?? "").split(","));
    const open = [...all].filter(([id]) => !avoided.has(id));
    turn += 1;
    const chosen = open[turn % open.length];
    host.asked.push(chosen?.[0] ?? "");
    if (chosen === undefined) {
      const code = all.size > 0 ? { "error-code": "PROVIDERS_AVOIDED" } : undefined;
      throw new ConnectError("nobody", Code.Unavailable, { "x-plugin-not-sent": "me", ...code });
    }
    const [id, provider] = chosen;
    try {
      await provider(request);
    } catch (error) {
      const told = ConnectError.from(error);
      if (host.tells) told.metadata.set("x-plugin-provider", id);
      throw told;
    }
    const header = new Headers({ "x-answered-by": id, ...(host.tells && { "x-plugin-provider": id }) });
    const { method, service } = request;
    return { stream: false, service, method, header, trailer: new Headers(), message: create(SayResponseSchema) };
  };
  return host;
}
