import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { AdminListenerParts } from "../../src/admin-listener.js";
import { AdminListeners } from "../../src/admin-listeners.js";
import { systemClock } from "../../src/internal/clock.js";

test("a listener that is being opened while the host stops does not stay open", async () => {
  const folder = await mkdtemp(join(tmpdir(), "admin-listeners-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "admin.sock");
  const parts = { clock: systemClock, onError: () => {} };
  const listeners = new AdminListeners(() => parts as unknown as AdminListenerParts);
  const opening = listeners.listen({ path });
  const closing = listeners.close(0);
  await expect(opening).rejects.toMatchObject({ code: "HOST_STOPPED" });
  await closing;
  const caller = net.connect({ path });
  const answer = await new Promise((resolve) => {
    caller.once("connect", () => resolve("connected"));
    caller.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  caller.destroy();
  expect(answer).toBe("ENOENT");
});
