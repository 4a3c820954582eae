import type { IncomingMessage, ServerResponse } from "node:http";
import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor, ServiceImpl } from "@connectrpc/connect";
import type { HealthVerdict } from "../model/health.js";
import type { CircuitState } from "./interceptors/circuit.js";
import type { ResilienceOptions } from "./interceptors/resilience.js";
import type { KnownMethods, NarrowedClient } from "./required-methods.js";
import type { ConnectServerOptions } from "./server-options.js";

/** A service that the plugin needs. The key in `requires` is its service type. */
export interface RequiredService<Desc extends DescService = DescService> {
  /** Generated description of the service, for a typed client. Without it `plugin.fetch` reaches the service. */
  readonly service?: Desc;
  /** A complete `x.y.z` is a minimum, anything else an npm range. @default "" (any version) */
  readonly minVersion?: string;
  /** Whether the host should start providers of it before this plugin. Never blocks the plugin itself. @default true */
  readonly required?: boolean;
  /**
   * The methods that the plugin calls, so that the host refuses every other: `Method`, `pkg.Service/Method`, or a path without
   * a slash in front; with a slash at its end it stands for all that is below it. Names are those of the proto. With a description, one that
   * it has not does not compile, and a client has no others than these. @default all
   */
  readonly methods?: readonly string[];
  /**
   * Service types of which one is enough, the preferred one first, instead of one of the entry's own name. Each call goes to the first
   * that is there; the first calls wait until the host has told which that is, for `identityWaitMs` at most. To the host each of them is
   * optional; `minVersion` and `methods` are for all.
   */
  readonly anyOf?: readonly string[];
  /**
   * What the plugin is while the dependency is unavailable; it recovers by itself when the dependency is back.
   * @default "degraded" if it is required, else "ignore"
   */
  readonly whenLost?: WhenLost;
  /** Retry, circuit breaker, rate limit and time limit for calls of the client; `true`: those that have defaults. @default false */
  readonly resilience?: ResilienceOptions | boolean;
  /** Wrapped around calls of the client, inside of those of the plugin and outside of `resilience`. */
  readonly interceptors?: readonly Interceptor[];
}

/** What the loss of a dependency does to the plugin's health. */
export type WhenLost = "degraded" | "unhealthy" | "ignore";

