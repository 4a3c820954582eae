import { describe, expect, test } from "vitest";
import type { Version } from "../support/http-server.js";
import { callerLeaves } from "./router-matrix/caller-leaves.js";
import { callerStopsReading } from "./router-matrix/caller-stops-reading.js";
import { goaway } from "./router-matrix/goaway.js";
import { halfOpen } from "./router-matrix/half-open.js";
import type { Kind } from "./router-matrix/kinds.js";
import { providerAnswersEarly } from "./router-matrix/provider-answers-early.js";
import { providerDies } from "./router-matrix/provider-dies.js";
import { refusedStream } from "./router-matrix/refused-stream.js";
import { type Place, places, type Row } from "./router-matrix/table.js";

const matrix: Record<string, readonly Row[]> = {
  "a provider answers early": providerAnswersEarly,
  "a provider dies half-way: it": providerDies,
  "a caller stops reading": callerStopsReading,
  "a caller goes away: it": callerLeaves,
  GOAWAY: goaway,
  "a refused stream": refusedStream,
  "a half-open connection": halfOpen,
};

/** gRPC needs HTTP/2 on both sides, so that there is one place for it. */
const canSpeak = (kind: Kind, place: Place): boolean => kind !== "grpc" || place === "2 to 2";

// Whoever vanishes has to be waited for, so that these are played side by side.
const waits = new Set(["a half-open connection"]);

describe.each(Object.entries(matrix))("%s", (situation, rows) => {
  describe.each(places)("HTTP/%s", (place) => {
    const [from, to] = place.split(" to ") as [Version, Version];
    for (const { name, kinds, play, cannotBe } of rows) {
      const reason = cannotBe?.[place];
      if (reason !== undefined) test.skip(`${name} (cannot be: ${reason})`, () => {});
      else
        for (const kind of kinds.filter((one) => canSpeak(one, place))) {
          test(`${name}, ${kind}`, { concurrent: waits.has(situation) }, () => play({ in: from, out: to, kind }));
        }
    }
  });
});

test("no place of the matrix is empty: something is played there, or the reason why it cannot be is written down", () => {
  for (const [situation, rows] of Object.entries(matrix)) {
    for (const place of places) {
      const played = rows.filter((row) => row.cannotBe?.[place] === undefined);
      const reasons = rows.flatMap((row) => row.cannotBe?.[place] ?? []);
      expect(played.length + reasons.length, `${situation}, HTTP/${place}`).toBe(rows.length);
      expect(
        played.some(({ kinds }) => kinds.some((kind) => canSpeak(kind, place))),
        `${situation}, HTTP/${place}`,
      ).toBe(true);
      for (const reason of reasons) expect(reason.length).toBeGreaterThan(20);
    }
  }
});
