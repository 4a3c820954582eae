import type { Client, ServiceImpl } from "@connectrpc/connect";
import type { Echo } from "../../support/gen/echo/v1/echo_pb.js";

/** What the provider of a test does; what is left out is not implemented. */
export type EchoImplementation = Partial<ServiceImpl<typeof Echo>>;

/** A caller and a provider with a host between them. */
export interface TransportUnderTest extends AsyncDisposable {
  /** The caller's client of the provider. */
  readonly client: Client<typeof Echo>;
  /** Self id of the caller. */
  readonly caller: string;
  /** Ends the provider without waiting for calls in flight. Resolves when it is gone. */
  killProvider(): Promise<void>;
}

/** Starts a provider with this implementation and a caller. */
export type OpenTransport = (implementation: EchoImplementation) => Promise<TransportUnderTest>;
