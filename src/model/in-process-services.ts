import type { DescMethod, JsonReadOptions, JsonWriteOptions } from "@bufbuild/protobuf";

/** One method of a plugin in the host's process. */
export interface InProcessMethod {
  readonly method: DescMethod;
  /** Bound to its object. Throws `unimplemented` if the plugin does not implement the method. */
  readonly implementation: (request: unknown, context: unknown) => unknown;
  /** The plugin that it is a method of. */
  readonly owner: InProcessOwner;
  /** How its messages are read from bytes and written; undefined for the defaults of Connect. */
  readonly messages?: MessageRules;
}

/** How messages are read from bytes and written. */
export interface MessageRules {
  /** The largest message that is read, in bytes. */
  readonly readMaxBytes: number;
  /** The largest message that is written, in bytes. */
  readonly writeMaxBytes: number;
  readonly jsonOptions: Partial<JsonReadOptions & JsonWriteOptions>;
}

/** A plugin in the host's process, as calls that go straight to its code see it. */
export interface InProcessOwner {
  /** Why the plugin takes no calls; undefined while it does. */
  refusal(): string | undefined;
  /** A call has begun. The plugin's stop waits for it, and aborts it in the end. */
  enter(call: { abort(reason: Error): void }): void;
  /** The call is over. Idempotent. */
  leave(call: { abort(reason: Error): void }): void;
}

/** What a plugin in the host's process offers to callers in the same process. */
export interface InProcessServices {
  /** The method at a path such as `/pkg.Service/Method`; undefined for what only a connection reaches. */
  find(path: string): InProcessMethod | undefined;
}
