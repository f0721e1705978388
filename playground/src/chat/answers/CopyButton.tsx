import { useEffect, useState } from "react";

const SHOWN_MS = 2_000;

/**
 * Puts a text on the clipboard, and says whether it is there.
 *
 * @param props.name What is copied, for a screen reader; the button itself may be shorter.
 */
export function CopyButton(props: { text: string | (() => string); label?: string; name?: string }) {
  const { text, label = "Copy", name } = props;
  const [outcome, setOutcome] = useState<"Copied" | "Cannot copy">();
  useEffect(() => {
    if (!outcome) return;
    const timer = setTimeout(() => {
      setOutcome(undefined);
    }, SHOWN_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [outcome]);
  return (
    <>
      <button
        type="button"
        className="quiet"
        aria-label={outcome ?? name}
        onClick={() => {
          void copy(typeof text === "string" ? text : text()).then(setOutcome);
        }}
      >
        {outcome ?? label}
      </button>
      <span className="sr-only" role="status">
        {outcome}
      </span>
    </>
  );
}

async function copy(text: string): Promise<"Copied" | "Cannot copy"> {
  try {
    // There is no clipboard in a page that came by http from elsewhere than this machine.
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    return "Cannot copy";
  }
}
