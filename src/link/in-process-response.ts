import type { DescMethodUnary, Message } from "@bufbuild/protobuf";
import type { UnaryResponse } from "@connectrpc/connect";

/** What a unary answer is written as, by its field; nobody writes it. */
export const contentType = "application/proto";

/** An answer whose fields are made when somebody looks at them. */
export class InProcessResponse implements UnaryResponse {
  readonly stream = false;
  readonly method: DescMethodUnary;
  readonly message: Message;
  #header: Headers | undefined;
  #trailer: Headers | undefined;

  /** Fields that the provider has set are copied: it still has them. */
  constructor(method: DescMethodUnary, message: Message, header: Headers | undefined, trailer: Headers | undefined) {
    this.method = method;
    this.message = message;
    if (header !== undefined) this.#header = new Headers(header);
    if (trailer !== undefined) this.#trailer = new Headers(trailer);
  }

  get service(): DescMethodUnary["parent"] {
    return this.method.parent;
  }

  get header(): Headers {
    this.#header ??= new Headers({ "content-type": contentType });
    return this.#header;
  }

  get trailer(): Headers {
    this.#trailer ??= new Headers();
    return this.#trailer;
  }
}
