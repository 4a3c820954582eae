import { once } from "node:events";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import tls from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { createAuthority, type TestCertificate } from "../support/certificates.js";
import { CliFolder, type CliProcess } from "../support/cli.js";
import { within } from "../support/http-server.js";

const authority = createAuthority();
const { ca } = authority;
const adminToken = "an-admin-token-of-tests";
const certificate = authority.issue();

const filesOf = ({ cert, key }: TestCertificate) => ({ "host.pem": cert, "host.key": key, "ca.pem": ca });

/** The serial number of the certificate that new connections get. */
async function shownBy(url: string): Promise<string | undefined> {
  const socket = tls.connect({ port: Number(new URL(url).port), host: "127.0.0.1", ca });
  await once(socket, "secureConnect");
  const { serialNumber } = socket.getPeerX509Certificate() ?? {};
  socket.destroy();
  return serialNumber;
}

/** Puts files in the place of others, as tools that renew certificates do. */
async function put(folder: CliFolder, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await rename(await folder.write(`${name}.new`, text), join(folder.path, name));
  }
}

const printed = (host: CliProcess, text: string) => within(15_000, `"${text}" in the log`, host.untilPrinted(text));

test("serve with --tls-cert and --tls-key speaks TLS, and the commands reach it with --ca or its variable", async () => {
  await using folder = await CliFolder.open(filesOf(certificate));
  const host = await folder.serve(["--tls-cert", "host.pem", "--tls-key", "host.key", "--admin-token", adminToken]);
  expect(host.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  const ask = ["plugins", "--host", host.url, "--admin-token", adminToken, "--json"];
  expect(await folder.run([...ask, "--ca", "ca.pem"])).toMatchObject({ exitCode: 0 });
  expect(await folder.run(ask, { CONNECT_PLUGIN_HOST_CA_FILE: "ca.pem" })).toMatchObject({ exitCode: 0 });
  expect(await folder.run(ask, { NODE_EXTRA_CA_CERTS: join(folder.path, "ca.pem") })).toMatchObject({ exitCode: 0 });
  const distrusting = await folder.run(ask);
  expect(distrusting).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(/certificate/) });
});

test("a certificate that is written anew is for new connections, without a restart", async () => {
  await using folder = await CliFolder.open({
    ...filesOf(certificate),
    "host.yaml": "tls: { cert: host.pem, key: host.key, minVersion: TLSv1.3 }\n",
  });
  const host = await folder.serve(["--config", "host.yaml"]);
  expect(await shownBy(host.url)).toBe(certificate.serialNumber);
  const kept = tls.connect({ port: Number(new URL(host.url).port), host: "127.0.0.1", ca });
  onTestFinished(() => void kept.destroy());
  await once(kept, "secureConnect");
  const next = authority.issue();
  await put(folder, { "host.pem": next.cert, "host.key": next.key });
  await printed(host, "the certificate was read again");
  expect(await shownBy(host.url)).toBe(next.serialNumber);
  const answered = once(kept, "data");
  kept.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect(String((await answered)[0])).toMatch(/^HTTP\/1\.1 200 /);
});

test("a certificate that does not fit its key stays out until the key has come; SIGHUP reads it at once", async () => {
  await using folder = await CliFolder.open(filesOf(certificate));
  const host = await folder.serve(["--tls-cert", "host.pem", "--tls-key", "host.key"]);
  const next = authority.issue();
  await put(folder, { "host.pem": next.cert });
  await printed(host, "the certificate stays as it is: certificate.key is not the key of the certificate");
  expect(await shownBy(host.url)).toBe(certificate.serialNumber);
  await put(folder, { "host.key": next.key });
  host.child.kill("SIGHUP");
  await printed(host, "the certificate was read again");
  expect(await shownBy(host.url)).toBe(next.serialNumber);
});

test.each([
  { what: "one file of two", args: ["--tls-cert", "host.pem"], says: /--tls-cert and --tls-key belong together/ },
  {
    what: "a missing file",
    args: ["--tls-cert", "none.pem", "--tls-key", "host.key"],
    says: /tls\.cert cannot be read/,
  },
  {
    what: "files that are swapped",
    args: ["--tls-cert", "host.key", "--tls-key", "host.pem"],
    says: /tls\.cert holds no/,
  },
  {
    what: "a Unix socket",
    args: ["--listen", "unix:x.sock", "--tls-cert", "host.pem", "--tls-key", "host.key"],
    says: /tls is for TCP/,
  },
  { what: "a bad setting", args: ["--config", "host.yaml"], says: /host\.yaml:1:\d+: tls\.minVersion must be one of/ },
  {
    what: "a setting that the host refuses",
    args: ["--config", "other.yaml"],
    says: /other\.yaml:1:\d+: tls\.clientCertificates needs clientCa/,
  },
])("serve with $what ends with 2 and says so", async ({ args, says }) => {
  const pair = "cert: host.pem, key: host.key";
  await using folder = await CliFolder.open({
    ...filesOf(certificate),
    "host.yaml": `tls: { ${pair}, minVersion: SSLv3 }\n`,
    "other.yaml": `tls: { ${pair}, clientCertificates: optional }\n`,
  });
  const { exitCode, stderr } = await folder.run(["serve", ...args]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringMatching(says) });
});
