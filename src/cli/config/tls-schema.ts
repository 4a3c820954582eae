import { z } from "zod";

const text = z.string().min(1);
const file = (what: string) => text.describe(`${what}: a PEM file, seen from the file's folder`);

/** `tls`: the certificate of the host's own port. */
export const tlsSchema = z
  .strictObject({
    cert: file("The certificate, and those between it and its authority"),
    key: file("Its private key"),
    passphrase: text.exactOptional().describe("For a key that is encrypted"),
    ca: file("The authority of the certificate, if it is a private one; handed to programs in HOST_CA").exactOptional(),
    clientCa: file("Authorities for callers' certificates").exactOptional(),
    clientCertificates: z
      .enum(["required", "optional"])
      .exactOptional()
      .describe("What becomes of callers without a certificate of clientCa"),
    minVersion: z.enum(["TLSv1.2", "TLSv1.3"]).exactOptional().describe("Oldest version of TLS"),
    allowCleartext: z.boolean().exactOptional().describe("Serve callers without TLS on the same port, too"),
    handshakeTimeoutMs: z.number().min(0).exactOptional().describe("How long a handshake may take, in milliseconds"),
  })
  .describe("Makes the port speak TLS");

/** `router.tls`, and `tls` of an endpoint: certificates towards providers. */
export const upstreamTlsSchema = z
  .strictObject({
    ca: file("Authorities for providers' certificates, instead of those that Node trusts").exactOptional(),
    cert: file("The host's own certificate, for providers that ask for one").exactOptional(),
    key: file("Its private key").exactOptional(),
    passphrase: text.exactOptional().describe("For a key that is encrypted"),
    servername: text.exactOptional().describe("The name that providers' certificates have to be for"),
  })
  .describe("Certificates towards providers over https:");
