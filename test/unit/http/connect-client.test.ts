import { create, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { connectTransport } from "../../../src/http/connect-client.js";
import { failureOf, readAll } from "../../contract/transports/outcome.js";
import { Echo, SayResponseSchema } from "../../support/gen/echo/v1/echo_pb.js";

/** A client, and the time that each of its requests tells. */
function startClient() {
  const told: (string | null)[] = [];
  const transport = connectTransport(async ({ header }) => {
    told.push(header.get("connect-timeout-ms"));
    const body = (async function* () {
      yield toBinary(SayResponseSchema, create(SayResponseSchema));
    })();
    return { status: 200, header: new Headers({ "content-type": "application/proto" }), body, trailer: new Headers() };
  });
  return { client: createClient(Echo, transport), told };
}

test.each([
  { timeoutMs: 1_000, told: "1000", why: "as it was given" },
  { timeoutMs: 1_000.5, told: "1001", why: "the field has room for whole milliseconds only" },
  { timeoutMs: 0.1, told: "1", why: "not none" },
  { timeoutMs: 0, told: null, why: "none, as Connect has it" },
  { timeoutMs: -1, told: null, why: "none, as Connect has it" },
  { timeoutMs: Number.POSITIVE_INFINITY, told: null, why: "endless is none" },
])("a call with $timeoutMs ms tells its server $told ($why)", async (row) => {
  const { client, told } = startClient();
  await client.say({}, { timeoutMs: row.timeoutMs });
  expect(told).toEqual([row.told]);
});

test("a time that is no number is refused before anything is sent", async () => {
  const { client, told } = startClient();
  const options = { timeoutMs: Number.NaN };
  for (const call of [client.say({}, options), readAll(client.serverStream({}, options))]) {
    const { code, rawMessage } = await failureOf(call);
    expect([code, rawMessage]).toEqual([Code.InvalidArgument, "timeoutMs must be a number of milliseconds, got NaN"]);
  }
  expect(told).toEqual([]);
});
