import { Agentrun } from "agentrun-client";
import { GivenTokens } from "./given-tokens";

/** What the server of the page says about the API. */
interface Config {
  /** The base URL of the REST API; default: the page's own origin and `basePath`. */
  baseUrl?: string;
  basePath?: string;
  streamUrl?: string;
  /** Only on a developer's machine. */
  token?: string;
}

export interface Settings {
  readonly client: Agentrun;
  readonly baseUrl: string;
  /** Whether the server gives tokens; if not, the user enters one. */
  readonly givesTokens: boolean;
  readonly token: () => Promise<string>;
}

const KEY = "agentrun:playground:token";

/**
 * Read where the API is, and make its client.
 *
 * @param configUrl Relative to the page.
 */
export async function loadSettings(configUrl: string | URL = "playground/config.json"): Promise<Settings> {
  const config = await readConfig(configUrl);
  const baseUrl = config.baseUrl ?? location.origin + (config.basePath ?? "");
  const given = config.token === undefined ? undefined : new GivenTokens(config.token, () => readConfig(configUrl));
  const token = given?.current ?? enteredToken;
  const { streamUrl } = config;
  const client = new Agentrun({
    baseUrl,
    token,
    ...(streamUrl && { streamUrl }),
    ...(given && { fetch: given.fetch }),
  });
  return { client, baseUrl, givesTokens: config.token !== undefined, token };
}

async function readConfig(url: string | URL): Promise<Config> {
  const response = await fetch(url, { cache: "no-store" });
  if (!response.ok) throw new Error(`The page's settings cannot be read (${String(response.status)}).`);
  return (await response.json()) as Config;
}

function enteredToken(): Promise<string> {
  return Promise.resolve(sessionStorage.getItem(KEY) ?? "");
}

/** Use a token that the user has entered, until the tab is closed. */
export function enterToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export function hasEnteredToken(): boolean {
  return sessionStorage.getItem(KEY) !== null;
}
