export type Theme = "system" | "light" | "dark";

const KEY = "agentrun:playground:theme";

export function storedTheme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

/** Show the page in a theme, now and after a reload. */
export function applyTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  document.documentElement.style.colorScheme = theme === "system" ? "light dark" : theme;
}
