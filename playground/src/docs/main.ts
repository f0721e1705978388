import "./docs.css";
import { loadSettings, type Settings } from "../app/settings";
import { plainLinks } from "./plain-links";
import type { SignIn } from "../signin/sign-in";

interface OpenApi {
  servers?: { url: string }[];
  components?: { securitySchemes?: Record<string, { type: string }> };
}

const place = document.getElementById("reference");
if (place)
  show(place).catch((error: unknown) => {
    place.textContent = `The reference cannot be shown: ${(error as Error).message}`;
  });

/** Show what the API says of itself, with a token for what is tried. */
async function show(domNode: HTMLElement): Promise<void> {
  const settings = await loadSettings(new URL("../playground/config.json", location.href));
  if (settings.signIn && !settings.signIn.isSignedIn()) {
    askToSignIn(domNode, settings.signIn);
    return;
  }
  const spec = await readReference(settings);
  spec.servers = [{ url: settings.baseUrl }];
  domNode.textContent = "";
  const token = await settings.token();
  const ui = SwaggerUIBundle({
    domNode,
    spec,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    plugins: [plainLinks],
    requestInterceptor: async (request) => {
      // Fresh, where the one that was filled in has ended; what the user has entered is left alone.
      if (request.headers["Authorization"] === `Bearer ${token}`)
        request.headers["Authorization"] = `Bearer ${await settings.token()}`;
      return request;
    },
    onComplete: () => {
      const schemes = spec.components?.securitySchemes ?? {};
      for (const [name, { type }] of Object.entries(schemes))
        if (type === "http") ui.preauthorizeApiKey(name, token);
    },
  });
}

function askToSignIn(place: HTMLElement, signIn: SignIn): void {
  const button = document.createElement("button");
  button.textContent = "Sign in";
  button.className = "sign-in";
  button.onclick = () => {
    signIn.begin().catch((error: unknown) => {
      place.textContent = `The issuer cannot be reached: ${(error as Error).message}`;
    });
  };
  place.replaceChildren(signIn.failure ?? "The reference is for those who are signed in. ", button);
}

async function readReference({ baseUrl, token }: Settings): Promise<OpenApi> {
  const response = await fetch(`${baseUrl}/api/v1/openapi.json`, {
    headers: { Authorization: `Bearer ${await token()}` },
  });
  if (response.status === 401) throw new Error("the API needs a token; enter one in the playground first.");
  if (!response.ok) throw new Error(`the API answers ${String(response.status)}.`);
  return (await response.json()) as OpenApi;
}
