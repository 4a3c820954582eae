import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type UnaryResponse } from "@connectrpc/connect";
import { notSentField } from "../../model/not-sent.js";

/** Whether an error says that nobody could be asked, rather than what somebody has answered. */
export const isGone = (error: ConnectError): boolean =>
  error.code === Code.Unavailable || error.code === Code.DeadlineExceeded || error.metadata.has(notSentField);

/**
 * Answers calls of one method by itself when nobody could be asked: `unavailable`, `deadline_exceeded`, or no provider at all. What
 * `answer` throws is thrown to the caller. Other errors pass: they are answers.
 *
 * @example fallback(Logger.method.log, ({ message }) => ({ acceptedCount: buffer.push(message) }))
 */
export const fallback =
  <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    answer: (request: MessageShape<I>, error: ConnectError) => MessageInitShape<O> | Promise<MessageInitShape<O>>,
  ): Interceptor =>
  (next) =>
  async (request) => {
    // Clients of the same service may have been made from another copy of its description.
    const isMine = request.method.name === method.name && request.service.typeName === method.parent.typeName;
    if (request.stream || !isMine) return next(request);
    try {
      return await next(request);
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      if (!isGone(error)) throw thrown;
      const message = create(method.output, await answer(request.message as MessageShape<I>, error));
      const { service } = request;
      return {
        stream: false,
        service,
        method,
        message,
        header: new Headers(),
        trailer: new Headers(),
      } as UnaryResponse;
    }
  };
