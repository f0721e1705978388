import { Agentrun } from "agentrun-client";
import type { IssuerConfig } from "../signin/issuer";
import type { SignIn } from "../signin/sign-in";
import { GivenTokens } from "./given-tokens";

/** What the server of the page says about the API. */
interface Config extends Partial<IssuerConfig> {
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
  /** Whether the server gives tokens; if not, the user signs in or enters one. */
  readonly givesTokens: boolean;
  /** Where the user signs in, if the settings name an issuer and a client. */
  readonly signIn: SignIn | undefined;
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
  const signIn = given ? undefined : await signInOf(config, configUrl);
  const token = given?.current ?? signIn?.token ?? enteredToken;
  const { streamUrl } = config;
  const client = new Agentrun({
    baseUrl,
    token,
    ...(streamUrl && { streamUrl }),
    ...(given && { fetch: given.fetch }),
  });
  return { client, baseUrl, givesTokens: given !== undefined, signIn, token };
}

async function signInOf(config: Config, configUrl: string | URL): Promise<SignIn | undefined> {
  const { issuer, clientId } = config;
  if (!issuer || !clientId) return undefined;
  const { openSignIn } = await import("../signin/sign-in");
  const page = new URL("..", new URL(configUrl, location.href));
  return openSignIn({ ...config, issuer, clientId }, page.href);
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
