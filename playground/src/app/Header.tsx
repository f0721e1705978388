import { useState } from "react";
import type { Route } from "./route";
import type { Settings } from "./settings";
import { useSignedIn } from "./use-signed-in";
import { applyTheme, storedTheme, type Theme } from "./theme";

const PAGES = [
  ["chat", "Chat"],
  ["runs", "Runs"],
  ["approvals", "Approvals"],
] as const;
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const NAMES: Record<Theme, string> = { system: "Auto", light: "Light", dark: "Dark" };

export function Header({ route, settings }: { route: Route; settings: Settings }) {
  const [theme, setTheme] = useState(storedTheme);
  const { signIn } = settings;
  const isSignedIn = useSignedIn(signIn);
  return (
    <header>
      <a className="brand" href="#/chat">
        Agentrun
      </a>
      <nav aria-label="Pages">
        {PAGES.map(([page, name]) => (
          <a key={page} href={`#/${page}`} aria-current={route.page === page ? "page" : undefined}>
            {name}
          </a>
        ))}
        <a href="docs/">API</a>
      </nav>
      {signIn && isSignedIn && (
        <button
          type="button"
          className="quiet"
          onClick={() => {
            void signIn.signOut();
          }}
        >
          Sign out
        </button>
      )}
      <button
        type="button"
        className="quiet"
        onClick={() => {
          const next = NEXT[theme];
          applyTheme(next);
          setTheme(next);
        }}
      >
        <span className="sr-only">Theme: </span>
        {NAMES[theme]}
      </button>
    </header>
  );
}

applyTheme(storedTheme());