/** A service with a generated description. The key in `provides` is its service type. */
export interface ProvidedConnectService<Desc extends DescService = DescService> {
  readonly service: Desc;
  /** Semantic version of the service. @default the plugin's version */
  readonly version?: string;
  /** Where it answers on the plugin's port; ends with the default. @default "/<service.typeName>/" */
  readonly path?: string;
  /** Facts for the host and for callers, such as `weight` and `zone`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A service without a description: any HTTP that a fetch-style or Node handler answers. */
export interface ProvidedHttpService {
  readonly handler: "fetch" | "node";
  /** Semantic version of the service. @default the plugin's version */
  readonly version?: string;
  /** Everything under it goes to the handler, with the path unchanged. @default "/" */
  readonly path?: string;
  /** Facts for the host and for callers, such as `weight` and `zone`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What a plugin may need, by service type. */
export type Requires = Readonly<Record<string, RequiredService>>;

/** What a plugin may provide, by service type. */
export type Provides = Readonly<Record<string, ProvidedConnectService | ProvidedHttpService>>;

/** Answers requests in the style of the web's fetch. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** Answers requests in the style of Node's `http` module. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** What `setup` has to return for one provided service. */
export type ImplementationOf<Service> = Service extends { readonly service: infer Desc extends DescService }
  ? ServiceImpl<Desc>
  : Service extends { readonly handler: "fetch" }
    ? FetchHandler
    : NodeHandler;

/** What `setup` has to return: an implementation for each provided service, nothing if there is none. */
export type Implementations<P extends Provides> = [keyof P] extends [never]
  ? // biome-ignore lint/suspicious/noConfusingVoidType: it is a return type, of `setup`
    void
  : { readonly [Type in keyof P]: ImplementationOf<P[Type]> };

/** Refuses implementations of what is not provided. What a class has beside the methods of its service is its own matter. */
export type OnlyProvided<I, P extends Provides> = {
  readonly [Type in keyof I]: Type extends keyof P ? unknown : never;
};

/** Service types in `requires` that have a description, so that there is a typed client. */
export type ClientName<R extends Requires> = {
  [Type in keyof R]: R[Type] extends { readonly service: DescService } ? Type : never;
}[keyof R] &
  string;

/** The typed client of one dependency; if `methods` names some of its methods, it has only those. */
export type ClientOf<Service> = Service extends { readonly service: infer Desc extends DescService }
  ? NarrowedClient<Desc, Service>
  : unknown;

/** The entries of `requires` that have this description. */
type EntryOf<R extends Requires, Desc> = {
  [Type in keyof R]: R[Type] extends { readonly service: Desc } ? R[Type] : never;
}[keyof R];

/** The descriptions in `requires`. */
export type ServiceOf<R extends Requires> = {
  [Type in keyof R]: R[Type] extends { readonly service: infer Desc extends DescService } ? Desc : never;
}[keyof R];

/** Refuses fields of an entry that there are none of: most are optional, so that a misspelt one would pass otherwise. */
export type OnlyKnown<Entries, Known extends PropertyKey> = {
  readonly [Type in keyof Entries]: { readonly [Field in keyof Entries[Type]]: Field extends Known ? unknown : never };
};

/** Something that makes the plugin less than healthy. */
export interface Degradation {
  /** It is over. Calling it twice does nothing. */
  recover(): void;
  [Symbol.dispose](): void;
}

/** How a dependency is, as the host tells. */
export interface DependencyState {
  readonly state: "available" | "degraded" | "unavailable";
  /** For people; empty if the host gave none. */
  readonly reason: string;
}

/** What one running instance of a plugin can do; given to `setup`. */
export interface PluginContext<R extends Requires = Requires> {
  /** Assigned by the host; undefined until it has. */
  readonly runtimeId: string | undefined;
  /** Aborted as soon as the plugin begins to stop: end background work and open streams. Calls in flight go on. */
  readonly signal: AbortSignal;
  /** The typed client of the dependency that has this description; it has to stand in one entry of `requires` only. */
  client<Desc extends ServiceOf<R>>(service: Desc): NarrowedClient<Desc, EntryOf<R, Desc>>;
  /**
   * The typed client of a dependency. It follows the registry by itself: each call goes to a provider that the host
   * offers now. A call made before the plugin has an identity waits for it; see `identityWaitMs`.
   */
  // Last, because compilers explain the last overload, and it is the name that gets misspelt.
  client<Type extends ClientName<R>>(type: Type): ClientOf<R[Type]>;
  /** Sends any HTTP request to a dependency; `path` begins with `/` and is appended to the provider's path. */
  fetch(type: keyof R & string, path: string, init?: RequestInit): Promise<Response>;
  /**
   * Calls `listener` at once if the dependency's state is known already, and after each change of it.
   * Returns a function that takes the listener off.
   */
  onDependency(type: keyof R & string, listener: (state: DependencyState) => void): () => void;
  /** Calls `listener` each time the dependency is lost; at once if it is known to be. Returns a function that takes it off. */
  onDependencyLost(type: keyof R & string, listener: (state: DependencyState) => void): () => void;
  /** Calls `listener` each time the dependency is there again after it was lost. Returns a function that takes it off. */
  onDependencyBack(type: keyof R & string, listener: (state: DependencyState) => void): () => void;
  /** The circuits of a dependency with a circuit breaker: of several providers of a type the best, of several service types the worst. */
  circuitOf(type: keyof R & string): CircuitState;
  /**
   * Makes the plugin degraded, or unhealthy, until `recover` is called. Several at once count together, with what `reportHealth` says and
   * dependencies that are lost: the worst counts, with all reasons.
   */
  degrade(
    reason: string,
    options?: {
      /** @default "degraded" */
      readonly state?: "degraded" | "unhealthy";
      /** Service types, as in `reportHealth`. @default none */
      readonly unavailableDependencies?: readonly (keyof R & string)[];
    },
  ): Degradation;
  /**
   * Says how the plugin is; healthy until said otherwise. Reaches the host at once, or when the host is there again.
   * `unavailableDependencies` are service types.
   */
  reportHealth(state: HealthVerdict, reason?: string, unavailableDependencies?: readonly (keyof R & string)[]): void;
  /** Runs when calls in flight are done, last added first; calls to dependencies still work then. */
  onStop(stop: () => void | Promise<void>): void;
}

/** What {@link definePlugin} takes. */
export interface PluginOptions<
  P extends Provides,
  R extends Requires,
  I extends Implementations<P> = Implementations<P>,
> {
  /** The plugin's name for itself; letters, digits, `_`, `.`, `-`. */
  readonly id: string;
  /** Semantic version. */
  readonly version: string;
  /** Services that the plugin needs, by service type. All of them are watched. */
  readonly requires?: R & OnlyKnown<R, keyof RequiredService> & KnownMethods<R>;
  /** Services that the plugin offers, by service type. */
  readonly provides?: P & OnlyKnown<P, keyof ProvidedConnectService | keyof ProvidedHttpService>;
  /** Facts about the plugin, shown by GetPluginInfo. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Wrapped around every call of `plugin.client`. */
  readonly interceptors?: readonly Interceptor[];
  /** Wrapped around every call of a provided service that has a description, whichever way it comes. */
  readonly serviceInterceptors?: readonly Interceptor[];
  /** Sizes of messages and JSON of the provided services that have a description, whichever way calls come. */
  readonly server?: ConnectServerOptions;
  /** How long a call to a dependency waits for the plugin's identity, in milliseconds. @default 10_000 */
  readonly identityWaitMs?: number;
  /** Runs once for each started instance, before it is registered. Returns what answers the provided services. */
  setup(plugin: PluginContext<R>): (I & OnlyProvided<I, NoInfer<P>>) | Promise<I & OnlyProvided<I, NoInfer<P>>>;
}
