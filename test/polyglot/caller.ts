/** What a call through the host brought. */
export interface Answer {
  readonly status: number;
  readonly text?: string;
  /** Every plugin that took part, the first in front: `go>python>sdk`. */
  readonly provider?: string;
  readonly code?: string;
  readonly message?: string;
}

/** A plugin in a few lines of fetch: it says hello and calls others. */
export interface Caller {
  /** Calls any provider of `serviceType`; a text `a>b>c` goes on to `a`, then `b`. */
  say(serviceType: string, text: string): Promise<Answer>;
}

const post = (url: string, message: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(message),
  });

/** Gets an identity from the host at `hostUrl`: the headers that prove it. */
export async function joinAsPlugin(hostUrl: string, selfId: string): Promise<Record<string, string>> {
  const hello = await post(`${hostUrl}/connectplugin.v1.HandshakeService/Handshake`, {
    coreProtocolVersion: 1,
    appProtocolVersion: 1,
    magicCookieKey: "CONNECT_PLUGIN",
    magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
    selfId,
    selfVersion: "1.0.0",
  });
  const { runtimeId, runtimeToken } = (await hello.json()) as { runtimeId: string; runtimeToken: string };
  return { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${runtimeToken}` };
}

/** Gets an identity from the host at `hostUrl`, and calls with it. */
export async function joinAsCaller(hostUrl: string): Promise<Caller> {
  const credentials = await joinAsPlugin(hostUrl, "caller");
  return {
    async say(serviceType, text) {
      const answer = await post(`${hostUrl}/services/${serviceType}/any/Say`, { text }, credentials);
      return { status: answer.status, ...((await answer.json()) as Omit<Answer, "status">) };
    },
  };
}
