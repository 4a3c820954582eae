import type { Platform } from "../../../src/index.js";
import type { AdapterAnswer, AdapterUnderTest, OpenAdapter } from "../../../src/testing/index.js";

// biome-ignore lint/suspicious/noExplicitAny: what the host answers
type Json = Readonly<Record<string, any>>;
type Headers = Readonly<Record<string, string>>;

class RefusedCall extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The host's own wire, spoken by a program that has nothing but fetch and the documents. */
class WireAdapter implements OpenAdapter {
  readonly #url: string;
  /** One identity for each address, because a plugin listens at one. The empty address is that of who asks. */
  readonly #identities = new Map<string, Promise<Headers>>();
  readonly #registrations = new Map<string, Headers>();
  readonly #watches = new Set<AbortController>();

  constructor(platform: Platform) {
    this.#url = platform.url ?? "";
  }

  async register({ type, version, address, metadata }: Parameters<OpenAdapter["register"]>[0]) {
    const identity = await this.#identityAt(address);
    const service = { serviceType: type, version, endpointPath: "/", metadata: { ...metadata, base_url: address } };
    const { registrationId: id } = await this.#call("ServiceRegistry/RegisterService", service, identity);
    await this.#call("PluginLifecycle/ReportHealth", { state: "HEALTH_STATE_HEALTHY" }, identity);
    this.#registrations.set(id ?? "", identity);
    return { id: id ?? "" };
  }

  async deregister(id: string): Promise<void> {
    const identity = this.#registrations.get(id) ?? (await this.#identityAt(""));
    this.#registrations.delete(id);
    await this.#call("ServiceRegistry/UnregisterService", { registrationId: id }, identity);
  }

  async discover(type: string, { minVersion = "" } = {}): Promise<AdapterAnswer | undefined> {
    const headers = await this.#identityAt("");
    const question = { serviceType: type, minVersion };
    const answer = await this.#call("ServiceRegistry/DiscoverService", question, headers).catch((error) => {
      if (error instanceof RefusedCall && error.code === "not_found") return undefined;
      throw error;
    });
    return this.#answerOf(answer?.endpoint, headers);
  }

  async watch(type: string, onChange: (answer: AdapterAnswer | undefined) => void): Promise<() => void> {
    const headers = await this.#identityAt("");
    const end = new AbortController();
    this.#watches.add(end);
    const response = await fetch(`${this.#url}/connectplugin.v1.ServiceRegistry/WatchService`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/connect+json" },
      body: envelope({ serviceType: type }),
      signal: end.signal,
    });
    const tell = async (): Promise<void> => {
      for await (const { endpoint } of envelopesIn(response)) onChange(this.#answerOf(endpoint, headers));
    };
    // Ends with an error when it is aborted, or the host goes.
    tell().catch(() => {});
    return () => end.abort();
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.abort();
    const ids = [...this.#registrations.keys()];
    // A host that has stopped has forgotten them already.
    await Promise.allSettled(ids.map((id) => this.deregister(id)));
  }

  #identityAt(address: string): Promise<Headers> {
    const known = this.#identities.get(address);
    if (known !== undefined) return known;
    const identity = this.#shakeHands(address);
    this.#identities.set(address, identity);
    identity.catch(() => this.#identities.delete(address));
    return identity;
  }

  async #shakeHands(baseUrl: string): Promise<Headers> {
    const answer = await this.#call("HandshakeService/Handshake", {
      coreProtocolVersion: 1,
      appProtocolVersion: 1,
      magicCookieKey: "CONNECT_PLUGIN",
      magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
      selfId: "outside",
      selfVersion: "1.0.0",
      baseUrl,
    });
    const { runtimeId = "", runtimeToken } = answer;
    return { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${runtimeToken}` };
  }

  #answerOf(endpoint: { readonly endpointUrl: string } | undefined, headers: Headers): AdapterAnswer | undefined {
    return endpoint && { url: `${this.#url}${endpoint.endpointUrl}`, headers };
  }

  async #call(procedure: string, message: object, headers: Headers = {}): Promise<Json> {
    const response = await fetch(`${this.#url}/connectplugin.v1.${procedure}`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(message),
    });
    const answer = (await response.json()) as Json;
    if (!response.ok) throw new RefusedCall(answer.code, answer.message);
    return answer;
  }
}

/** One message of a stream in Connect: flags, length, JSON. */
function envelope(message: object): Uint8Array {
  const json = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

/** The messages of a stream, without its end. */
async function* envelopesIn(response: Response): AsyncGenerator<Json> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of response.body ?? []) {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1);
      if (bytes[0] === 0) yield JSON.parse(bytes.subarray(5, end).toString());
      bytes = bytes.subarray(end);
    }
  }
}

/** What the contract needs to know of it. */
export const wireAdapter: AdapterUnderTest = {
  open: (platform) => new WireAdapter(platform),
  fields: { type: "service_type", address: "base_url" },
  // An empty address means that of who calls.
  refused: { address: ["nowhere", "ftp://127.0.0.1:1", "http://127.0.0.1:1?x", "http://192.0.2.1:1"] },
  lacks: {
    list: "the wire tells a plugin of the types that it asks for only",
    heartbeat: "what a plugin has said of its health stands until it says something else",
  },
};
