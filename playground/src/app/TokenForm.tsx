import { useState } from "react";
import { Notice } from "./Notice";
import { enterToken } from "./settings";

/** Asks for a token, where the server of the page gives none. */
export function TokenForm({ onEntered, error }: { onEntered: () => void; error: Error | undefined }) {
  const [token, setToken] = useState("");
  return (
    <main tabIndex={-1} className="narrow">
      <h1>Access token</h1>
      {error && <Notice kind="error">{error.message}</Notice>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          enterToken(token.trim().replace(/^Bearer\s+/i, ""));
          onEntered();
        }}
      >
        <label htmlFor="token">A JWT of the issuer that this API trusts; this tab keeps it until it is closed.</label>
        <textarea
          id="token"
          rows={6}
          required
          spellCheck={false}
          autoComplete="off"
          value={token}
          onChange={(event) => {
            setToken(event.target.value);
          }}
        />
        <button type="submit" className="primary">
          Use it
        </button>
      </form>
    </main>
  );
}
