import path from "node:path";
import type { KeyPair, Platform } from "../../index.js";
import type { ServeSettings } from "./serve-settings.js";
import { pemFilesOf, readKeyPair, readUpstreamTls } from "./tls-files.js";
import { type PemFiles, watchPemFiles } from "./watch-pem-files.js";

type Watching = Pick<PemFiles<object>, "say" | "onReload">;

/** Keeps the certificate of the host's own ports at what its files say. Returns what ends it. */
export function watchCertificate(
  platform: Pick<Platform, "setCertificate" | "setAdminCertificate">,
  { files, folder, read }: NonNullable<ServeSettings["tls"]>,
  { hasAdminPort, ...watching }: Watching & { readonly hasAdminPort: boolean },
): () => void {
  const present: KeyPair = { cert: read.cert, key: read.key };
  return watchPemFiles<KeyPair>({
    ...watching,
    what: "the certificate",
    files: [files.cert, files.key].map((file) => path.resolve(folder, file)),
    present: files.passphrase === undefined ? present : { ...present, passphrase: files.passphrase },
    read: () => readKeyPair(files, folder),
    use: (pair) => {
      platform.setCertificate(pair);
      if (hasAdminPort) platform.setAdminCertificate(pair);
    },
  });
}

/** Keeps the certificates towards providers at what their files say: those for all of them, or for one plugin. */
export async function watchUpstreamTls(
  platform: Pick<Platform, "setUpstreamTls">,
  { field, files, folder, runtimeId }: UpstreamFiles,
  watching: Watching,
): Promise<() => void> {
  const read = () => readUpstreamTls(files, folder, field);
  const paths = pemFilesOf(files).map(([, file]) => path.resolve(folder, file));
  return watchPemFiles({
    ...watching,
    what: `the certificate setup of ${field}`,
    files: paths,
    present: await read(),
    read,
    use: (found) => platform.setUpstreamTls(found, runtimeId),
  });
}

/** Names of files with certificates towards providers. */
export interface UpstreamFiles {
  /** What it is called in the configuration. */
  readonly field: string;
  readonly files: Parameters<typeof readUpstreamTls>[0];
  readonly folder: string;
  /** The plugin that they are for. @default all without certificates of their own */
  readonly runtimeId?: string;
}
