import { checkNames, checkOption } from "../check-options.js";
import { chooseStore } from "../files/choose-store.js";
import { hubFile, isHubName } from "../files/hub.js";
import { urlSource } from "../files/url-source.js";
import type { Source } from "../formats/source.js";

/**
 * A file on a web server, with what an address alone does not say. Fetching it, and its siblings where the model is in several files,
 * is the only reason for which cria ever uses the network.
 */
export interface RemoteModel {
  /** `https:` or `http:`, or a file on Hugging Face's hub: `hf:owner/repo/file@revision`. An address that ends in a slash is a folder. */
  readonly url: string | URL;
  /** What the whole file has to have, 64 hexadecimal digits. Default: what the hub says, for files of the hub that are kept. */
  readonly sha256?: string | undefined;
  /** Sent with each request to the file's server, such as an Authorization. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * Whether the file is kept on this device, to be there without the network the next time: true or false in a browser, in Node the
   * path of a folder. Default: in a browser it is kept where the browser allows it, in Node it is not.
   */
  readonly cache?: boolean | string | undefined;
  /** Another hub, by its address. Default: the environment variable HF_ENDPOINT, else https://huggingface.co. */
  readonly hub?: string | undefined;
}

const remoteOptions = [
  "url",
  "sha256",
  "headers",
  "cache",
  "hub",
] as const satisfies readonly (keyof RemoteModel)[];

/** Throws and rejects as openSource does. */
export async function openRemote(remote: RemoteModel, signal: AbortSignal | undefined): Promise<Source> {
  const doing = `open ${remote.url}`;
  checkNames(doing, remote, remoteOptions);
  const { headers, cache } = remote;
  const sha256 = remote.sha256?.toLowerCase();
  checkOption(
    doing,
    "sha256",
    sha256,
    "64 hexadecimal digits",
    sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256),
  );
  const address = String(remote.url);
  const hub = isHubName(address) ? hubFile(address, remote.hub) : undefined;
  const url = hub?.url ?? new URL(address);
  if (!/^https?:$/.test(url.protocol)) {
    throw new TypeError(
      `Cannot ${doing}: expected an address with https:, http: or hf:, found ${url.protocol}`,
    );
  }
  return urlSource(url, { store: await chooseStore(cache), sha256, hub, headers, signal });
}

/** A file of the page's own, which may come from a server of another kind, such as a browser's extension. */
export async function openUrl(url: URL, signal: AbortSignal | undefined): Promise<Source> {
  return urlSource(url, { store: await chooseStore(undefined), signal });
}
