// An OpenID provider on loopback with one public client. Each token that it gives or destroys is a line of its output.
// Arguments: the port, the page's URL, the API's audience.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const [port, page, audience] = process.argv.slice(2);
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "playground",
      token_endpoint_auth_method: "none",
      redirect_uris: [page],
      post_logout_redirect_uris: [page],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      id_token_signed_response_alg: "ES256",
    },
  ],
  clientBasedCORS: (_, origin) => origin === new URL(page).origin,
  pkce: { required: () => true },
  cookies: { keys: ["only for tests"] },
  jwks: { keys: [{ ...key, kid: "test", alg: "ES256", use: "sig" }] },
  features: {
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        audience,
        scope: "runs:read runs:write",
        accessTokenFormat: "jwt",
        accessTokenTTL: 600,
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});

for (const event of ["access_token.issued", "refresh_token.destroyed", "authorization_code.consumed", "grant.error"])
  provider.on(event, () => {
    console.log(`event ${event}`);
  });

provider.listen(Number(port), "127.0.0.1");
