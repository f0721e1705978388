/** Questions that the agent suggests. */
export function Followups({ texts, onAsk }: { texts: readonly string[]; onAsk: (text: string) => void }) {
  if (texts.length === 0) return null;
  return (
    <div className="followups" role="group" aria-label="Suggested questions">
      {texts.map((text) => (
        <button
          key={text}
          type="button"
          dir="auto"
          onClick={() => {
            onAsk(text);
          }}
        >
          {text}
        </button>
      ))}
    </div>
  );
}
