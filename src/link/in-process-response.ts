import type { DescMethodUnary, Message } from "@bufbuild/protobuf";
import type { UnaryResponse } from "@connectrpc/connect";
import { providerField } from "../model/provider-choice.js";
import { withProvider } from "./asked-provider.js";

/** What a unary answer is written as, by its field; nobody writes it. */
export const contentType = "application/proto";

/** An answer whose fields are made when somebody looks at them. */
export class InProcessResponse implements UnaryResponse {
  readonly stream = false;
  readonly method: DescMethodUnary;
  readonly message: Message;
  readonly #provider: string | undefined;
  #header: Headers | undefined;
  #trailer: Headers | undefined;

  /** Fields that the provider has set are copied: it still has them. `provider`: see `withProvider`. */
  constructor(
    method: DescMethodUnary,
    message: Message,
    header: Headers | undefined,
    trailer: Headers | undefined,
    provider: string | undefined,
  ) {
    this.method = method;
    this.message = message;
    this.#provider = provider;
    if (header !== undefined) this.#header = withProvider(new Headers(header), provider);
    if (trailer !== undefined) this.#trailer = new Headers(trailer);
  }

  get service(): DescMethodUnary["parent"] {
    return this.method.parent;
  }

  get header(): Headers {
    if (this.#header === undefined) {
      this.#header = new Headers({ "content-type": contentType });
      if (this.#provider !== undefined) this.#header.set(providerField, this.#provider);
    }
    return this.#header;
  }

  get trailer(): Headers {
    this.#trailer ??= new Headers();
    return this.#trailer;
  }
}
