import { type ClientCall, HttpClient } from "../http/http-client.js";
import type { HostAddress } from "./host-address.js";

/** A call to a path of the host. */
export type HostRequest = ClientCall;

/** The connections of one plugin to its host. */
export class HostConnection extends HttpClient {
  constructor(readonly address: HostAddress) {
    super(address);
  }
}
