import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import {
  type AdapterCaseName,
  type AdapterUnderTest,
  adapterContract,
  type OpenAdapter,
} from "../../../src/testing/index.js";
import { directAdapter, openDirectAdapter } from "../../contract/adapters/direct-adapter.js";

/** An adapter that keeps the contract, but for one mistake. */
const flawed = (flaw: (adapter: OpenAdapter) => Partial<OpenAdapter>): AdapterUnderTest => ({
  ...directAdapter,
  open(platform) {
    const adapter = openDirectAdapter(platform);
    return { ...adapter, ...flaw(adapter) };
  },
  host: { waitMs: 300 },
});

const caseOf = (underTest: AdapterUnderTest, name: AdapterCaseName) => {
  const found = adapterContract(underTest).find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no case ${name}`);
  return found;
};

interface Flaw {
  readonly what: string;
  readonly flaw: (adapter: OpenAdapter) => Partial<OpenAdapter>;
  readonly name: AdapterCaseName;
  readonly says: string | RegExp;
}

const flaws: readonly Flaw[] = [
  {
    what: "keeps what is registered to itself",
    flaw: () => ({ register: async () => ({ id: "1" }) }),
    name: "what is registered is in the platform's registry, with its version and its address",
    says: /1\.2\.3 healthy/,
  },
  {
    what: "gives another id for the same service",
    flaw: ({ register }) => {
      let calls = 0;
      return {
        async register(service) {
          await register(service);
          calls += 1;
          return { id: `${calls}` };
        },
      };
    },
    name: "registering the same again is an update",
    says: /'2' !== '1'|Expected values to be strictly equal/,
  },
  {
    what: "forgets only by itself what is deregistered",
    flaw: () => ({ deregister: async () => {} }),
    name: "what is deregistered is gone everywhere at once",
    says: /1\.0\.0 healthy/,
  },
  {
    what: "remembers what it has found",
    flaw: ({ discover }) => {
      let found: Awaited<ReturnType<OpenAdapter["discover"]>>;
      return {
        async discover(type, options) {
          found ??= await discover(type, options);
          return found;
        },
      };
    },
    name: "an unhealthy provider is not given out until it is well again",
    says: /native/,
  },
  {
    what: "compares versions as texts",
    flaw: ({ discover }) => ({
      discover: async (type, { minVersion = "" } = {}) => ("9.0.0" >= minVersion ? discover(type) : undefined),
    }),
    name: "versions are compared as versions, not as texts",
    says: /nine/,
  },
  {
    what: "takes what is no version",
    flaw: ({ register }) => ({
      register: (service) =>
        register({ ...service, version: service.version === "latest" ? "1.0.0" : service.version }),
    }),
    name: "a version that is none is refused by its name, and changes nothing",
    says: 'the version "latest" is not refused',
  },
  {
    what: "refuses without saying what",
    flaw: ({ register }) => ({
      register: (service) =>
        register(service).catch(() => {
          throw new Error("bad request");
        }),
    }),
    name: "a service type that is none is refused by its name, and changes nothing",
    says: 'the type "" has to be refused with an error that names type, not with: bad request',
  },
  {
    what: "registers half of what it refuses",
    flaw: ({ register }) => ({
      async register(service) {
        if (service.address === "nowhere") await register({ ...service, type: "half", address: await listening() });
        return register(service);
      },
    }),
    name: "an address that is none is refused by its name, and changes nothing",
    says: 'the address "nowhere" was refused, and has changed something',
  },
  {
    what: "tells a watch only once",
    flaw: ({ discover }) => ({
      async watch(type, onChange) {
        onChange(await discover(type));
        return () => {};
      },
    }),
    name: "a watch is told when the host removes a plugin",
    says: "the watch tells not of nobody, but of native: not within 300 ms",
  },
  {
    what: "keeps a watch in the host",
    flaw: ({ watch }) => ({
      async watch(type, onChange) {
        await watch?.(type, onChange);
        return () => {};
      },
    }),
    name: "a watch that is closed leaves nothing in the host",
    says: "1 more watches are open: not within 300 ms",
  },
  {
    what: "leaves what was registered through it",
    flaw: () => ({ close: async () => {} }),
    name: "an adapter that closes takes what was registered through it along, and nothing else",
    says: /outside/,
  },
  {
    what: "has a heartbeat that never fails",
    flaw: () => ({ heartbeat: async () => {} }),
    name: "a heartbeat of what is deregistered is refused, and does not bring it back",
    says: /taken/,
  },
];

/** Address of a listener that is closed with the test only. */
async function listening(): Promise<string> {
  const server = http.createServer((_request, response) => response.writeHead(404).end());
  onTestFinished(() => void server.close().closeAllConnections());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each(flaws)("an adapter that $what is found out", async ({ flaw, name, says }) => {
  await expect(caseOf(flawed(flaw), name).run()).rejects.toThrow(says);
});

const closing = "closing it twice, and twice at once, is closing it once, and leaves nothing behind";

test.each([
  { what: "listener", open: listening, left: "listener" },
  {
    what: "timer",
    open: async () => {
      const timer = setInterval(() => {}, 60_000);
      onTestFinished(() => clearInterval(timer));
    },
    left: "timer",
  },
])("an adapter that leaves a $what behind is found out", async ({ open, left }) => {
  const underTest: AdapterUnderTest = {
    ...flawed(() => ({})),
    async open(platform) {
      await open();
      return openDirectAdapter(platform);
    },
  };
  await expect(caseOf(underTest, closing).run()).rejects.toThrow(`left behind: ${left}: not within 300 ms`);
});

test("an adapter that cannot be closed twice is found out", async () => {
  const closesOnce = flawed(({ close }) => {
    let closed = false;
    return {
      async close() {
        if (closed) throw new Error("it is closed already");
        closed = true;
        await close();
      },
    };
  });
  await expect(caseOf(closesOnce, closing).run()).rejects.toThrow("it is closed already");
});

test("an adapter that does not open leaves no host behind, and its own error is told", async () => {
  let stopped = false;
  const broken: AdapterUnderTest = {
    async open(platform) {
      const { stop } = platform;
      platform.stop = () => {
        stopped = true;
        return stop.call(platform);
      };
      throw new Error("the port is taken");
    },
  };
  await expect(caseOf(broken, closing).run()).rejects.toThrow("the port is taken");
  expect(stopped).toBe(true);
});

test("what an adapter lacks has to be said, and its cases are left out with the reason", async () => {
  const name = "a watch that is closed leaves nothing in the host";
  const silent = flawed(() => ({ watch: undefined as never }));
  await expect(caseOf(silent, name).run()).rejects.toThrow("the adapter has no watch: say why in `lacks`");
  const reason = "its clients poll";
  const spoken = { ...silent, lacks: { watch: reason } };
  expect(caseOf(spoken, name)).toMatchObject({ title: `${name} (left out: ${reason})`, skip: reason });
  const leftOut = adapterContract(spoken).filter(({ skip }) => skip !== undefined);
  expect(leftOut.map((one) => one.name).every((one) => one.includes("watch"))).toBe(true);
  expect(leftOut).toHaveLength(4);
});

test("one case can be left out with a reason", () => {
  const name = "the host can stop before it";
  const underTest: AdapterUnderTest = { open: openDirectAdapter, skip: { [name]: "it is another process" } };
  expect(adapterContract(underTest).filter(({ skip }) => skip !== undefined)).toMatchObject([
    { name, skip: "it is another process" },
  ]);
});
