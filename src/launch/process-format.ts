import { constants } from "node:fs";
import { access, open } from "node:fs/promises";
import { delimiter, resolve } from "node:path";
import { PluginHostError } from "../errors.js";

// Longer than the first line of any script that Linux runs, and than the headers of any program.
const headBytes = 4_096;

/** `e_machine` of ELF files by Node's name of the architecture. */
const elfMachines: Readonly<Record<string, number>> = {
  ia32: 3,
  mips: 8,
  mipsel: 8,
  ppc64: 21,
  s390x: 22,
  arm: 40,
  x64: 62,
  arm64: 183,
  riscv64: 243,
  loong64: 258,
};

/** What an x64 machine runs beside its own, as long as the libraries are there. */
const alsoRuns: Readonly<Record<string, readonly number[]>> = { x64: [3], arm64: [40] };

const machineNames = new Map(Object.entries(elfMachines).map(([name, machine]) => [machine, name]));

/** First bytes of programs for other systems than the ones that run ELF files. */
const foreignFormats: readonly (readonly [string, string])[] = [
  ["cffaedfe", "macOS"],
  ["cafebabe", "macOS (or Java; start that with java)"],
  ["4d5a", "Windows"],
];

/**
 * Reads the head of a program: a script's interpreter must exist, an ELF file must be for this machine and find its loader.
 * What it does not know is left to the system to decide.
 *
 * @throws PluginHostError `COMMAND_NOT_EXECUTABLE`, `COMMAND_WRONG_ARCHITECTURE`
 */
export async function checkFormat(file: string, path: string | undefined, arch: string = process.arch): Promise<void> {
  const head = await readHead(file);
  if (head === undefined) return; // Executable and not readable: nothing to look at.
  if (head.subarray(0, 2).toString("latin1") === "#!") return checkScript(file, head, path);
  if (head.subarray(0, 4).toString("hex") === "7f454c46") return checkElf(file, head, arch);
  if (process.platform !== "linux") return;
  const system = foreignFormats.find(([magic]) => head.toString("hex", 0, magic.length / 2) === magic)?.[1];
  if (system !== undefined) throw wrongArchitecture(file, `is a program for ${system}`, arch);
}

async function readHead(file: string): Promise<Buffer | undefined> {
  const handle = await open(file, "r").catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function checkScript(file: string, head: Buffer, path: string | undefined): Promise<void> {
  const end = head.indexOf("\n");
  const line = head.toString("utf8", 2, end === -1 ? head.length : end);
  if (line.endsWith("\r")) {
    throw notExecutable(file, "has Windows line ends, which its first line does not survive; convert them");
  }
  const [interpreter = "", argument] = line.trim().split(/\s+/);
  if (!interpreter.startsWith("/"))
    throw notExecutable(file, `must name its interpreter by an absolute path in "#!${line}"`);
  if (!(await canRun(interpreter))) {
    throw notExecutable(file, `is a script for ${interpreter}, which is not there or may not be executed; install it`);
  }
  const isEnv = interpreter.endsWith("/env") && argument !== undefined && !/^-|=/.test(argument);
  if (!isEnv || argument.includes("/")) return;
  for (const folder of (path ?? "").split(delimiter)) if (await canRun(resolve(folder, argument))) return;
  throw notExecutable(
    file,
    `is a script for ${argument}, which no folder of PATH has; install it, or give PATH in env`,
  );
}

async function checkElf(file: string, head: Buffer, arch: string): Promise<void> {
  if (head.length < 64) throw notExecutable(file, "is an incomplete ELF file; build it again");
  const isLittleEndian = head[5] === 1;
  const u16 = (at: number): number => (isLittleEndian ? head.readUInt16LE(at) : head.readUInt16BE(at));
  const u32 = (at: number): number => (isLittleEndian ? head.readUInt32LE(at) : head.readUInt32BE(at));
  const machine = u16(18);
  const own = elfMachines[arch];
  if (own !== undefined && machine !== own && !alsoRuns[arch]?.includes(machine)) {
    throw wrongArchitecture(file, `is built for ${machineNames.get(machine) ?? `machine ${machine}`}`, arch);
  }
  const type = u16(16);
  if (type !== 2 && type !== 3) throw notExecutable(file, "is an ELF file, but no program; name the program itself");
  if (head[4] !== 2) return;
  // 64 bit: the table of program headers, and in it the entry that names the loader (PT_INTERP).
  const tableAt = u32(32);
  const entryBytes = u16(54);
  for (let index = 0; index < u16(56); index++) {
    const at = tableAt + index * entryBytes;
    if (at + 56 > head.length) return;
    if (u32(at) !== 3) continue;
    const nameAt = u32(at + 8);
    const loader = head.toString("utf8", nameAt, nameAt + u32(at + 32)).replace(/\0.*$/, "");
    if (!loader.startsWith("/") || (await canRun(loader))) return;
    throw notExecutable(
      file,
      `needs the loader ${loader}, which this system does not have; build it for this system's C library`,
    );
  }
}

/** A `COMMAND_NOT_EXECUTABLE` error. */
export const notExecutable = (file: string, why: string): PluginHostError =>
  new PluginHostError("COMMAND_NOT_EXECUTABLE", `${file} ${why}`, { details: { file } });

const wrongArchitecture = (file: string, what: string, arch: string): PluginHostError =>
  new PluginHostError(
    "COMMAND_WRONG_ARCHITECTURE",
    `${file} ${what}, and this machine is ${process.platform} ${arch}; build it for this machine`,
    { details: { file, arch } },
  );

const canRun = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
