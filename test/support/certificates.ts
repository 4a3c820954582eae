import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";

/** A certificate with its key, as PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
  /** As `X509Certificate` and sockets show it. */
  readonly serialNumber: string;
}

/** What a certificate says. */
export interface CertificateRequest {
  /** DNS names and IP addresses. @default 127.0.0.1, ::1 and localhost */
  readonly names?: readonly string[];
  /** Milliseconds since 1970; it is good from two days before that on. @default tomorrow */
  readonly notAfter?: number;
}

/** An authority that nobody trusts by itself. */
export interface TestAuthority {
  /** Its own certificate, as PEM. */
  readonly ca: string;
  /** A certificate for servers and clients. */
  issue(request?: CertificateRequest): TestCertificate;
}

const dayMs = 86_400_000;

/** Makes an authority with a key of its own. */
export function createAuthority(name = "Test authority"): TestAuthority {
  const own = newKeys();
  const issuer = nameOf(name);
  const isAuthority = extension("551d13", der(0x30, der(0x01, bytes("ff"))), true);
  const root = certificateOf({
    serial: newSerial(),
    issuer,
    subject: issuer,
    notAfter: Date.now() + dayMs,
    subjectKey: own.publicKey,
    issuerKey: own.privateKey,
    extensions: [isAuthority, extension("551d0f", der(0x03, bytes("0106")), true)],
  });
  return {
    ca: root,
    issue({ names = ["127.0.0.1", "::1", "localhost"], notAfter = Date.now() + dayMs } = {}) {
      const keys = newKeys();
      const serial = newSerial();
      const cert = certificateOf({
        serial,
        issuer,
        subject: nameOf(names[0] ?? "nobody"),
        notAfter,
        subjectKey: keys.publicKey,
        issuerKey: own.privateKey,
        // subjectAltName; extKeyUsage with serverAuth and clientAuth.
        extensions: [
          extension("551d11", der(0x30, ...names.map(alternativeName))),
          extension("551d25", der(0x30, der(0x06, bytes("2b06010505070301")), der(0x06, bytes("2b06010505070302")))),
        ],
      });
      const key = keys.privateKey.export({ type: "pkcs8", format: "pem" }) as string;
      return { cert, key, serialNumber: serial.toString("hex").toUpperCase() };
    },
  };
}

interface CertificateParts {
  readonly serial: Buffer;
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notAfter: number;
  readonly subjectKey: KeyObject;
  readonly issuerKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

const ecdsaWithSha256 = der(0x30, der(0x06, bytes("2a8648ce3d040302")));

/** An X.509 certificate (RFC 5280, 4.1) as PEM. */
function certificateOf(parts: CertificateParts): string {
  const body = der(
    0x30,
    der(0xa0, der(0x02, bytes("02"))),
    der(0x02, parts.serial),
    ecdsaWithSha256,
    parts.issuer,
    der(0x30, time(parts.notAfter - 2 * dayMs), time(parts.notAfter)),
    parts.subject,
    parts.subjectKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(0x30, ...parts.extensions)),
  );
  const signature = der(0x03, Buffer.concat([bytes("00"), sign("sha256", body, parts.issuerKey)]));
  const lines = der(0x30, body, ecdsaWithSha256, signature)
    .toString("base64")
    .replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

const newKeys = () => generateKeyPairSync("ec", { namedCurve: "P-256" });

/** Positive, and without zeros in front. */
function newSerial(): Buffer {
  const serial = randomBytes(8);
  serial[0] = 0x41;
  return serial;
}

/** A value of ASN.1 with its tag and length (X.690). */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const value = Buffer.concat(content);
  const { length } = value;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), value]);
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

/** A name with nothing but a common name. */
const nameOf = (commonName: string): Buffer =>
  der(0x30, der(0x31, der(0x30, der(0x06, bytes("550403")), der(0x0c, Buffer.from(commonName)))));

const time = (at: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));

function extension(oid: string, value: Buffer, critical = false): Buffer {
  return der(0x30, der(0x06, bytes(oid)), ...(critical ? [der(0x01, bytes("ff"))] : []), der(0x04, value));
}

function alternativeName(name: string): Buffer {
  switch (isIP(name)) {
    case 4:
      return der(0x87, Buffer.from(name.split(".").map(Number)));
    case 6:
      if (name !== "::1") throw new Error(`no test needed ${name} so far`);
      return der(0x87, bytes("01".padStart(32, "0")));
    default:
      return der(0x82, Buffer.from(name));
  }
}
