import { readFile } from "node:fs/promises";

const listening = "0A";

/** Whether somebody listens on the port on all interfaces of this machine. Undefined where the system does not tell. */
export async function listensEverywhere(port: number): Promise<boolean | undefined> {
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => readFile(`/proc/net/${name}`, "latin1").catch(() => undefined)),
  );
  if (tables[0] === undefined) return undefined;
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return tables.some((table) =>
    table?.split("\n").some((line) => {
      const [, local = "", , state] = line.trim().split(/\s+/);
      const [address = "", ownPort] = local.split(":");
      return state === listening && ownPort === wanted && /^0+$/.test(address);
    }),
  );
}
