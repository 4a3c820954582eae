import type { Platform } from "../../index.js";
import type { TestHostOptions } from "../test-host.js";
import type { AdapterCaseName } from "./adapter-cases.js";

/** A service that the suite registers. */
export interface AdapterService {
  readonly type: string;
  /** Semantic version. */
  readonly version: string;
  /** Where its provider listens: a base URL such as `http://127.0.0.1:4001`, without a slash at the end. */
  readonly address: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What an adapter answers to those who look for a service. */
export interface AdapterAnswer {
  /** Base URL, http or https: the provider's own, or one of the host that leads to it. */
  readonly url: string;
  /** What a call to it has to carry, such as the caller's identity. @default nothing */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * One adapter over one platform, used over the adapter's own wire. Whatever the wire refuses rejects, with an error whose
 * message is what the wire said.
 */
export interface OpenAdapter {
  /** Registers a service that answers at its address, or updates it. Resolves when it is in effect. */
  register(service: AdapterService): Promise<{ readonly id: string }>;
  /** Takes back what `register` gave this id. Resolves when it is in effect. */
  deregister(id: string): Promise<void>;
  /** A provider that can take calls now; undefined if there is none. `minVersion` is the lowest version that will do. */
  discover(type: string, options?: { readonly minVersion?: string }): Promise<AdapterAnswer | undefined>;
  /** The service types that somebody provides. */
  list?(): Promise<readonly string[]>;
  /** A sign of life of what is registered. */
  heartbeat?(id: string): Promise<void>;
  /**
   * Tells what `discover` would answer, now and after each change, until the function is called that it resolves with. May tell the
   * same several times.
   */
  watch?(type: string, onChange: (answer: AdapterAnswer | undefined) => void): Promise<() => void | Promise<void>>;
  /** Closes the adapter, with its listeners and what was registered through it. The platform goes on. Idempotent. */
  close(): Promise<void>;
}

/** What not every registry has: the optional methods, more than one provider of a type, versions and metadata. */
export type AdapterFeature = "list" | "heartbeat" | "watch" | "replicas" | "versions" | "metadata" | "modules";

/** What a registry can refuse. */
export type AdapterField = "type" | "version" | "address";

/** An adapter, as the contract tests it. */
export interface AdapterUnderTest {
  /** Opens the adapter over a platform that listens. Called once for each case; each case has a platform of its own. */
  open(platform: Platform): OpenAdapter | Promise<OpenAdapter>;
  /**
   * What the registry does not have, each with the reason; its cases are left out. `modules`: plugins of the host that have no
   * address of their own are not given out.
   */
  readonly lacks?: { readonly [Feature in AdapterFeature]?: string };
  /** How errors name what they refuse. @default "type", "version", "address" */
  readonly fields?: { readonly [Field in AdapterField]?: string };
  /**
   * Values that are refused. @default for `type` `""`, `9lives`, `a b`, `a/b`, `a..b`; for `version` `""`, `1.2`, `v1.2.3`, `latest`;
   * for `address` `""`, `nowhere`, `ftp://127.0.0.1:1`, `http://127.0.0.1:1?x`
   */
  readonly refused?: { readonly [Field in AdapterField]?: readonly string[] };
  /** Cases that this adapter cannot meet, each with the reason. */
  readonly skip?: { readonly [Name in AdapterCaseName]?: string };
  /** Options of the host that each case starts. */
  readonly host?: TestHostOptions;
}
